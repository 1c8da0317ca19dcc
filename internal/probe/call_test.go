package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func stamped() metadata.MD {
	return metadata.Pairs(HeaderBackend, "10.0.0.1:50051", HeaderGateway, "gw-1", HeaderConnection, "7",
		HeaderCluster, "outbound|80||app", HeaderFlags, "-", HeaderAttempts, "1",
		HeaderProof, "p0", "x-envoy-upstream-service-time", "3", "server", "istio-envoy")
}

func wantStamp() Stamp {
	return Stamp{"10.0.0.1:50051", "gw-1", "7", "outbound|80||app", "-", "1"}
}

// echo answers stamped: by headers for /echo.Echo/*, by a trailers-only
// UNIMPLEMENTED for any other path, as a gateway passes such answers on.
func echo(t *testing.T) string {
	return serveGRPC(t, grpc.NewServer(grpc.ForceServerCodecV2(keep{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		path, _ := grpc.MethodFromServerStream(stream)
		if !strings.HasPrefix(path, "/echo.Echo/") {
			stream.SetTrailer(stamped())
			return status.Error(codes.Unimplemented, "unknown method")
		}
		var in mem.BufferSlice
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		md, _ := metadata.FromIncomingContext(stream.Context())
		if got := fmt.Sprint(md.Get(HeaderNonce), md.Get("k"), md.Get("b-bin"), md.Get(":authority"), md.Get("content-type"), string(in.Materialize())); path == "/echo.Echo/Check" &&
			got != "[n0] [v] [\xff\x00] [app.example] [application/grpc]payload" {
			return status.Error(codes.InvalidArgument, got)
		}
		_ = stream.SetHeader(stamped())
		return stream.SendMsg(in)
	})))
}

// keep is raw with an Unmarshal that gives the bytes.
type keep struct{ raw }

func (keep) Unmarshal(data mem.BufferSlice, v any) error {
	*(v.(*mem.BufferSlice)) = mem.BufferSlice{mem.SliceBuffer(data.Materialize())}
	return nil
}

func TestCall(t *testing.T) {
	conn := open(t, Target{Addr: echo(t), Authority: "app.example", Conn: 4})
	ok := conn.Call(t.Context(), Call{Path: "/echo.Echo/Check", Nonce: "n0", Proof: "p0", Payload: []byte("payload"), Metadata: map[string]string{"k": "v", "b-bin": "/wA"}})
	none := conn.Call(t.Context(), Call{Path: "/no.Such/Method", Nonce: "n0", Proof: "p0"})
	for i, s := range []Sample{ok, none} {
		if s.Seq != i+1 || s.Conn != 4 || !s.Stamped || !s.Upstream || s.Server != "istio-envoy" || s.NoAnswer || s.GoAway || s.Err != "" {
			t.Errorf("%+v", s)
		}
		if diff := cmp.Diff(wantStamp(), s.Stamp); diff != "" {
			t.Error(diff)
		}
		if s.Latency <= 0 || s.Start.IsZero() {
			t.Errorf("no time: %+v", s)
		}
	}
	if ok.Code != codes.OK || none.Code != codes.Unimplemented || none.Message != "unknown method" || none.Path != "/no.Such/Method" {
		t.Errorf("%+v %+v", ok, none)
	}
	data, err := json.Marshal(none)
	if err != nil {
		t.Fatal(err)
	}
	var again Sample
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	none.Start = none.Start.Round(0).UTC()
	again.Start = again.Start.UTC()
	if diff := cmp.Diff(none, again); diff != "" {
		t.Error("saved and read again:", diff)
	}
}

