package probe

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// An app says who it is in a header, a trailer or its reply, and in the one list
// that an answer without a message has.
func TestSaid(t *testing.T) {
	server := grpc.NewServer(grpc.ForceServerCodecV2(keep{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		switch method {
		case "/a.B/Header":
			_ = s.SetHeader(metadata.Pairs("x-pod", "pod-1"))
		case "/a.B/Two":
			_ = s.SetHeader(metadata.Pairs("x-pod", "pod-1", "x-pod", "pod-2"))
		case "/a.B/Trailer":
			s.SetTrailer(metadata.Pairs("x-pod", "pod-1"))
		case "/a.B/Refused":
			_ = s.SetHeader(metadata.Pairs("x-pod", "pod-1"))
			return status.Error(codes.NotFound, "no such thing")
		case "/a.B/Only":
			s.SetTrailer(metadata.Pairs("x-pod", "pod-1"))
			return status.Error(codes.NotFound, "no such thing")
		case "/a.B/Long":
			_ = s.SetHeader(metadata.Pairs("x-pod", strings.Repeat("p", 9999)))
		case "/a.B/Bytes":
			_ = s.SetHeader(metadata.Pairs("x-pod-bin", "a\xff\x00é"))
		}
		return s.SendMsg(mem.BufferSlice{mem.SliceBuffer("reply")})
	}))
	conn := open(t, Target{Addr: serveGRPC(t, server)})
	reply := &Source{Reply: func(reply []byte) string { return string(reply) }}
	header := &Source{Header: "x-pod"}
	for _, tc := range []struct {
		method string
		from   *Source
		want   string
	}{
		{"Header", header, "pod-1"}, {"Header", &Source{Trailer: "x-pod"}, ""}, {"Header", reply, "reply"}, {"Header", nil, ""},
		{"Two", header, "pod-1, pod-2"}, {"Trailer", &Source{Trailer: "x-pod"}, "pod-1"}, {"Trailer", header, ""},
		{"Refused", header, "pod-1"}, {"Refused", &Source{Trailer: "x-pod"}, ""}, {"Only", header, "pod-1"}, {"Only", &Source{Trailer: "x-pod"}, "pod-1"}, {"Refused", reply, ""},
		{"Bytes", &Source{Header: "x-pod-bin"}, "a\\xff\x00é"}, {"None", header, ""},
	} {
		if s := conn.Call(t.Context(), Call{Path: "/a.B/" + tc.method, From: tc.from}); s.Said != tc.want || s.NoAnswer {
			t.Errorf("%s of %+v: %q, want %q (%+v)", tc.method, tc.from, s.Said, tc.want, s)
		}
	}
	long := conn.Call(t.Context(), Call{Path: "/a.B/Long", From: header})
	if len(long.Said) > maxName || !strings.HasPrefix(long.Said, "ppp") || !strings.Contains(long.Said, "sha256:") {
		t.Errorf("a long name became %q", long.Said)
	}
}
