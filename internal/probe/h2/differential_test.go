package h2

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// step is one thing that a server does in answer to a call.
type step struct {
	Do     string
	Fields []hpack.HeaderField
	How    how
	Data   string
	Code   uint32
}

// String is short enough to read.
func (a step) String() string {
	text := a.Do
	for _, f := range a.Fields {
		text += fmt.Sprintf(" %s=%.12q", f.Name, f.Value)
	}
	return fmt.Sprintf("%s %d %.12q[%d] %+v\n", text, a.Code, a.Data, len(a.Data), a.How)
}

// play does the steps of one answer.
func play(s *server, id uint32, steps []step) {
	for _, a := range steps {
		switch a.Do {
		case "headers":
			s.list(id, a.How, a.Fields...)
		case "data":
			_ = s.WriteDataPadded(id, a.How.End, []byte(a.Data), make([]byte, a.How.Padding))
		case "reset":
			_ = s.WriteRSTStream(id, http2.ErrCode(a.Code))
		case "ping":
			_ = s.WritePing(false, [8]byte{1})
		case "unknown":
			_ = s.WriteRawFrame(77, 3, id, []byte(a.Data))
		case "settings":
			_ = s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: a.Code}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		case "zero":
			_ = s.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
		case "goaway":
			last := map[uint32]uint32{0: id, 1: 1<<31 - 1, 2: max(id, 2) - 2}[a.Code%3]
			_ = s.WriteGoAway(last, http2.ErrCodeNo, []byte(a.Data))
		case "garbage":
			_ = s.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, []byte(a.Data))
		case "close": // half of it: a reset would take what is unread with it
			_ = s.conn.(*net.TCPConn).CloseWrite()
		}
	}
}

// The parts of random answers. What is right is likelier than what is not.
func pick[T any](common T, rare ...T) *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T {
		if rapid.IntRange(0, 9).Draw(t, "rare") < 8 {
			return common
		}
		return rapid.SampledFrom(rare).Draw(t, "which")
	})
}

func genHow(end bool) *rapid.Generator[how] {
	return rapid.Custom(func(t *rapid.T) how {
		return how{End: end, Padding: uint8(pick(0, 1, 7, 255).Draw(t, "padding")), Priority: pick(false, true).Draw(t, "priority"), Parts: pick(1, 2, 3, 9).Draw(t, "parts")}
	})
}

func genFields() *rapid.Generator[[]hpack.HeaderField] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) hpack.HeaderField {
		name := rapid.SampledFrom([]string{"a", "b-bin", "x-grpcmesh-backend", "server", "te", "user-agent", "grpc-message-type", "trailer", "date", "long"}).Draw(t, "name")
		value := rapid.SampledFrom([]string{"", "v", "10.0.0.1:50051", "a, b", strings.Repeat("x", 300), "d", "ünï"}).Draw(t, "value")
		if name == "b-bin" {
			if value = base64.StdEncoding.EncodeToString([]byte(value)); rapid.Bool().Draw(t, "raw") {
				value = strings.TrimRight(value, "=")
			}
			value = pick(value, "!", "abc", "a").Draw(t, "bin")
		}
		return pick(hpack.HeaderField{Name: name, Value: value},
			hpack.HeaderField{Name: "Upper", Value: "v"}, hpack.HeaderField{Name: "ctl", Value: "a\x00b"}, hpack.HeaderField{Name: "", Value: "v"},
			hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: ":path", Value: "/"}, hpack.HeaderField{Name: ":odd", Value: "/"},
			hpack.HeaderField{Name: "tab", Value: "a\tb"}, hpack.HeaderField{Name: "sp ace", Value: "v"}, hpack.HeaderField{Name: "secret", Value: "v", Sensitive: true},
			hpack.HeaderField{Name: "huge", Value: strings.Repeat("h", 40_000)}).Draw(t, "field")
	}), 0, 5)
}

