package h2

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

func TestMany(t *testing.T) {
	t.Parallel()
	for _, inFlight := range []int{1, 2, 50} {
		for _, size := range []int{0, 10, 40_000, 200_000} {
			conf := config([]byte(strings.Repeat("p", size)))
			conf.InFlight = inFlight
			n := 500
			if size > 100 {
				n = 60
			}
			most := 0
			s := &server{handle: func(s *server, id uint32) {
				open := 0
				for _, r := range s.streams {
					if !r.ended {
						open++
					}
				}
				most = max(most, open)
				s.fine(id, fmt.Sprint("body ", id))
				delete(s.streams, id)
			}}
			b, err := run(t, s, conf, n)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, r := range b.got {
				if r.Code != codes.OK || r.Outcome != Answered || r.Message != "" || r.Size != len(r.Body) || r.End.Before(r.Sent) {
					t.Fatalf("%+v", r.Result)
				}
				if want := "body " + r.Header[2].Value; string(r.Body) != want {
					t.Fatalf("%q, want %q", r.Body, want)
				}
				seen[string(r.Body)] = true
			}
			if len(seen) != n || most >= inFlight {
				t.Errorf("%d in flight, %d bytes: %d different answers, %d others open", inFlight, size, len(seen), most)
			}
		}
	}
}

// TestSettings: the server's limits hold, those included that change midway.
func TestSettings(t *testing.T) {
	t.Parallel()
	conf := config([]byte(strings.Repeat("p", 70_000)))
	conf.InFlight = 20
	calls, open, most := 0, map[uint32]bool{}, 0
	s := &server{initial: 100, grant: 7000, settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}, {ID: http2.SettingHeaderTableSize, Val: 0}}}
	s.handle = func(s *server, id uint32) {
		calls++
		clear(open)
		for id, r := range s.streams {
			open[id] = !r.ended
		}
		most = max(most, len(open))
		switch calls {
		case 10: // those that are open go into debt, and come out of it by grants
			one := int64(1)
			s.changes = &one
			_ = s.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096})
		case 20:
			_ = s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100})
		}
		s.fine(id, "x")
		delete(s.streams, id)
	}
	b, err := run(t, s, conf, 60)
	if err != nil || len(b.got) != 60 {
		t.Fatal(err, len(b.got))
	}
	for _, r := range b.got {
		if r.Code != codes.OK {
			t.Errorf("%+v", r.Result)
		}
	}
	if most > 3 || s.acks != 3 {
		t.Errorf("%d streams at once, %d SETTINGS acknowledged", most, s.acks)
	}
}

// TestNoStreams: a server that allows no call at all.
func TestNoStreams(t *testing.T) {
	t.Parallel()
	conf := config(nil)
	conf.Timeout = 50 * time.Millisecond
	b, err := run(t, &server{settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}}, conf, 2)
	if err != nil || len(b.got) != 2 || b.got[1].Code != codes.DeadlineExceeded || b.got[1].Outcome != NoAnswer {
		t.Errorf("%v %+v", err, b.got)
	}
}

// TestTimeout: calls that hang end in time, and the next ones go on.
func TestTimeout(t *testing.T) {
	t.Parallel()
	conf := config(nil)
	conf.Timeout, conf.InFlight = 100*time.Millisecond, 4
	s := &server{handle: func(s *server, id uint32) {
		switch id % 8 {
		case 1: // nothing
		case 3:
			s.list(id, how{}, fields(":status", "200", "content-type", "application/grpc")...)
		default:
			s.fine(id, "x")
		}
	}}
	b, err := run(t, s, conf, 16)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range b.got {
		got[fmt.Sprint(r.Code, r.Outcome)]++
	}
	if got["DeadlineExceeded 3"] != 4 || got["DeadlineExceeded 1"] != 4 || got["OK 0"] != 8 {
		t.Error(got)
	}
}

