package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// tape is a connection on which a server says what is on it, whatever it hears.
type tape struct {
	net.Conn
	said io.Reader
	step int // bytes a read
}

func (c *tape) Read(p []byte) (int, error)       { return c.said.Read(p[:min(len(p), c.step)]) }
func (c *tape) Write(p []byte) (int, error)      { return len(p), nil }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// replay makes three calls at once to a server that says just that.
func replay(t *testing.T, said []byte, step int) *batch {
	t.Helper()
	conf := config([]byte("p"))
	conf.InFlight = 3
	said = append(appendFrame(nil, http2.FrameSettings, 0, 0, 0), said...)
	c, err := New(context.Background(), &tape{said: bytes.NewReader(said), step: step}, conf)
	if err != nil {
		// The first read may reach into what follows, if it is long enough.
		if _, ours := errors.AsType[connError](err); !ours {
			t.Fatal(err)
		}
		return &batch{}
	}
	b := &batch{left: 3}
	_ = c.Run(context.Background(), b)
	if len(b.got)+b.unsent+b.left+b.again != 3 || len(c.streams) != 0 || c.oldest != nil || c.newest != nil {
		t.Fatalf("%d done, %d returned, %d left, %d in flight", len(b.got), b.unsent, b.left+b.again, len(c.streams))
	}
	return b
}

// FuzzFrames: no server, whatever it sends, makes a call vanish or come back
// twice; and how its bytes are cut by the network makes no difference.
func FuzzFrames(f *testing.F) {
	var buffer bytes.Buffer
	s := &server{Framer: http2.NewFramer(&buffer, nil)}
	s.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.block)
	add := func() { f.Add(bytes.Clone(buffer.Bytes())); buffer.Reset() }
	s.fine(1, "x")
	s.fine(3, "y")
	s.fine(5, "z")
	add()
	s.list(1, how{Padding: 9, Parts: 4, Priority: true}, fields(":status", "200", "content-type", "application/grpc")...)
	s.fine(3, "y")
	_ = s.WriteRSTStream(5, http2.ErrCodeRefusedStream)
	_ = s.WriteGoAway(1, http2.ErrCodeNo, nil)
	add()
	_ = s.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1})
	_ = s.WritePing(false, [8]byte{})
	_ = s.WriteWindowUpdate(1, 5)
	_ = s.WriteDataPadded(1, false, []byte("abc"), make([]byte, 3))
	add()
	f.Fuzz(func(t *testing.T, said []byte) {
		whole, bytewise := replay(t, said, 1<<20), replay(t, said, 1)
		for i := range min(len(whole.got), len(bytewise.got)) {
			a, b := whole.got[i], bytewise.got[i]
			// Calls that are over before all are begun may be told in another order of sends.
			if len(whole.got) == 3 && len(bytewise.got) == 3 && a.Outcome == Answered && (a.Code != b.Code || string(a.Body) != string(b.Body)) {
				t.Fatalf("at once %+v, byte by byte %+v", a.Result, b.Result)
			}
		}
	})
}

// FuzzHPACK: a header block of any bytes is read as golang.org/x/net/http2
// reads it, which is what grpc-go is built on.
func FuzzHPACK(f *testing.F) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, list := range [][]hpack.HeaderField{
		fields(":status", "200", "content-type", "application/grpc", "x-grpcmesh-backend", "10.0.0.1:50051"),
		fields("grpc-status", "5", "grpc-message", "no"),
		fields(":status", "200", "Upper", "x"), fields(":status", "200", ":status", "200"), fields("a", "b", ":status", "200"),
	} {
		block.Reset()
		for _, field := range list {
			_ = enc.WriteField(field)
		}
		f.Add(bytes.Clone(block.Bytes()), uint16(3))
	}
	f.Add([]byte("\x3f\xff\xff\xff\xff\xff\xff"), uint16(1))
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		p = p[:min(len(p), 2*maxFrame)]
		at := min(int(cut), len(p), maxFrame)
		if len(p)-at > maxFrame {
			return
		}
		var frames []byte
		frames = append(appendFrame(frames, http2.FrameHeaders, 0, 1, at), p[:at]...)
		frames = append(appendFrame(frames, http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, len(p)-at), p[at:]...)
		framer := http2.NewFramer(io.Discard, bytes.NewReader(frames))
		framer.ReadMetaHeaders = hpack.NewDecoder(headerTable, nil)
		framer.MaxHeaderListSize = 64 << 10
		frame, err := framer.ReadFrame()
		var want http2.ErrCode
		if stream, ok := errors.AsType[http2.StreamError](err); ok {
			want = stream.Code
		}
		conf := config(nil)
		conf.MaxHeaders = 64 << 10
		c, failed := New(context.Background(), &tape{said: bytes.NewReader(appendFrame(nil, http2.FrameSettings, 0, 0, 0)), step: 9}, conf)
		if failed != nil {
			t.Fatal(failed)
		}
		c.calls = &batch{}
		c.start(Call{})
		copy(c.in, frames)
		c.from, c.to = 0, len(frames)
		b := &batch{}
		c.calls = b
		bad := c.walk()
		switch {
		case err != nil && want == 0: // of the connection
			if bad == nil {
				t.Fatalf("x/net: %v; here none", err)
			}
		case err != nil:
			if bad != nil || len(b.got) != 1 || b.got[0].Code != codes.Internal {
				t.Fatalf("x/net: %v; here %v %+v", err, bad, b.got)
			}
		case frame.(*http2.MetaHeadersFrame).Truncated:
			if bad != nil || len(b.got) != 1 || b.got[0].Code != codes.Internal {
				t.Fatalf("x/net: too long; here %v %+v", bad, b.got)
			}
		default:
			if bad != nil {
				t.Fatalf("x/net: none; here %v", bad)
			}
			if s := c.streams[1]; s != nil && s.began && !s.other {
				if diff := gocmp.Diff(frame.(*http2.MetaHeadersFrame).Fields, s.header); diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}
