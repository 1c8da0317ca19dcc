package probe

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	frameHeader = 9 // RFC 9113, 4.1
	lastWords   = 100 * time.Millisecond
	maxGoAway   = 136 // last stream, error code and 128 bytes of debug data
)

// wire watches the frame headers that a server sends on a plaintext HTTP/2
// byte stream (beneath it is TLS, if any). grpc-go hides which GOAWAY came
// when, and what the first bytes were of a server that doesn't speak HTTP/2.
type wire struct {
	net.Conn

	settings chan struct{} // closed when the server's SETTINGS frame began
	failed   chan struct{} // closed when the stream ended or is not HTTP/2

	mu      sync.Mutex
	head    []byte // the first bytes received, for naming what they are
	frame   []byte // the part of a frame header received so far
	left    int    // bytes of payload still to come
	kind    http2.FrameType
	begun   bool
	bad     bool
	goAways int
	goAway  []byte // payload of the last GOAWAY, capped
	err     error  // the first error of reading or writing
}

func newWire(conn net.Conn) *wire {
	return &wire{Conn: conn, settings: make(chan struct{}), failed: make(chan struct{})}
}

// Read passes bytes on as they are.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parse(p[:n])
	w.note(err)
	return n, err
}

// Write passes bytes on; a failure is kept as the connection's end. What the
// server said before it hung up (a TLS alert, say) is the better reason, and
// may lie unread: grpc-go reads nothing once its preface could not be written.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil {
		if w.cause() == nil {
			_ = w.SetReadDeadline(time.Now().Add(lastWords))
			_, _ = w.Read(make([]byte, 64))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.note(err)
	}
	return n, err
}

func (w *wire) note(err error) {
	if err == nil || w.err != nil {
		return
	}
	w.err = err
	if !w.bad {
		close(w.failed)
	}
}

func (w *wire) parse(p []byte) {
	if room := 64 - len(w.head); room > 0 {
		w.head = append(w.head, p[:min(room, len(p))]...)
	}
	for len(p) > 0 && !w.bad {
		if w.left > 0 {
			n := min(w.left, len(p))
			if w.kind == http2.FrameGoAway {
				w.goAway = append(w.goAway, p[:min(n, maxGoAway-len(w.goAway))]...)
			}
			w.left -= n
			p = p[n:]
			continue
		}
		n := min(frameHeader-len(w.frame), len(p))
		w.frame = append(w.frame, p[:n]...)
		p = p[n:]
		// The type is told by the fourth byte; a TLS alert has but seven.
		if !w.begun && len(w.frame) > 3 && http2.FrameType(w.frame[3]) != http2.FrameSettings {
			w.bad = true // SETTINGS must come first: RFC 9113, 3.4
			if w.err == nil {
				close(w.failed)
			}
			return
		}
		if len(w.frame) == frameHeader {
			w.start()
		}
	}
}

// start takes a whole frame header.
func (w *wire) start() {
	w.left = int(binary.BigEndian.Uint32(w.frame[:4]) >> 8)
	w.kind = http2.FrameType(w.frame[3])
	w.frame = w.frame[:0]
	if !w.begun {
		w.begun = true
		close(w.settings)
	}
	if w.kind == http2.FrameGoAway {
		w.goAways++
		w.goAway = w.goAway[:0]
	}
}

// firstBytes are up to 64 bytes that the server sent first.
func (w *wire) firstBytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]byte(nil), w.head...)
}

// cause is the error that ended the stream, nil while it stands.
func (w *wire) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// sawGoAway tells whether a GOAWAY arrived.
func (w *wire) sawGoAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.goAways > 0
}

// ended says in words why no new call can be made, empty while one can.
func (w *wire) ended() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.goAways > 0 && len(w.goAway) >= 8:
		code := http2.ErrCode(binary.BigEndian.Uint32(w.goAway[4:8]))
		return fmt.Sprintf("the server ended the connection by GOAWAY (%v, %q)", code, w.goAway[8:])
	case w.goAways > 0:
		return "the server ended the connection by GOAWAY"
	case w.err != nil:
		return "the connection ended: " + w.err.Error()
	}
	return ""
}