// TestWindows: replies far beyond a window get through, and one that takes
// more than it was given does not.
func TestWindows(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("b", 3<<20)
	send := func(s *server, id uint32, respect bool) {
		s.list(id, how{}, fields(":status", "200", "content-type", "application/grpc")...)
		rest := message(0, big)
		stream, conn := streamWindow, connWindow
		for len(rest) > 0 {
			n := min(len(rest), 16384)
			for respect && (stream < n || conn < n) {
				frame, err := s.ReadFrame()
				if err != nil {
					return
				}
				if w, ok := frame.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
					conn += int(w.Increment)
				} else if ok {
					stream += int(w.Increment)
				}
			}
			if s.WriteData(id, false, rest[:n]) != nil {
				return
			}
			stream -= n
			conn -= n
			rest = rest[n:]
		}
		s.list(id, how{End: true}, fields("grpc-status", "0")...)
	}
	conf := config(nil)
	b, err := run(t, &server{handle: func(s *server, id uint32) { send(s, id, true) }}, conf, 4)
	for _, r := range b.got {
		if err != nil || r.Code != codes.OK || string(r.Body) != big {
			t.Errorf("%v %v %v %d", err, r.Code, r.Message, len(r.Body))
		}
	}
	conf.MaxReply = 1 << 20
	b, err = run(t, &server{handle: func(s *server, id uint32) { send(s, id, true) }}, conf, 1)
	if err != nil || b.got[0].Code != codes.ResourceExhausted {
		t.Errorf("%v %+v", err, b.got)
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	ok := fields(":status", "200", "content-type", "application/grpc")
	raw := func(kind http2.FrameType, flags http2.Flags, id uint32, p string) func(*server, uint32) {
		return func(s *server, _ uint32) { _ = s.WriteRawFrame(kind, flags, id, []byte(p)) }
	}
	for name, tc := range map[string]struct {
		handle func(s *server, id uint32)
		code   codes.Code
		ends   bool // the connection
	}{
		"a frame over 16 KiB":      {raw(http2.FrameData, 0, 1, strings.Repeat("x", 16385)), codes.Unavailable, true},
		"DATA of stream 0":         {raw(http2.FrameData, 0, 0, "x"), codes.Unavailable, true},
		"padding beyond the frame": {raw(http2.FrameData, http2.FlagDataPadded, 1, "\x05x"), codes.Unavailable, true},
		"headers padded so":        {raw(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, "\xff\x88"), codes.Unavailable, true},
		"CONTINUATION of nothing":  {raw(http2.FrameContinuation, 0, 1, "x"), codes.Unavailable, true},
		"bad HPACK":                {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), codes.Unavailable, true},
		"HPACK that breaks off":    {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x00\x05ab"), codes.Unavailable, true},
		"a PUSH_PROMISE":           {raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02\x88"), codes.Unavailable, true},
		"a window over 2^31-1":     {raw(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), codes.Unavailable, true},
		"a short PING":             {raw(http2.FramePing, 0, 0, "1"), codes.Unavailable, true},
		"a SETTINGS of 5 bytes":    {raw(http2.FrameSettings, 0, 0, "12345"), codes.Unavailable, true},
		"a short GOAWAY":           {raw(http2.FrameGoAway, 0, 0, "\x00\x00\x00"), codes.Unavailable, true},
		"a header block interrupted": {func(s *server, id uint32) {
			_ = s.WriteRawFrame(http2.FrameHeaders, 0, id, []byte{0x88})
			_ = s.WritePing(false, [8]byte{})
		}, codes.Unavailable, true},
		"a giant header": {func(s *server, id uint32) {
			s.list(id, how{}, append(ok, fields("giant", strings.Repeat("x", 70_000))...)...)
		}, codes.Unavailable, true},
		"a list over the limit": {func(s *server, id uint32) {
			s.list(id, how{}, append(ok, fields("a", strings.Repeat("x", 40_000), "b", strings.Repeat("y", 40_000))...)...)
			s.list(id, how{End: true}, fields("grpc-status", "0")...)
		}, codes.Internal, false},
		"headers without an end": {func(s *server, id uint32) {
			_ = s.WriteRawFrame(http2.FrameHeaders, 0, id, []byte{0x88})
			for range 100 {
				if s.WriteContinuation(id, false, []byte(strings.Repeat("\x00\x01a\x7f\x21"+strings.Repeat("v", 160), 90))) != nil {
					return
				}
			}
		}, codes.Unavailable, true},
		"a PING flood": {func(s *server, id uint32) {
			for range 20_000 {
				_ = s.WritePing(false, [8]byte{})
			}
			s.fine(id, "x")
		}, codes.OK, false},
		"a SETTINGS flood": {func(s *server, id uint32) {
			for i := range 20_000 {
				_ = s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i)})
			}
			s.fine(id, "x")
		}, codes.OK, false},
		"frames of no known type": {func(s *server, id uint32) {
			_ = s.WriteRawFrame(99, 0xff, 12345, []byte("x"))
			s.fine(id, "x")
		}, codes.OK, false},
		"an end at once": {func(s *server, _ uint32) { _ = s.conn.Close() }, codes.Unavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := config(nil)
			b, err := run(t, &server{handle: tc.handle}, conf, 1)
			if (err != nil) != tc.ends || len(b.got) != 1 || b.got[0].Code != tc.code {
				t.Errorf("%v %+v", err, b.got)
			}
		})
	}
}

// TestGoAwayTwice: as servers end a connection in order, in two steps.
func TestGoAwayTwice(t *testing.T) {
	t.Parallel()
	conf := config(nil)
	conf.InFlight = 4
	held := []uint32{}
	s := &server{handle: func(s *server, id uint32) {
		if held = append(held, id); len(held) < 4 {
			return
		}
		goAway := func(last uint32) {
			p := binary.BigEndian.AppendUint32(nil, last)
			_ = s.WriteRawFrame(http2.FrameGoAway, 0, 0, append(p, 0, 0, 0, 0))
		}
		goAway(1<<31 - 1)
		goAway(5)
		for _, id := range held[:3] {
			s.fine(id, "x")
		}
	}}
	b, err := run(t, s, conf, 100)
	end, ok := err.(*EndError) //nolint:errorlint // it is what Run promises
	if !ok || !end.GoAway || len(b.got) != 3 || b.again != 1 {
		t.Errorf("%v, %d done, %d to be made again", err, len(b.got), b.again)
	}
}
