package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// batch is Calls for a number of calls, with the one retry that a call gets
// which the server didn't process.
type batch struct {
	left   int
	again  int
	got    []outcome
	unsent int
	each   func(*Result)
}

// outcome is a Result kept.
type outcome struct {
	Result
}

func (b *batch) Next() (Call, bool) {
	if b.again > 0 {
		b.again--
		return Call{Again: true}, true
	}
	if b.left == 0 {
		return Call{}, false
	}
	b.left--
	return Call{}, true
}

func (b *batch) Return(Call) { b.unsent++ }

func (b *batch) Done(r *Result) {
	if r.Unprocessed && !r.Again {
		b.again++
		return
	}
	if b.each != nil {
		b.each(r)
	}
	kept := *r
	kept.Header, kept.Trailer, kept.Body = append([]hpack.HeaderField(nil), r.Header...), append([]hpack.HeaderField(nil), r.Trailer...), bytes.Clone(r.Body)
	b.got = append(b.got, outcome{kept})
}

func config(payload []byte) Config {
	return Config{Scheme: "http", Authority: "app.example", Path: "/a.B/C", Payload: payload, KeepBody: true, Timeout: 10 * time.Second,
		Fields: fields("x-run", "1")}
}

// dial opens a connection of the engine's, and closes it by done.
func dial(ctx context.Context, t testing.TB, addr string, conf Config, over *tls.Config) (c *Conn, done func()) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if over != nil {
		conn = tls.Client(conn, over)
	}
	c, err = New(ctx, conn, conf)
	if err != nil {
		_ = conn.Close()
		t.Fatal(err)
	}
	return c, func() { _ = conn.Close() }
}

// run makes n calls to a server of its own.
func run(t testing.TB, s *server, conf Config, n int) (*batch, error) {
	t.Helper()
	s.payload = conf.Payload
	addr, stop := listen(t, s.serve)
	defer stop()
	c, done := dial(t.Context(), t, addr, conf, nil)
	b := &batch{left: n}
	err := c.Run(t.Context(), b)
	done()
	stop()
	for _, w := range s.wrong {
		t.Error("the client broke a rule:", w)
	}
	if len(b.got)+b.unsent+b.left+b.again != n {
		t.Errorf("%d done, %d returned, %d not taken: not %d", len(b.got), b.unsent, b.left+b.again, n)
	}
	return b, err
}
