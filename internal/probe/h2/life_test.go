package h2

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	s := &server{payload: []byte("p"), handle: func(s *server, id uint32) {
		if id == 21 { // a pause in which a read's deadline passes within TLS
			<-time.After(250 * time.Millisecond)
		}
		s.fine(id, strings.Repeat("x", 15_000))
	}}
	addr, stop := listen(t, func(conn net.Conn) {
		s.serve(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}}))
	})
	defer stop()
	conf := config([]byte("p"))
	conf.InFlight, conf.Timeout = 4, 5*time.Second
	c, done := dial(t.Context(), t, addr, conf, &tls.Config{RootCAs: pool, ServerName: "app.example", NextProtos: []string{"h2"}})
	defer done()
	due := &paced{batch: batch{left: 100}, start: time.Now(), every: 5 * time.Millisecond}
	if err := c.Run(t.Context(), due); err != nil || len(due.got) != 100 {
		t.Fatal(err, len(due.got))
	}
	for _, r := range due.got {
		if r.Code != codes.OK || len(r.Body) != 15_000 {
			t.Errorf("%+v", r.Code)
		}
	}
}

// paced makes calls due at fixed times.
type paced struct {
	batch
	start time.Time
	every time.Duration
	n     int
}

func (p *paced) Next() (Call, bool) {
	call, ok := p.batch.Next()
	call.Due = p.start.Add(time.Duration(p.n) * p.every)
	p.n++
	return call, ok
}

// TestDue: no call is sent before it is due, and one that had to wait for
// room is still measured from then.
func TestDue(t *testing.T) {
	t.Parallel()
	const every, stall, n = 2 * time.Millisecond, 200 * time.Millisecond, 200
	s := &server{payload: []byte("p"), handle: func(s *server, id uint32) {
		if id == 41 {
			<-time.After(stall)
		}
		s.fine(id, "x")
	}}
	addr, stop := listen(t, s.serve)
	defer stop()
	c, done := dial(t.Context(), t, addr, config([]byte("p")), nil)
	defer done()
	slow, sum := 0, time.Duration(0)
	p := &paced{batch: batch{left: n}, start: time.Now(), every: every}
	p.each = func(r *Result) {
		if r.Sent.Before(r.Due) {
			t.Errorf("sent %v before it was due", r.Due.Sub(r.Sent))
		}
		if took := r.End.Sub(r.Due); took > stall/2 {
			slow++
			sum += took
		}
	}
	if err := c.Run(t.Context(), p); err != nil || len(p.got) != n {
		t.Fatal(err, len(p.got))
	}
	// The call that was held up and those due in the first half of the stall.
	if want := int(stall / 2 / every); slow < want*3/4 {
		t.Errorf("%d calls took more than %v, want about %d: only those that were sent were timed", slow, stall/2, want)
	}
}

// TestCanceled: the end of the context ends a run at once, in a read and in a
// write that nobody takes, and every call is accounted for.
func TestCanceled(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(net.Conn){
		"nobody answers": (&server{payload: make([]byte, 100), handle: func(*server, uint32) {}}).serve,
		"nobody reads": func(conn net.Conn) {
			framer := http2.NewFramer(conn, conn)
			_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			_ = framer.WriteWindowUpdate(0, 1<<30)
			<-time.After(2 * time.Second)
			_, _ = io.Copy(io.Discard, conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, stop := listen(t, serve)
			defer stop()
			conf := config(make([]byte, 100))
			if conf.InFlight = 3; name == "nobody reads" {
				conf.Payload = make([]byte, 64<<20)
			}
			c, done := dial(t.Context(), t, addr, conf, nil)
			defer done()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			b := &batch{left: 10}
			begun := time.Now()
			err := c.Run(ctx, b)
			if took := time.Since(begun); err == nil || took > 1500*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
			if len(b.got)+b.unsent+b.left != 10 || len(b.got) == 0 {
				t.Errorf("%d done, %d returned, %d left", len(b.got), b.unsent, b.left)
			}
			for _, r := range b.got {
				if r.Code != codes.Canceled || r.Outcome != NoAnswer {
					t.Errorf("%+v", r.Result)
				}
			}
		})
	}
}

// TestNoHTTP2: what says something else than SETTINGS, or nothing, is told.
func TestNoHTTP2(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "", "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		addr, stop := listen(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, said)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		})
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = New(t.Context(), conn, config(nil)); err == nil {
			t.Errorf("%q was taken for HTTP/2", said)
		}
		_ = conn.Close()
		stop()
	}
	addr, stop := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	defer stop()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := New(ctx, conn, config(nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
}

// TestMemory: what the engine holds does not grow with the calls.
func TestMemory(t *testing.T) { //nolint:paralleltest // it counts what all tests hold
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := &server{payload: []byte("p"), handle: func(s *server, id uint32) {
		s.list(id, how{}, fields(":status", "200", "content-type", "application/grpc", "each", fmt.Sprint("its own ", id))...)
		_ = s.WriteData(id, false, message(0, "x"))
		s.list(id, how{End: true}, fields("grpc-status", "0")...)
		delete(s.streams, id)
	}}
	addr, stop := listen(t, s.serve)
	defer stop()
	conf := config([]byte("p"))
	conf.InFlight = 20
	c, done := dial(t.Context(), t, addr, conf, nil)
	defer done()
	calls := &counted{left: 1000}
	if err := c.Run(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	before := heap()
	calls.left = 50_000
	if err := c.Run(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	if after := heap(); after > before+50_000 {
		t.Errorf("%d bytes held after 1,000 calls, %d after 50,000 more", before, after)
	}
	if calls.ok != 51_000 {
		t.Errorf("%d calls were answered", calls.ok)
	}
}

type counted struct{ left, ok int }

func (c *counted) Next() (Call, bool) { c.left--; return Call{}, c.left >= 0 }
func (c *counted) Return(Call)        {}
func (c *counted) Done(r *Result) {
	if r.Code == codes.OK {
		c.ok++
	}
}
