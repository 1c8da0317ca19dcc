package h2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What this side allows and uses.
const (
	frameHead    = 9       // RFC 9113, 4.1
	maxFrame     = 16384   // the least that SETTINGS_MAX_FRAME_SIZE may be, and what we keep to
	readBuffer   = 4 << 14 // several of the longest frames
	writeBuffer  = 1 << 18 // beyond this, what there is to send is sent first
	defaultSize  = 65535   // windows before any SETTINGS
	streamWindow = 1 << 20
	connWindow   = 8 << 20
	headerTable  = 4096 // of the peer's encoder, which we don't change
	maxStreamID  = 1<<31 - 1
)

// EndError says why a connection takes no more calls.
type EndError struct {
	// GoAway: the server ended it in order.
	GoAway bool
	// Err is the cause.
	Err error
}

// Error is the cause's text.
func (e *EndError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *EndError) Unwrap() error { return e.Err }

// connError is what ends the connection with a GOAWAY of ours.
type connError struct {
	code http2.ErrCode
	why  string
}

func (e connError) Error() string { return fmt.Sprintf("connection error: %v: %s", e.code, e.why) }

// Conn is one connection. Its methods are for one goroutine at a time.
type Conn struct {
	conn net.Conn
	conf Config

	in       []byte // in[from:to] is read and not yet walked
	from, to int
	out      []byte // to be written next
	first    bool   // the next frame must be SETTINGS
	readBy   time.Time
	writeBy  time.Time
	now      time.Time // of the last read or write
	end      *EndError // set: no new calls

	request        request
	nextID         uint32
	streams        map[uint32]*stream
	oldest, newest *stream // in the order sent
	free           []*stream
	held           Call // taken from Calls at heldAt, not yet sent
	heldAt         time.Time
	holds          bool
	maxStreams     uint32
	peerWindow     int64     // for all streams together
	peerStream     int64     // for a new stream
	blocked        []*stream // waiting for a window, in order
	received       int       // of the connection's window, not yet given back
	goneAway       bool
	lastID         uint32 // of the GOAWAY

	decoder *hpack.Decoder
	block   block
	calls   Calls
	result  Result
}

// New begins HTTP/2 on a connection, over TLS or not, and waits for the
// server's SETTINGS until the connection's deadline or ctx ends. Closing conn
// stays with the caller.
func New(ctx context.Context, conn net.Conn, conf Config) (*Conn, error) {
	conf.defaults()
	c := &Conn{
		conn: conn, conf: conf, in: make([]byte, readBuffer), first: true,
		nextID: 1, streams: make(map[uint32]*stream, conf.InFlight), maxStreams: maxStreamID,
		peerWindow: defaultSize, peerStream: defaultSize,
	}
	c.decoder = hpack.NewDecoder(headerTable, c.field)
	c.decoder.SetMaxStringLength(int(conf.MaxHeaders))
	if err := c.request.prepare(conf); err != nil {
		return nil, err
	}
	c.out = append(c.out, http2.ClientPreface...)
	c.out = appendFrame(c.out, http2.FrameSettings, 0, 0, 18)
	c.out = appendSetting(c.out, http2.SettingEnablePush, 0)
	c.out = appendSetting(c.out, http2.SettingInitialWindowSize, streamWindow)
	c.out = appendSetting(c.out, http2.SettingMaxHeaderListSize, conf.MaxHeaders)
	c.windowUpdate(0, connWindow-defaultSize)
	defer context.AfterFunc(ctx, c.interrupt)()
	if err := c.flush(); err != nil {
		return nil, err
	}
	for c.first {
		if err := c.read(ctx, time.Time{}); err != nil {
			return nil, err
		}
	}
	return c, c.flush()
}

// interrupt wakes a read and a write at once.
func (c *Conn) interrupt() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }

// Run makes calls until there are none left and returns nil; or until the
// connection takes no more, and returns an *EndError. Every call taken from
// calls is then done or returned. A call in flight when ctx ends is done as
// Canceled, and the connection is spent.
func (c *Conn) Run(ctx context.Context, calls Calls) error {
	c.calls = calls
	defer context.AfterFunc(ctx, c.interrupt)()
	for {
		wait, err := c.send(ctx)
		if err == nil {
			if len(c.streams) == 0 && c.end != nil {
				err = c.end
			} else if len(c.streams) == 0 && !c.holds {
				return nil
			} else {
				err = c.read(ctx, wait)
			}
		}
		if err != nil {
			return c.finish(ctx, err)
		}
	}
}

