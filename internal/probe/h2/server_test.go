package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// listen serves every connection of a loopback listener by handle, and ends
// them all, and waits, by stop.
func listen(t fataler, handle func(net.Conn)) (addr string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		conns []net.Conn
		wg    sync.WaitGroup
	)
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	return listener.Addr().String(), func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	}
}

// server is the other side of one connection, frame by frame, for what no
// well-behaved server sends. It notes when the client breaks a rule.
type server struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	enc   *hpack.Encoder

	payload  []byte // what every request must carry
	initial  int64  // the window of new streams
	changes  *int64 // to this, once the client knows
	grant    uint32 // how much it is widened by, at each step
	window   int64  // of the connection
	streams  map[uint32]*request1
	handle   func(s *server, id uint32)
	settings []http2.Setting
	wrong    []string
	acks     int
}

type request1 struct {
	window int64
	body   []byte
	fields []hpack.HeaderField
	ended  bool
}

func (s *server) fault(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// serve answers until the connection ends.
func (s *server) serve(conn net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	s.conn, s.Framer = conn, http2.NewFramer(conn, conn)
	s.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.block)
	s.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.window, s.streams = 65535, map[uint32]*request1{}
	if s.initial == 0 && s.grant == 0 {
		s.initial = 65535
	} else {
		s.settings = append(s.settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(s.initial)})
	}
	_ = s.WriteSettings(s.settings...)
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			if _, ok := errors.AsType[http2.StreamError](err); ok {
				s.fault("%v", err)
			}
			return
		}
		s.take(frame)
	}
}

func (s *server) take(frame http2.Frame) {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			s.acks++
			if s.changes != nil && s.acks > 1 { // from now on the client keeps to it
				delta := *s.changes - s.initial
				s.initial, s.changes = *s.changes, nil
				for _, r := range s.streams {
					r.window += delta
				}
			}
		} else {
			_ = s.WriteSettingsAck()
		}
	case *http2.MetaHeadersFrame:
		if s.streams[f.StreamID] != nil || f.StreamID%2 == 0 {
			s.fault("HEADERS again on stream %d", f.StreamID)
		}
		s.streams[f.StreamID] = &request1{window: s.initial, fields: f.Fields}
		s.widen(f.StreamID, 0)
	case *http2.DataFrame:
		r := s.streams[f.StreamID]
		n := int64(f.Length)
		if r.window -= n; r.window < 0 {
			s.fault("stream %d over its window by %d", f.StreamID, -r.window)
		}
		if s.window -= n; s.window < 0 {
			s.fault("the connection is over its window by %d", -s.window)
		}
		r.body = append(r.body, f.Data()...)
		s.window += n
		if n > 0 {
			_ = s.WriteWindowUpdate(0, uint32(n))
		}
		if !f.StreamEnded() {
			s.widen(f.StreamID, uint32(n))
			return
		}
		if r.ended = true; len(r.body) < 5 || !bytes.Equal(r.body[5:], s.payload) {
			s.fault("stream %d carries %d bytes, not the request", f.StreamID, len(r.body))
		}
		s.handle(s, f.StreamID)
	}
}

func (s *server) widen(id, n uint32) {
	if s.grant > 0 {
		n = s.grant
	}
	if n > 0 {
		s.streams[id].window += int64(n)
		_ = s.WriteWindowUpdate(id, n)
	}
}

// how a header list is sent.
type how struct {
	End      bool
	Padding  uint8
	Priority bool
	Parts    int // frames
}

func (s *server) list(id uint32, h how, fields ...hpack.HeaderField) {
	s.block.Reset()
	for _, f := range fields {
		_ = s.enc.WriteField(f)
	}
	rest := bytes.Clone(s.block.Bytes())
	size := min(max(len(rest)/max(h.Parts, 1), 1), 16000)
	part := func() (p []byte, last bool) {
		n := min(size, len(rest))
		p, rest = rest[:n], rest[n:]
		return p, len(rest) == 0
	}
	p, last := part()
	param := http2.HeadersFrameParam{StreamID: id, BlockFragment: p, EndStream: h.End, EndHeaders: last, PadLength: h.Padding}
	if h.Priority {
		param.Priority = http2.PriorityParam{StreamDep: 1, Weight: 7}
	}
	_ = s.WriteHeaders(param)
	for !last {
		p, last = part()
		_ = s.WriteContinuation(id, last, p)
	}
}

func fields(pairs ...string) (list []hpack.HeaderField) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// fine answers a call as a good server does.
func (s *server) fine(id uint32, body string) {
	s.list(id, how{}, fields(":status", "200", "content-type", "application/grpc", "n", fmt.Sprint(id))...)
	_ = s.WriteData(id, false, message(0, body))
	s.list(id, how{End: true}, fields("grpc-status", "0")...)
}

func message(flag byte, body string) []byte {
	n := len(body)
	return append([]byte{flag, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}
