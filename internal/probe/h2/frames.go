package h2

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
)

// walk takes every whole frame that was read, in place.
func (c *Conn) walk() error {
	for c.to-c.from >= frameHead {
		head := c.in[c.from : c.from+frameHead]
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		kind, flags := http2.FrameType(head[3]), http2.Flags(head[4])
		id := binary.BigEndian.Uint32(head[5:]) & maxStreamID
		if c.first && kind != http2.FrameSettings {
			return connError{http2.ErrCodeProtocol, "the first frame is no SETTINGS"}
		}
		if length > maxFrame {
			return connError{http2.ErrCodeFrameSize, fmt.Sprintf("a frame of %d bytes", length)}
		}
		if err := c.block.allows(kind, id); err != nil {
			return err
		}
		if c.to-c.from < frameHead+length {
			return nil
		}
		payload := c.in[c.from+frameHead : c.from+frameHead+length]
		c.from += frameHead + length
		if err := c.frame(kind, flags, id, payload); err != nil {
			return err
		}
	}
	return nil
}

// frame takes one frame. An error ends the connection.
func (c *Conn) frame(kind http2.FrameType, flags http2.Flags, id uint32, p []byte) error {
	switch kind {
	case http2.FrameData:
		return c.data(flags, id, p)
	case http2.FrameHeaders:
		return c.headers(flags, id, p)
	case http2.FrameContinuation:
		return c.fragment(flags.Has(http2.FlagContinuationEndHeaders), p)
	case http2.FrameSettings:
		return c.settings(flags, id, p)
	case http2.FrameWindowUpdate:
		return c.windowUpdated(id, p)
	case http2.FrameRSTStream:
		return c.wasReset(id, p)
	case http2.FrameGoAway:
		return c.goAway(id, p)
	case http2.FramePing:
		return c.ping(flags, id, p)
	case http2.FramePriority:
		if id == 0 || len(p) != 5 {
			return connError{http2.ErrCodeProtocol, "a malformed PRIORITY"}
		}
	case http2.FramePushPromise:
		return connError{http2.ErrCodeProtocol, "PUSH_PROMISE, which was refused"}
	}
	return nil // of a type not known: RFC 9113, 5.5
}

// unpad takes the padding off a DATA or HEADERS payload. more is what stands
// between the length of the padding and the rest.
func unpad(flags http2.Flags, p []byte, more int) (rest []byte, ok bool) {
	pad := 0
	if flags.Has(http2.FlagDataPadded) { // the same bit in HEADERS
		if len(p) == 0 {
			return nil, false
		}
		pad, p = int(p[0]), p[1:]
	}
	if len(p) < more+pad {
		return nil, false
	}
	return p[more : len(p)-pad], true
}

func (c *Conn) ping(flags http2.Flags, id uint32, p []byte) error {
	if len(p) != 8 || id != 0 {
		return connError{http2.ErrCodeFrameSize, "a malformed PING"}
	}
	if !flags.Has(http2.FlagPingAck) {
		c.out = append(appendFrame(c.out, http2.FramePing, http2.FlagPingAck, 0, 8), p...)
	}
	return nil
}

func (c *Conn) settings(flags http2.Flags, id uint32, p []byte) error {
	ack := flags.Has(http2.FlagSettingsAck)
	if id != 0 || len(p)%6 != 0 || ack && len(p) > 0 {
		return connError{http2.ErrCodeFrameSize, "a malformed SETTINGS"}
	}
	c.first = false
	if ack {
		return nil
	}
	for ; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch http2.SettingID(binary.BigEndian.Uint16(p)) {
		case http2.SettingMaxConcurrentStreams:
			c.maxStreams = value
		case http2.SettingInitialWindowSize:
			if value > maxStreamID {
				return connError{http2.ErrCodeFlowControl, "a window over 2^31-1"}
			}
			// It counts for streams that are open, too, which may leave
			// them in debt: RFC 9113, 6.9.2.
			delta := int64(value) - c.peerStream
			c.peerStream = int64(value)
			for _, s := range c.streams {
				if s.window += delta; s.window > maxStreamID {
					return connError{http2.ErrCodeFlowControl, "a window over 2^31-1"}
				}
			}
		case http2.SettingMaxFrameSize:
			if value < maxFrame || value > 1<<24-1 {
				return connError{http2.ErrCodeProtocol, "a malformed SETTINGS_MAX_FRAME_SIZE"}
			}
		case http2.SettingHeaderTableSize:
			c.request.encode(value)
		}
	}
	c.out = appendFrame(c.out, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
	return nil
}

func (c *Conn) windowUpdated(id uint32, p []byte) error {
	if len(p) != 4 {
		return connError{http2.ErrCodeFrameSize, "a malformed WINDOW_UPDATE"}
	}
	n := int64(binary.BigEndian.Uint32(p) & maxStreamID)
	if id == 0 {
		c.peerWindow += n
		if n == 0 || c.peerWindow > maxStreamID {
			return connError{http2.ErrCodeFlowControl, "a malformed WINDOW_UPDATE"}
		}
		return nil
	}
	s := c.streams[id]
	switch {
	case s == nil:
	case n == 0:
		c.broken(s, http2.ErrCodeProtocol, "received invalid frame")
	case s.window+n > maxStreamID:
		c.broken(s, http2.ErrCodeFlowControl, "a window over 2^31-1")
	default:
		s.window += n
	}
	return nil
}

func (c *Conn) wasReset(id uint32, p []byte) error {
	if len(p) != 4 || id == 0 {
		return connError{http2.ErrCodeFrameSize, "a malformed RST_STREAM"}
	}
	if s := c.streams[id]; s != nil {
		code := http2.ErrCode(binary.BigEndian.Uint32(p))
		c.fail(s, codeOfReset(code), fmt.Sprintf("stream terminated by RST_STREAM with error code: %v", code), code == http2.ErrCodeRefusedStream)
	}
	return nil
}

// goAway stops new calls, and ends those that the server will not process.
func (c *Conn) goAway(id uint32, p []byte) error {
	if len(p) < 8 || id != 0 {
		return connError{http2.ErrCodeFrameSize, "a malformed GOAWAY"}
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	code := http2.ErrCode(binary.BigEndian.Uint32(p[4:]))
	if c.goneAway { // what was said once is not taken back
		last = min(last, c.lastID)
	}
	c.goneAway, c.lastID = true, last
	debug := p[8:]
	c.end = &EndError{GoAway: true, Err: fmt.Errorf("the server ended the connection by GOAWAY (%v, %q)", code, debug[:min(len(debug), 128)])}
	for s := c.oldest; s != nil; {
		next := s.next
		if s.id > last {
			c.fail(s, codeUnavailable, "the stream is rejected because server is draining the connection", true)
		}
		s = next
	}
	return nil
}