// TestProof: a stamp without the probe route's proof is the app's own word.
func TestProof(t *testing.T) {
	lie := metadata.Pairs(HeaderBackend, "10.9.9.9:1", HeaderFlags, "-", HeaderGateway, "gw-9", HeaderAttempts, "9")
	guess := metadata.Join(lie, metadata.Pairs(HeaderProof, "n0"))
	none := metadata.Join(lie, metadata.Pairs(HeaderProof, ""))
	bare := metadata.Pairs(HeaderProof, "p0", HeaderFlags, "-") // Envoy leaves out what it has no value for
	for _, tc := range []struct {
		name    string
		proof   string
		headers []metadata.MD
		want    Stamp
		stamped bool
	}{
		{"the gateway's", "p0", []metadata.MD{stamped()}, wantStamp(), true},
		{"in the trailers of a trailers-only answer", "p0", []metadata.MD{nil, stamped()}, wantStamp(), true},
		{"without a proof", "p0", []metadata.MD{lie}, Stamp{}, false},
		{"with the nonce for a proof", "p0", []metadata.MD{guess}, Stamp{}, false},
		{"trailers of the app's beside it", "p0", []metadata.MD{bare, lie}, Stamp{Flags: "-"}, true},
		{"a call that expects none", "", []metadata.MD{stamped()}, Stamp{}, false},
		{"a call that expects none, and an empty one", "", []metadata.MD{none}, Stamp{}, false},
	} {
		var s Sample
		s.read(tc.headers, tc.proof)
		if diff := cmp.Diff(tc.want, s.Stamp); diff != "" || s.Stamped != tc.stamped {
			t.Errorf("%s: stamped %v, want %v; %s", tc.name, s.Stamped, tc.stamped, diff)
		}
	}
}

// Envoy's plain HTTP answers must not read as a gRPC server's UNIMPLEMENTED.
func TestCallOfNoGRPC(t *testing.T) {
	conn := open(t, Target{Addr: h2c(t, func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) })})
	s := conn.Call(t.Context(), Call{Path: "/a.B/C"})
	if !s.NotGRPC || s.NoAnswer || s.Stamped || !strings.Contains(s.Message, "404") {
		t.Errorf("%+v", s)
	}
}