func genStatus() *rapid.Generator[[]hpack.HeaderField] {
	return rapid.Custom(func(t *rapid.T) []hpack.HeaderField {
		list := genFields().Draw(t, "more")
		code := rapid.SampledFrom([]string{"0", "0", "0", "5", "12", "14", "16", "99"}).Draw(t, "code")
		if code = pick(code, "", "x", "-1", "99999999999", "none").Draw(t, "status"); code != "none" {
			list = append(list, hpack.HeaderField{Name: "grpc-status", Value: code})
		}
		if rapid.Bool().Draw(t, "says") {
			list = append(list, hpack.HeaderField{Name: "grpc-message", Value: rapid.SampledFrom([]string{"", "no", "100%25", "%zz", "%", "a%2", "%C3%BC"}).Draw(t, "message")})
		}
		for range pick(0, 1, 2).Draw(t, "details") {
			details := rapid.SampledFrom([]string{"CAUSAm5v", "CAASAm5v", "!", "AA", ""}).Draw(t, "detail") // 5 "no", 0 "no"
			list = append(list, hpack.HeaderField{Name: "grpc-status-details-bin", Value: details})
		}
		return list
	})
}

func genAnswer() *rapid.Generator[[]step] {
	return rapid.Custom(func(t *rapid.T) []step {
		var steps []step
		// Once something has come, it is up to grpc-go's goroutines whether a
		// refused call is made again: only a first word may refuse one.
		begun := func() bool { return slices.ContainsFunc(steps, func(a step) bool { return a.Do == "headers" }) }
		reset := func() uint32 {
			code := rapid.Uint32Range(0, 15).Draw(t, "reset")
			if code == uint32(http2.ErrCodeRefusedStream) && begun() {
				return uint32(http2.ErrCodeCancel)
			}
			return code
		}
		goaway := func() uint32 {
			if begun() {
				return rapid.Uint32Range(0, 1).Draw(t, "last")
			}
			return rapid.Uint32Range(0, 2).Draw(t, "last")
		}
		maybe := func() {
			switch rapid.IntRange(0, 40).Draw(t, "between") {
			case 0:
				steps = append(steps, step{Do: "ping"})
			case 1:
				steps = append(steps, step{Do: "unknown", Data: "??"})
			case 2:
				steps = append(steps, step{Do: "settings", Code: rapid.Uint32Range(0, 5000).Draw(t, "table")})
			case 3:
				steps = append(steps, step{Do: "reset", Code: reset()})
			case 4:
				steps = append(steps, step{Do: "goaway", Code: goaway(), Data: "bye"})
			case 5:
				if rapid.IntRange(0, 3).Draw(t, "worse") == 0 {
					steps = append(steps, step{Do: rapid.SampledFrom([]string{"close", "garbage", "zero"}).Draw(t, "bad"), Data: "\xff\xff\xff\xff\xff\xff"})
				}
			}
		}
		start := func() []hpack.HeaderField {
			list := fields(":status", pick("200", "404", "503", "429", "abc", "1", "204").Draw(t, "http"))
			if kind := pick("application/grpc", "application/grpc+proto", "application/grpc;x", "application/grpcx", "text/html", "none", "").Draw(t, "type"); kind != "none" {
				list = append(list, hpack.HeaderField{Name: "content-type", Value: kind})
			}
			return pick(list, list[1:]).Draw(t, "start")
		}
		maybe()
		if rapid.IntRange(0, 9).Draw(t, "informs") == 0 {
			steps = append(steps, step{Do: "headers", How: genHow(pick(false, true).Draw(t, "ends")).Draw(t, "how"), Fields: fields(":status", "103")})
		}
		if rapid.IntRange(0, 3).Draw(t, "trailersOnly") == 0 {
			steps = append(steps, step{Do: "headers", How: genHow(true).Draw(t, "how"), Fields: append(start(), genStatus().Draw(t, "status")...)})
			return steps
		}
		list := append(start(), genFields().Draw(t, "fields")...)
		if encoding := pick("", "identity", "gzip").Draw(t, "encoding"); encoding != "" {
			list = append(list, hpack.HeaderField{Name: "grpc-encoding", Value: encoding})
		}
		steps = append(steps, step{Do: "headers", How: genHow(false).Draw(t, "how"), Fields: list})
		maybe()
		var body []byte
		for range pick(1, 0, 2).Draw(t, "messages") {
			text := rapid.SampledFrom([]string{"", "hello", strings.Repeat("m", 30_000), strings.Repeat("n", 1100)}).Draw(t, "text")
			body = append(body, message(pick(byte(0), 1, 2).Draw(t, "flag"), text)...)
		}
		body = body[:len(body)-min(pick(0, 1, 3, 10).Draw(t, "short"), len(body))]
		if rapid.IntRange(0, 30).Draw(t, "tooLong") == 0 {
			body = []byte{0, 0x7f, 0, 0, 0, 1}
		}
		for len(body) > 0 {
			n := min(rapid.SampledFrom([]int{1, 3, 5, 6, 100, 16000, 16000, 16000}).Draw(t, "cut"), len(body), 16000)
			steps = append(steps, step{Do: "data", Data: string(body[:n]), How: how{Padding: uint8(pick(0, 1, 255).Draw(t, "padding"))}})
			body = body[n:]
			maybe()
			if len(steps) > 12 && len(body) > 0 {
				steps = append(steps, step{Do: "data", Data: string(body[:min(len(body), 16000)])})
				body = body[min(len(body), 16000):]
			}
		}
		switch rapid.IntRange(0, 19).Draw(t, "end") {
		case 0:
			steps = append(steps, step{Do: "data", How: how{End: true}})
		case 1:
			steps = append(steps, step{Do: "reset", Code: reset()})
		case 2:
			steps = append(steps, step{Do: "close"})
		default:
			steps = append(steps, step{Do: "headers", How: genHow(true).Draw(t, "how"), Fields: genStatus().Draw(t, "status")})
		}
		// Whatever came before, the call ends: a reset of a call that is over
		// says nothing.
		return append(steps, step{Do: "reset", Code: uint32(http2.ErrCodeInternal)})
	})
}

