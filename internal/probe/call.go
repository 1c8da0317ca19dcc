package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// Call is one call to make: a unary one, unless it is a Stream.
type Call struct {
	// Path is /package.Service/Method; it need not exist.
	Path string
	// Nonce, if not empty, sends the call by the probe route.
	Nonce string
	// Proof is what the probe route writes beside its stamps. It is sent to
	// nobody: an answer that has it was stamped by the gateway.
	Proof string
	// Payload is the encoded request message; of a Stream its Messages are.
	Payload []byte
	Stream  *Stream
	// Metadata are further request headers, by lower-case names, as they
	// stand on the wire: those whose names end in -bin in base64.
	Metadata map[string]string
	// From, if not nil, is where the app says which backend it is.
	From *Source
}

// Call makes one call on this connection, and never on another. It ends with
// ctx, and after 10 s at the latest: one that hangs must not eat a run's time. What went wrong is in the Sample.
func (c *Conn) Call(ctx context.Context, call Call) Sample {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	s := Sample{Seq: int(c.seq.Add(1)), Conn: c.target.Conn, Path: call.Path, Start: time.Now()}
	// grpc-go would try to redial, and only know that it can't.
	if why := c.wire.ended(); why != "" {
		s.Code, s.NoAnswer, s.GoAway = codes.Unavailable, true, c.wire.sawGoAway()
		s.Err, s.Unmade = "no call was made: "+why, s.GoAway
		return s
	}
	seen, into := &answer{}, &kept{}
	var reply any = into
	if call.From == nil || call.From.Reply == nil {
		reply = nil // nothing reads it, and so nothing keeps it
	}
	request, cut := requestContext(ctx, seen, call.Nonce, call.Metadata), false
	var err error
	if call.Stream != nil {
		s.Stream = true
		s.Replies, cut, err = c.stream(request, call, reply)
	} else {
		err = c.client.Invoke(request, call.Path, mem.BufferSlice{mem.SliceBuffer(call.Payload)}, reply, append(c.options(), grpc.ForceCodecV2(raw{}))...)
	}
	s.Latency = time.Since(s.Start)
	s.GoAway = c.wire.sawGoAway()

	st := status.Convert(err)
	s.Code, s.Message = st.Code(), clip(st.Message())
	headers, began, finished := seen.get()
	s.read(headers, call.Proof)
	if call.From != nil {
		s.Said = call.From.name(seen, into.reply)
	}
	switch {
	case finished, cut:
	case began:
		s.Err = "the answer began but did not finish: " + s.Message
	case strings.HasPrefix(s.Message, "unexpected HTTP status code received from server"),
		strings.HasPrefix(s.Message, "malformed header: missing HTTP"):
		s.NotGRPC = true // grpc-go's words, sent by no server: there was no trailer
	default:
		s.NoAnswer = true
		s.Err = noAnswer(ctx, c.wire.ended(), s.Message)
		if s.Stream && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.Err = "the stream was opened, and nothing came on it in time"
		}
	}
	return s
}

// options are those of every call: a borrowed connection's own authority.
func (c *Conn) options() []grpc.CallOption {
	if !c.borrowed {
		return nil
	}
	return []grpc.CallOption{grpc.CallAuthority(c.target.Authority)}
}

// noAnswer picks the cause that explains most.
func noAnswer(ctx context.Context, ended, message string) string {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "no answer in time"
	case ctx.Err() != nil:
		return "stopped: " + ctx.Err().Error()
	case ended != "":
		return ended
	}
	return message
}

// read takes what the headers say. Trailers-only answers carry the stamp in
// the trailers, others in the headers; where the proof stands the stamp is
// Envoy's own, which overwrites what an app has put there, and nowhere else.
func (s *Sample) read(headers []metadata.MD, proof string) {
	for _, md := range headers {
		if proof == "" || first(md, HeaderProof) != proof {
			continue
		}
		s.Stamp = Stamp{
			Backend:    first(md, HeaderBackend),
			Gateway:    first(md, HeaderGateway),
			Connection: first(md, HeaderConnection),
			Cluster:    first(md, HeaderCluster),
			Flags:      first(md, HeaderFlags),
			Attempts:   first(md, HeaderAttempts),
		}
		s.Stamped = true
		break
	}
	s.Upstream = first(metadata.Join(headers...), "x-envoy-upstream-service-time") != ""
	s.Server = first(metadata.Join(headers...), "server")
}

func first(md metadata.MD, name string) string {
	if values := md.Get(name); len(values) > 0 {
		return clip(values[0])
	}
	return ""
}

// answer collects the headers and trailers of one call. Grpc-go's own call
// options don't tell an answer of a server from a status of the client's.
type answer struct {
	mu              sync.Mutex
	header, trailer metadata.MD // nil: none came
	finished        bool
}

func (a *answer) get() (headers []metadata.MD, began, finished bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, md := range []metadata.MD{a.header, a.trailer} {
		if md != nil {
			headers = append(headers, md)
		}
	}
	return headers, len(headers) > 0, a.finished
}

type answerKey struct{}

// watch is the stats handler that fills the answer found in the context.
type watch struct{}

// TagRPC leaves the context as it is.
func (watch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC notes headers and trailers.
func (watch) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, ok := ctx.Value(answerKey{}).(*answer)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch e := event.(type) {
	case *stats.InHeader:
		a.header = some(e.Header)
	case *stats.InTrailer:
		a.trailer, a.finished = some(e.Trailer), true
	}
}

// some is a list that came, even if there is nothing in it.
func some(md metadata.MD) metadata.MD {
	if md == nil {
		return metadata.MD{}
	}
	return md
}

// TagConn leaves the context as it is.
func (watch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn has nothing to note.
func (watch) HandleConn(context.Context, stats.ConnStats) {}

// raw is the codec that leaves bytes alone. Without a name the content type is
// plain application/grpc, which every server takes.
type raw struct{}

// Marshal passes bytes.
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(mem.BufferSlice); ok {
		return b, nil
	}
	return nil, errors.New("raw codec: not bytes")
}

// Unmarshal drops the reply, unless it is to be kept.
func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	if k, ok := v.(*kept); ok {
		k.keep(data)
	}
	return nil
}

// Name is empty on purpose.
func (raw) Name() string { return "" }

func requestContext(ctx context.Context, seen *answer, nonce string, more map[string]string) context.Context {
	md := metadata.MD{}
	for name, value := range more {
		if strings.HasSuffix(name, "-bin") { // grpc-go encodes it
			if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "=")); err == nil {
				value = string(raw)
			}
		}
		md.Set(name, value)
	}
	if nonce != "" {
		md.Set(HeaderNonce, nonce)
	}
	return metadata.NewOutgoingContext(context.WithValue(ctx, answerKey{}, seen), md)
}

// bounded adds a deadline where there is none.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit) // or the context's own deadline, if that is sooner
}

func clip(s string) string {
	if len(s) > maxMessage {
		return strings.ToValidUTF8(s[:maxMessage], "")
	}
	return s
}
