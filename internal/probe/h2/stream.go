package h2

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

const (
	messageHead = 5 // flag and length: gRPC over HTTP2, "Length-Prefixed-Message"
	// maxOther is how much of a body that is no gRPC is awaited, as in grpc-go.
	maxOther = 1024
)

// stream is one call in flight.
type stream struct {
	id         uint32
	call       Call
	sent       time.Time
	prev, next *stream

	// Sending.
	written int   // bytes of the message
	window  int64 // what the server still takes
	queued  bool  // in Conn.blocked

	// Receiving.
	began    bool       // response headers came
	other    bool       // and are no gRPC
	code     codes.Code // of what is no gRPC
	why      string
	encoded  bool // grpc-encoding is not identity
	received int  // of its window, not yet given back
	head     [messageHead]byte
	have     int // bytes of head
	left     int // bytes of the message
	messages int
	size     int // of the first message; of a body that is no gRPC
	header   []hpack.HeaderField
	trailer  []hpack.HeaderField
	body     []byte
}

// start begins a call.
func (c *Conn) start(call Call) {
	s := c.take()
	s.id, s.call, s.sent, s.window = c.nextID, call, c.now, c.peerStream
	if c.nextID += 2; c.nextID > maxStreamID {
		c.end = &EndError{GoAway: true, Err: fmt.Errorf("all stream numbers of the connection are used")}
	}
	c.streams[s.id] = s
	if s.prev = c.newest; s.prev != nil {
		s.prev.next = s
	} else {
		c.oldest = s
	}
	c.newest = s
	c.out = c.request.appendHeaders(c.out, s.id)
	if n := int64(len(c.request.message)); n <= maxFrame && n <= s.window && n <= c.peerWindow && len(c.blocked) == 0 {
		s.window -= n
		c.peerWindow -= n
		s.written = int(n)
		c.out = c.request.appendData(c.out, s.id)
		return
	}
	s.queued = true
	c.blocked = append(c.blocked, s)
}

// unblock sends on what waited for a window, the oldest call first, and says
// whether more could go once this is written.
func (c *Conn) unblock() bool {
	kept := c.blocked[:0]
	for _, s := range c.blocked {
		if !s.queued {
			continue
		}
		for s.written < len(c.request.message) && s.window > 0 && c.peerWindow > 0 && len(c.out) <= writeBuffer {
			n := int(min(int64(len(c.request.message)-s.written), maxFrame, s.window, c.peerWindow))
			var flags http2.Flags
			if s.written+n == len(c.request.message) {
				flags = http2.FlagDataEndStream
			}
			c.out = appendFrame(c.out, http2.FrameData, flags, s.id, n)
			c.out = append(c.out, c.request.message[s.written:s.written+n]...)
			s.written += n
			s.window -= int64(n)
			c.peerWindow -= int64(n)
		}
		if s.queued = s.written < len(c.request.message); s.queued {
			kept = append(kept, s)
		}
	}
	clear(c.blocked[len(kept):])
	c.blocked = kept
	return len(c.out) > writeBuffer
}

func (c *Conn) take() *stream {
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		return s
	}
	return &stream{}
}

// drop forgets a stream; what it held is used again, unless it grew large.
func (c *Conn) drop(s *stream) {
	delete(c.streams, s.id)
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.oldest = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		c.newest = s.prev
	}
	if s.queued { // it still stands in the queue, and must not be used again
		s.queued = false
		return
	}
	header, trailer, body := s.header[:0], s.trailer[:0], s.body[:0]
	if cap(header) > 64 || cap(trailer) > 64 || cap(body) > 1<<16 {
		header, trailer, body = nil, nil, nil
	}
	*s = stream{header: header, trailer: trailer, body: body}
	c.free = append(c.free, s)
}

// finished hands the result over.
func (c *Conn) finished(s *stream, r Result) {
	r.Call, r.Sent, r.End = s.call, s.sent, c.now
	r.Header, r.Trailer, r.Body, r.Size = s.header, s.trailer, s.body, s.size
	c.result = r
	c.calls.Done(&c.result)
	c.drop(s)
}