// said is what one client makes of one answer.
type said struct {
	Code            codes.Code
	Message         string
	Header, Trailer metadata.MD
	Body            string
	Outcome         Outcome
}

// script is a server that gives the answers in turn, one twice if it refused
// the call: that is made again.
type script struct {
	answers [][]step
	again   bool
	next    int
	initial int64
	grant   uint32
}

func (sc *script) server(payload []byte) *server {
	sc.next, sc.again = 0, false
	return &server{payload: payload, initial: sc.initial, grant: sc.grant, handle: func(s *server, id uint32) {
		if sc.next >= len(sc.answers) {
			s.fault("one call too many")
			return
		}
		steps := sc.answers[sc.next]
		play(s, id, steps)
		if !sc.again && refuses(steps) {
			sc.again = true
			return
		}
		sc.again = false
		sc.next++
	}}
}

// lasts: no call can come after this one.
func lasts(steps []step) bool {
	return slices.ContainsFunc(steps, func(a step) bool {
		return a.Do == "close" || a.Do == "goaway" || a.Do == "garbage" || slices.ContainsFunc(a.Fields, func(f hpack.HeaderField) bool { return f.Name == "huge" })
	})
}

// refuses: the first thing that ends the call is that it is refused.
func refuses(steps []step) bool {
	for _, a := range steps {
		switch a.Do {
		case "reset":
			return a.Code == uint32(http2.ErrCodeRefusedStream)
		case "headers", "zero", "close", "garbage", "goaway":
			return false
		}
	}
	return false
}