// Faults 46 and 52.
func TestCallOfHostileServers(t *testing.T) {
	grpcHeaders := []string{":status", "200", "content-type", "application/grpc", HeaderProof, "p0", HeaderFlags, "-"}
	trailers := []string{"grpc-status", "0"}
	chunk := make([]byte, 16<<10)
	for name, tc := range map[string]struct {
		script func(p *peer, stream uint32)
		want   func(s Sample) bool
		cancel bool // the server never ends: the deadline must
	}{
		"reply over 4 MiB": {func(p *peer, stream uint32) {
			p.headers(stream, false, grpcHeaders...)
			_ = p.WriteData(stream, false, []byte{0, 0xff, 0, 0, 0})
		}, func(s Sample) bool { return s.Code == codes.ResourceExhausted && s.Err != "" && s.Stamp.Flags == "-" }, false},
		"huge trailers": {func(p *peer, stream uint32) {
			p.headers(stream, false, grpcHeaders...)
			p.headers(stream, true, append([]string{"x", strings.Repeat("x", 1<<20)}, trailers...)...)
		}, func(s Sample) bool { return s.Err != "" }, false},
		"slow drip": {func(p *peer, stream uint32) {
			p.headers(stream, false, grpcHeaders...)
			_ = p.WriteData(stream, false, []byte{0, 0, 0, 1, 0, 'x'})
		}, func(s Sample) bool {
			return s.Code == codes.DeadlineExceeded && strings.Contains(s.Err, "did not finish")
		}, true},
		"endless stream": {func(p *peer, stream uint32) {
			p.headers(stream, false, grpcHeaders...)
			for p.WriteData(stream, false, append([]byte{0, 0, 0, 0x40, 0}, chunk[:len(chunk)-64]...)) == nil {
				continue
			}
		}, func(s Sample) bool { return s.Code != codes.OK && s.Err != "" }, true},
		"gzip that was not offered": {func(p *peer, stream uint32) {
			p.headers(stream, false, append(grpcHeaders, "grpc-encoding", "gzip")...)
			_ = p.WriteData(stream, false, []byte{1, 0, 0, 0, 2, 0x1f, 0x8b})
			p.headers(stream, true, trailers...)
		}, func(s Sample) bool { return s.Code != codes.OK && !s.NoAnswer }, false},
		"reset": {func(p *peer, stream uint32) {
			_ = p.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, func(s Sample) bool { return s.NoAnswer && s.Err != "" }, false},
		"never an answer": {func(*peer, uint32) {}, func(s Sample) bool {
			return s.NoAnswer && s.Code == codes.DeadlineExceeded && s.Err == "no answer in time"
		}, true},
		"closed": {func(p *peer, _ uint32) { _ = p.conn.Close() }, func(s Sample) bool {
			return s.NoAnswer && s.Code == codes.Unavailable && strings.Contains(s.Err, "the connection ended")
		}, false},
		"GOAWAY, then the answer": {func(p *peer, stream uint32) {
			_ = p.WriteGoAway(stream, http2.ErrCodeNo, []byte("max_age"))
			p.headers(stream, true, append(grpcHeaders, "grpc-status", "12")...)
		}, func(s Sample) bool { return s.GoAway && !s.NoAnswer && s.Code == codes.Unimplemented }, false},
		"a long message": {func(p *peer, stream uint32) {
			p.headers(stream, true, append(grpcHeaders, "grpc-status", "13", "grpc-message", strings.Repeat("é", 9999))...)
		}, func(s Sample) bool { return s.Code == codes.Internal && len(s.Message) <= maxMessage && !s.NoAnswer }, false},
		"no status": {func(p *peer, stream uint32) {
			p.headers(stream, true, grpcHeaders...)
		}, func(s Sample) bool { return s.Code == codes.Unknown && !s.NoAnswer }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open(t, Target{Addr: frames(t, tc.script)})
			ctx := t.Context()
			if tc.cancel {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			if s := conn.Call(ctx, Call{Path: "/a.B/C", Proof: "p0"}); !tc.want(s) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A connection that ended stays ended: nothing redials behind the claim.
func TestNoRedial(t *testing.T) {
	dials := make(chan struct{}, 10)
	server := frames(t, func(p *peer, stream uint32) {
		_ = p.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, []byte("bye"))
		p.headers(stream, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
	})
	conn := open(t, Target{Addr: server, Network: func(ctx context.Context) (net.Conn, error) {
		dials <- struct{}{}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server)
	}})
	if s := conn.Call(t.Context(), Call{Path: "/a.B/C"}); s.NoAnswer || !s.GoAway {
		t.Errorf("%+v", s)
	}
	for range 5 {
		s := conn.Call(t.Context(), Call{Path: "/a.B/C"})
		if !s.NoAnswer || !s.GoAway || !s.Unmade || !strings.Contains(s.Err, "ENHANCE_YOUR_CALM") || !strings.Contains(s.Err, "bye") {
			t.Errorf("%+v", s)
		}
	}
	if len(dials) != 1 {
		t.Errorf("%d dials", len(dials))
	}
}

func TestSpeaksGRPC(t *testing.T) {
	good, _ := cert(t, "app.example", time.Now().Add(time.Hour))
	for name, tc := range map[string]struct {
		addr      string
		want, err bool
	}{
		"gRPC":          {serveGRPC(t, grpc.NewServer()), true, false},
		"h2c with 404":  {h2c(t, func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }), false, false},
		"h2c with 200":  {h2c(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }), false, false},
		"HTTP/1":        {strings.TrimPrefix(http1(t), "http://"), false, false},
		"TLS, an alert": {says(t, alert), false, false},
		"TLS, closed":   {tlsServer(t, tlsConfig(good)), false, true},
		"a banner":      {says(t, "220 mail ready\r\n"), false, false},
		"nobody":        {accept(t, func(net.Conn) {}), false, true},
		"silence":       {accept(t, drain), false, true},
		"gRPC, RST":     {frames(t, func(p *peer, s uint32) { _ = p.WriteRSTStream(s, http2.ErrCodeInternal) }), false, true},
		"gRPC of a proxy": {frames(t, func(p *peer, s uint32) {
			p.headers(s, true, ":status", "200", "content-type", "application/grpc+proto")
		}), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if name == "silence" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			raw, err := net.Dial("tcp", tc.addr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := SpeaksGRPC(ctx, raw)
			if got != tc.want || (err != nil) != tc.err {
				t.Errorf("%v, %v", got, err)
			}
			if _, err := raw.Write([]byte("x")); err == nil {
				t.Error("the connection was left open")
			}
		})
	}
}

// alert is a TLS record: fatal, protocol_version.
const alert = "\x15\x03\x01\x00\x02\x02\x46"

func TestNonce(t *testing.T) {
	a, b := NewNonce(), NewNonce()
	if len(a) != 32 || a == b || strings.Trim(a, "0123456789abcdef") != "" {
		t.Error(a, b)
	}
}

// h2c is a plain HTTP/2 server without TLS that is no gRPC server.
func h2c(t *testing.T, handle http.HandlerFunc) string {
	server := httptest.NewUnstartedServer(handle)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func http1(t *testing.T) string {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.URL
}
