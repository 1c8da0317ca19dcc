package probe

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streams is a server whose methods stream, each in its own way.
func streams(t *testing.T) string {
	return serveGRPC(t, grpc.NewServer(grpc.ForceServerCodecV2(keep{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(s)
		_ = s.SetHeader(stamped())
		s.SetTrailer(metadata.Pairs("x-pod", "pod-1"))
		got := 0
		for {
			var in mem.BufferSlice
			if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			got++
		}
		say := func(text string) error { return s.SendMsg(mem.BufferSlice{mem.SliceBuffer(text)}) }
		switch method {
		case "/s.S/Endless":
			for s.Context().Err() == nil {
				if err := say(strings.Repeat("x", 1<<16)); err != nil {
					return err
				}
			}
			return s.Context().Err()
		case "/s.S/Silent":
			_ = s.SendHeader(nil)
			<-s.Context().Done()
		case "/s.S/Mute":
			<-s.Context().Done()
		case "/s.S/Refuses":
			return status.Error(codes.FailedPrecondition, "not now")
		case "/s.S/Ends":
			return nil
		case "/s.S/Few":
			for range 3 {
				_ = say("few")
			}
			return status.Error(codes.DataLoss, "and that is all")
		}
		return say(fmt.Sprint(got))
	})))
}

// One stream is one sample: what is told by its headers, its first reply or its
// end, and it is let go of whatever it goes on with.
func TestStream(t *testing.T) {
	addr := streams(t)
	server, client, both := &Stream{Messages: [][]byte{{}}, Server: true}, &Stream{Messages: [][]byte{{1}, {}, {2}}, Client: true}, &Stream{Messages: [][]byte{{1}, {2}}, Client: true, Server: true}
	reply := &Source{Reply: func(reply []byte) string { return string(reply[:min(len(reply), 3)]) }}
	for _, tc := range []struct {
		method   string
		stream   *Stream
		from     *Source
		code     codes.Code
		replies  int
		said     string
		stamped  bool
		noAnswer bool
	}{
		{"Endless", server, reply, codes.OK, 1, "xxx", true, false},
		{"Endless", both, reply, codes.OK, 1, "xxx", true, false},
		{"Few", server, reply, codes.OK, 1, "few", true, false},
		{"Few", server, &Source{Trailer: "x-pod"}, codes.DataLoss, 3, "pod-1", true, false},
		{"Count", client, reply, codes.OK, 1, "3", true, false},
		{"Count", both, reply, codes.OK, 1, "2", true, false},
		{"Count", client, &Source{Trailer: "x-pod"}, codes.OK, 1, "pod-1", true, false},
		{"Silent", server, nil, codes.OK, 0, "", true, false},
		{"Mute", server, nil, codes.DeadlineExceeded, 0, "", false, true},
		{"Refuses", both, nil, codes.FailedPrecondition, 0, "", true, false},
		{"Ends", server, nil, codes.OK, 0, "", true, false},
		{"Endless", server, &Source{Trailer: "x-pod"}, codes.OK, 1000, "", true, false},
	} {
		t.Run(fmt.Sprint(tc.method, tc.stream.Client, tc.stream.Server), func(t *testing.T) {
			conn := open(t, Target{Addr: addr})
			ctx, cancel := t.Context(), func() {}
			if tc.method == "Mute" {
				ctx, cancel = bounded(ctx, time.Second)
			}
			defer cancel()
			s := conn.Call(ctx, Call{Path: "/s.S/" + tc.method, Proof: "p0", Stream: tc.stream, From: tc.from})
			if s.Code != tc.code || s.Replies != tc.replies || s.Said != tc.said || s.Stamped != tc.stamped || s.NoAnswer != tc.noAnswer || !s.Stream {
				t.Errorf("%+v", s)
			}
			if tc.noAnswer && !strings.Contains(s.Err, "nothing came on it") {
				t.Error(s.Err)
			}
			if !tc.noAnswer && s.Err != "" {
				t.Errorf("it was let go of, and yet: %s", s.Err)
			}
			if s := conn.Call(t.Context(), Call{Path: "/s.S/Count", Stream: both}); s.Code != codes.OK || s.NoAnswer {
				t.Errorf("the next one: %+v", s)
			}
		})
	}
}

// Fault 52, of streams: a message that never ends, one that is too large, and a
// reset end within their bounds.
func TestStreamOfHostileServers(t *testing.T) {
	headers := []string{":status", "200", "content-type", "application/grpc", HeaderProof, "p0", HeaderFlags, "-"}
	for name, tc := range map[string]struct {
		script func(p *peer, stream uint32)
		want   func(s Sample) bool
	}{
		"a message over 4 MiB": {func(p *peer, stream uint32) {
			p.headers(stream, false, headers...)
			_ = p.WriteData(stream, false, []byte{0, 0xff, 0, 0, 0})
		}, func(s Sample) bool { return s.Code == codes.ResourceExhausted && s.Err != "" && s.Stamped }},
		"a message that drips": {func(p *peer, stream uint32) {
			p.headers(stream, false, headers...)
			_ = p.WriteData(stream, false, []byte{0, 0, 0, 1, 0, 'x'})
		}, func(s Sample) bool {
			return s.Code == codes.OK && s.Replies == 0 && s.Stamped && s.Latency < 3*time.Second
		}},
		"a reset": {func(p *peer, stream uint32) {
			p.headers(stream, false, headers...)
			_ = p.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, func(s Sample) bool { return s.Code == codes.Internal && s.Err != "" && s.Stamped }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open(t, Target{Addr: frames(t, tc.script)})
			if s := conn.Call(t.Context(), Call{Path: "/a.B/C", Proof: "p0", Stream: &Stream{Messages: [][]byte{{}}, Server: true}}); !tc.want(s) {
				t.Errorf("%+v", s)
			}
		})
	}
}