// engine makes the calls one by one.
func engine(ctx context.Context, t fataler, addr string, conf Config, n int) (all []said) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c, err := New(ctx, conn, conf)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		b := &batch{left: 1}
		if err := c.Run(ctx, b); err != nil && len(b.got) == 0 {
			all = append(all, said{Code: codes.Unavailable, Outcome: NoAnswer})
			continue
		}
		if len(b.got) != 1 {
			t.Fatalf("%d results of one call", len(b.got))
		}
		r := b.got[0]
		one := said{Code: r.Code, Outcome: r.Outcome}
		switch r.Outcome {
		case Answered:
			one.Message, one.Trailer = r.Message, lists(r.Trailer)
			if one.Header = lists(r.Header); r.Code == codes.OK { // an error that is none has no message
				one.Body, one.Message = string(r.Body), ""
			}
		case Began:
			one.Header = lists(r.Header)
		case NotGRPC, NoAnswer:
		}
		all = append(all, one)
	}
	return all
}

// lists turns what came into what grpc-go hands out.
func lists(list []hpack.HeaderField) metadata.MD {
	md := metadata.MD{}
	for _, f := range list {
		switch f.Name {
		case "grpc-encoding", "grpc-status", "grpc-message", "grpc-message-type", "grpc-timeout", "te":
			continue
		case "content-type":
			if v := read([]hpack.HeaderField{f}); !v.grpc {
				continue
			}
		}
		if strings.HasPrefix(f.Name, ":") && f.Name != ":authority" {
			continue
		}
		if strings.HasSuffix(f.Name, "-bin") {
			f.Value, _ = binary64(f.Value)
		}
		md[f.Name] = append(md[f.Name], f.Value)
	}
	return md
}

// noted collects what came of the call in whose context it is.
type noted struct {
	mu              sync.Mutex
	header, trailer metadata.MD
}

type (
	notedKey struct{}
	watcher  struct{}
	plain    struct{}
)

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}
func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	n, ok := ctx.Value(notedKey{}).(*noted)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case *stats.InHeader:
		n.header = e.Header.Copy()
	case *stats.InTrailer:
		n.trailer = e.Trailer.Copy()
	}
}

func (plain) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (plain) Unmarshal(data mem.BufferSlice, v any) error {
	*(v.(*[]byte)) = data.Materialize()
	return nil
}
func (plain) Name() string { return "" }

// reference makes the same calls by grpc-go, on one connection.
func reference(ctx context.Context, t fataler, addr string, conf Config, n int) (all []said) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	client, err := grpc.NewClient("passthrough:///x",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			select {
			case <-first:
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			default:
				return nil, errors.New("one connection only")
			}
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(conf.Authority), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow), grpc.WithMaxHeaderListSize(64<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(4<<20)), grpc.WithStatsHandler(watcher{}), grpc.WithNoProxy(), grpc.WithIdleTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for range n {
		note := &noted{}
		ctx, cancel := context.WithTimeout(ctx, conf.Timeout)
		var body []byte
		err := client.Invoke(context.WithValue(metadata.AppendToOutgoingContext(ctx, "x-run", "1"), notedKey{}, note), conf.Path, conf.Payload, &body, grpc.ForceCodecV2(plain{}))
		cancel()
		note.mu.Lock()
		one := said{Code: status.Code(err), Message: status.Convert(err).Message(), Header: note.header, Trailer: note.trailer}
		note.mu.Unlock()
		if err == nil {
			one.Body = string(body)
		}
		all = append(all, one)
	}
	return all
}

// equal compares what both can know: a call that was cut off has no trailers,
// and what a client says of it is in its own words.
func equal(got, want said) string {
	switch got.Outcome {
	case Answered:
		if len(want.Header) == 0 {
			want.Header = metadata.MD{}
		}
	case Began:
		want.Message, want.Trailer = "", nil
	case NotGRPC, NoAnswer:
		want.Message, want.Header, want.Trailer, want.Body = "", nil, nil, ""
	}
	got.Outcome, want.Outcome = 0, 0
	return gocmp.Diff(want, got)
}