// send starts the calls that are due and may be started, writes all that is
// to be written, and says until when at most to wait for the server.
func (c *Conn) send(ctx context.Context) (time.Time, error) {
	c.now = time.Now()
	c.expire()
	for c.end == nil {
		if !c.holds {
			if c.held, c.holds = c.calls.Next(); !c.holds {
				break
			}
			c.heldAt = c.now
		}
		if c.full() || c.held.Due.After(c.now) {
			break
		}
		c.start(c.held)
		c.holds = false
		if len(c.out) > writeBuffer {
			if err := c.flush(); err != nil {
				return time.Time{}, err
			}
		}
	}
	for more := true; more; {
		more = c.unblock()
		if err := c.flush(); err != nil {
			return time.Time{}, err
		}
	}
	var wait time.Time
	if c.oldest != nil {
		wait = c.oldest.sent.Add(c.conf.Timeout)
	}
	switch {
	case c.holds && !c.full() && (wait.IsZero() || c.held.Due.Before(wait)):
		wait = c.held.Due
	case c.holds && wait.IsZero():
		wait = c.heldAt.Add(c.conf.Timeout)
	}
	return wait, ctx.Err()
}

// full: no further call may be in flight.
func (c *Conn) full() bool {
	return len(c.streams) >= c.conf.InFlight || uint32(len(c.streams)) >= c.maxStreams
}

// read waits for bytes of the server, until a time if it isn't zero, and
// walks the frames among them.
func (c *Conn) read(ctx context.Context, until time.Time) error {
	// A deadline that stands is left alone if it is early: to wake for
	// nothing now and then is cheaper than to set one for each call.
	if passed := !c.readBy.After(c.now); !until.IsZero() && (passed || until.Before(c.readBy)) || until.IsZero() && !c.readBy.IsZero() {
		c.readBy = until
		if err := c.conn.SetReadDeadline(until); err != nil {
			return &EndError{Err: err}
		}
	}
	if ctx.Err() != nil { // the interrupt may have come before the deadline
		return ctx.Err()
	}
	if c.from > 0 {
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
	n, err := c.conn.Read(c.in[c.to:])
	c.now = time.Now()
	c.to += n
	if bad := c.walk(); bad != nil {
		return bad
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.readBy.IsZero():
		c.readBy = time.Unix(1, 0) // it must be set anew
		return nil
	}
	return &EndError{Err: fmt.Errorf("reading: %w", err)}
}

// finish ends every call that is left, and the connection.
func (c *Conn) finish(ctx context.Context, err error) error {
	if c.holds {
		c.calls.Return(c.held)
		c.holds = false
	}
	var ours connError
	var end *EndError
	switch {
	case errors.As(err, &ours):
		end = &EndError{Err: err}
		c.out = appendFrame(c.out, http2.FrameGoAway, 0, 0, 8)
		c.out = binary.BigEndian.AppendUint32(c.out, 0)
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(ours.code))
		_ = c.flush()
	case !errors.As(err, &end):
		end = &EndError{Err: err}
	}
	c.end = end
	for c.oldest != nil {
		c.fail(c.oldest, codeOfEnd(ctx), end.Error(), false)
	}
	return end
}

// expire ends the calls whose time is over; one that could not even be sent
// is one of them, where the server allows none.
func (c *Conn) expire() {
	if c.holds && c.maxStreams == 0 && len(c.streams) == 0 && c.now.Sub(c.heldAt) >= c.conf.Timeout {
		c.holds = false
		c.result = Result{Call: c.held, Sent: c.heldAt, End: c.now, Code: codeDeadline, Outcome: NoAnswer, Message: "the server allows no call at all"}
		c.calls.Done(&c.result)
	}
	for c.oldest != nil && c.now.Sub(c.oldest.sent) >= c.conf.Timeout {
		s := c.oldest
		c.reset(s, http2.ErrCodeCancel)
		c.fail(s, codeDeadline, "no answer in time", false)
	}
}