// fail ends a call that got no valid end from the server.
func (c *Conn) fail(s *stream, code codes.Code, why string, unprocessed bool) {
	outcome := NoAnswer
	switch {
	case s.other:
		outcome = NotGRPC
	case s.began:
		outcome = Began
	}
	c.finished(s, Result{Code: code, Message: why, Outcome: outcome, Unprocessed: unprocessed})
}

// broken ends a call for what the server did wrong on its stream.
func (c *Conn) broken(s *stream, code http2.ErrCode, why string) {
	c.reset(s, code)
	c.fail(s, codes.Internal, why, false)
}

// data takes a DATA frame. The windows are given back in large steps.
func (c *Conn) data(flags http2.Flags, id uint32, p []byte) error {
	size := len(p)
	rest, ok := unpad(flags, p, 0)
	if id == 0 || !ok {
		return connError{http2.ErrCodeProtocol, "a malformed DATA"}
	}
	// Nobody can tell a server that takes more than it was given from one that
	// was given it a moment ago; it is dropped or counted here, never piled up.
	if c.received += size; c.received >= connWindow/2 {
		c.windowUpdate(0, c.received)
		c.received = 0
	}
	s := c.streams[id]
	if s == nil {
		return nil // of a call that has ended
	}
	s.received += size
	end := flags.Has(http2.FlagDataEndStream)
	if s.received >= streamWindow/2 && !end {
		c.windowUpdate(id, s.received)
		s.received = 0
	}
	if s.other {
		if s.size += len(rest); s.size >= maxOther || end {
			if !end {
				c.reset(s, http2.ErrCodeProtocol)
			}
			c.fail(s, s.code, s.why, false)
		}
		return nil
	}
	if bad, code := c.messages(s, rest); bad != "" {
		if !end {
			c.reset(s, http2.ErrCodeCancel)
		}
		c.fail(s, code, bad, false)
		return nil
	}
	if end {
		c.unsent(s)
		c.fail(s, codes.Internal, "server closed the stream without sending trailers", false)
	}
	return nil
}

// unsent tells a server that answered early not to await the rest.
func (c *Conn) unsent(s *stream) {
	if s.queued {
		c.reset(s, http2.ErrCodeNo)
	}
}

// messages takes a part of the reply. Why it is no reply of a unary call, if
// so, are grpc-go's reasons in grpc-go's order.
func (c *Conn) messages(s *stream, p []byte) (bad string, code codes.Code) {
	for len(p) > 0 {
		if s.have < messageHead {
			n := copy(s.head[s.have:], p)
			s.have += n
			p = p[n:]
			if s.have < messageHead {
				return "", codes.OK
			}
			s.left = int(binary.BigEndian.Uint32(s.head[1:]))
			if s.left > c.conf.MaxReply {
				return fmt.Sprintf("grpc: received message larger than max (%d vs. %d)", s.left, c.conf.MaxReply), codes.ResourceExhausted
			}
			if s.messages == 0 {
				s.size = s.left
			}
		}
		n := min(s.left, len(p))
		if c.conf.KeepBody && s.messages == 0 {
			s.body = append(s.body, p[:n]...)
		}
		s.left -= n
		p = p[n:]
		if s.left > 0 {
			return "", codes.OK
		}
		s.have = 0
		switch {
		case s.head[0] == 1 && !s.encoded:
			return "grpc: compressed flag set with identity or empty encoding", codes.Internal
		case s.head[0] == 1:
			return "grpc: Decompressor is not installed for the reply's grpc-encoding", codes.Internal
		case s.head[0] > 1:
			return fmt.Sprintf("grpc: received unexpected payload format %d", s.head[0]), codes.Internal
		case s.messages > 0:
			return "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message", codes.Internal
		}
		s.messages++
	}
	return "", codes.OK
}