// TestSameAsGRPC: call for call, over random answers of a server that does
// right or wrong, the engine and grpc-go say the same.
func TestSameAsGRPC(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		conf := config([]byte(strings.Repeat("p", pick(10, 0, 70_000).Draw(t, "request"))))
		sc := &script{answers: rapid.SliceOfN(genAnswer(), 1, 4).Draw(t, "answers")}
		// What a next call meets after the connection's end is up to chance: the
		// last call may have ended before it.
		if i := slices.IndexFunc(sc.answers, lasts); i >= 0 {
			sc.answers = sc.answers[:i+1]
		}
		if rapid.IntRange(0, 4).Draw(t, "tight") == 0 {
			sc.initial, sc.grant = rapid.Int64Range(0, 100).Draw(t, "initial"), rapid.Uint32Range(900, 30_000).Draw(t, "grant")
		}
		of := func(client func(context.Context, fataler, string, Config, int) []said, ours bool) []said {
			s := sc.server(conf.Payload)
			addr, stop := listen(t, s.serve)
			all := client(context.Background(), t, addr, conf, len(sc.answers))
			stop()
			for _, w := range s.wrong {
				if ours {
					t.Errorf("the client broke a rule: %s", w)
				}
			}
			return all
		}
		want, got := of(reference, false), of(engine, true)
		for i := range want {
			seen[fmt.Sprint(got[i].Code, " ", got[i].Outcome)]++
			if diff := equal(got[i], want[i]); diff != "" {
				t.Fatalf("call %d of %v (-grpc-go +engine), outcome %d, grpc-go's words %q:\n%s", i, sc.answers, got[i].Outcome, want[i].Message, diff)
			}
		}
	})
	if !t.Failed() { // the answers were worth comparing
		for _, kind := range []string{"OK 0", "Internal 1", "Unavailable 3", "Unknown 2"} {
			if seen[kind] == 0 {
				t.Errorf("no call ended with %s: %v", kind, seen)
			}
		}
	}
}

// TestSameTogether: many calls at once, their frames shuffled among each
// other, give the same as one by one.
func TestSameTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		conf := config([]byte("p"))
		conf.InFlight = 1 + random.IntN(30)
		n := conf.InFlight * 5
		var waiting []uint32
		s := &server{handle: func(s *server, id uint32) {
			if waiting = append(waiting, id); len(waiting) < conf.InFlight {
				return
			}
			left := map[uint32][]step{}
			for _, id := range waiting {
				left[id] = answerOf(id)
			}
			for len(waiting) > 0 {
				i := random.IntN(len(waiting))
				id := waiting[i]
				play(s, id, left[id][:1])
				if left[id] = left[id][1:]; len(left[id]) == 0 {
					waiting = slices.Delete(waiting, i, i+1)
				}
			}
		}}
		b, err := run(t, s, conf, n)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(b.got, func(a, b outcome) int { return cmp.Compare(number(a), number(b)) })
		for i, r := range b.got {
			if id := uint32(2*i + 1); number(r) != id || string(r.Body) != fmt.Sprint("body ", id) || r.Code != codes.Code(id%3) {
				t.Fatalf("seed %d: %+v", seed, r.Result)
			}
		}
	}
}

func number(r outcome) (id uint32) {
	_, _ = fmt.Sscan(r.Header[2].Value, &id)
	return id
}

func answerOf(id uint32) []step {
	body := message(0, fmt.Sprint("body ", id))
	steps := []step{{Do: "headers", Fields: fields(":status", "200", "content-type", "application/grpc", "n", fmt.Sprint(id))}}
	for _, b := range body {
		steps = append(steps, step{Do: "data", Data: string([]byte{b})})
	}
	return append(steps, step{Do: "headers", How: how{End: true, Parts: 2}, Fields: fields("grpc-status", fmt.Sprint(id%3), "grpc-message", "m")})
}
