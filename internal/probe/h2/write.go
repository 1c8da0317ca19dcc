package h2

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/net/http2"
)

// flush writes what is there in one go.
func (c *Conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.now = time.Now()
	if c.writeBy.Sub(c.now) < c.conf.Timeout/2 { // moved ahead now and then: it costs
		c.writeBy = c.now.Add(c.conf.Timeout)
		if err := c.conn.SetWriteDeadline(c.writeBy); err != nil {
			return &EndError{Err: err}
		}
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > 2*writeBuffer {
		c.out = nil
	}
	if err != nil {
		return &EndError{Err: fmt.Errorf("writing: %w", err)}
	}
	return nil
}

func appendFrame(out []byte, kind http2.FrameType, flags http2.Flags, id uint32, length int) []byte {
	return append(out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendSetting(out []byte, id http2.SettingID, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(out, uint16(id)), value)
}

func (c *Conn) windowUpdate(id uint32, n int) {
	c.out = appendFrame(c.out, http2.FrameWindowUpdate, 0, id, 4)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(n))
}

func (c *Conn) reset(s *stream, code http2.ErrCode) {
	c.out = appendFrame(c.out, http2.FrameRSTStream, 0, s.id, 4)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(code))
}
