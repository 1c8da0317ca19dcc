package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Faults 41 to 44: every way in which an address can't be used has its kind.
func TestOpenNamesWhatIsWrong(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	old, oldPool := cert(t, "app.example", time.Now().Add(-time.Hour))
	h2 := func(c tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2"}}
	}
	trust := &tls.Config{RootCAs: pool, ServerName: "app.example"}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	plainGRPC := serveGRPC(t, grpc.NewServer())
	reset := accept(t, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })

	only12 := h2(good)
	only12.MaxVersion = tls.VersionTLS11
	only12.MinVersion = tls.VersionTLS10
	http1 := &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"http/1.1"}}
	mutual := h2(good)
	mutual.ClientAuth = tls.RequireAnyClientCert
	for name, tc := range map[string]struct {
		target Target
		want   Kind
		within time.Duration // 0: as long as it takes
	}{
		"unknown name":      {Target{Addr: "no-such-host.invalid:80"}, KindName, 0},
		"refused":           {Target{Addr: closed.Addr().String()}, KindRefused, 0},
		"black hole":        {Target{Addr: "hole:80", Network: blackHole}, KindTimeout, 50 * time.Millisecond},
		"silent":            {Target{Addr: accept(t, drain)}, KindSilent, time.Second},
		"silent, TLS":       {Target{Addr: accept(t, drain), TLS: trust}, KindSilent, time.Second},
		"closed at once":    {Target{Addr: accept(t, func(net.Conn) {})}, KindClosed, 0},
		"reset at once":     {Target{Addr: reset}, KindClosed, 0},
		"closed, TLS":       {Target{Addr: accept(t, func(net.Conn) {}), TLS: trust}, KindClosed, 0},
		"plain to TLS":      {Target{Addr: tlsServer(t, h2(good))}, KindNeedsTLS, 0},
		"plain, an alert":   {Target{Addr: says(t, alert)}, KindNeedsTLS, 0},
		"TLS to plain gRPC": {Target{Addr: plainGRPC, TLS: trust}, KindPlaintext, 0},
		"TLS to HTTP/1":     {Target{Addr: says(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), TLS: trust}, KindPlaintext, 0},
		"HTTP/1":            {Target{Addr: says(t, "HTTP/1.1 400 Bad Request\r\n\r\n")}, KindHTTP1, 0},
		"SSH":               {Target{Addr: says(t, "SSH-2.0-OpenSSH_9.9\r\n")}, KindNotHTTP2, 0},
		"ALPN: http/1.1":    {Target{Addr: tlsServer(t, http1), TLS: trust}, KindALPN, 0},
		"ALPN: none":        {Target{Addr: tlsServer(t, &tls.Config{Certificates: []tls.Certificate{good}}), TLS: trust}, KindALPN, 0},
		"expired":           {Target{Addr: tlsServer(t, h2(old)), TLS: &tls.Config{RootCAs: oldPool, ServerName: "app.example"}}, KindExpired, 0},
		"wrong name":        {Target{Addr: tlsServer(t, h2(good)), Authority: "other.example:443", TLS: &tls.Config{RootCAs: pool}}, KindWrongName, 0},
		"unknown CA":        {Target{Addr: tlsServer(t, h2(good)), TLS: &tls.Config{ServerName: "app.example"}}, KindUnknownCA, 0},
		"TLS 1.1":           {Target{Addr: tlsServer(t, only12), TLS: &tls.Config{RootCAs: pool, ServerName: "app.example", MinVersion: tls.VersionTLS10}}, KindTLS, 0},
		"client cert":       {Target{Addr: tlsServer(t, mutual), TLS: trust}, KindClientCert, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tc.within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tc.within)
				defer cancel()
			}
			conn, err := Open(ctx, tc.target)
			if err == nil {
				_ = conn.Close()
				t.Fatal("it opened")
			}
			var dial *DialError
			if !errors.As(err, &dial) || dial.Kind != tc.want {
				t.Fatalf("kind %v, want %v: %v", dial.Kind, tc.want, err)
			}
			text := err.Error()
			if !strings.HasPrefix(text, tc.target.Addr+": ") || !strings.Contains(text, "; ") || strings.ContainsAny(text, "\r\n") || strings.Contains(text, "turn TLS") { // no command has a flag for that
				t.Errorf("not one line of address, reason and next step: %q", text)
			}
		})
	}
}

func TestOpenStopsWhenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr := accept(t, func(conn net.Conn) { cancel(); drain(conn) })
	_, err := Open(ctx, Target{Addr: addr})
	var dial *DialError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &dial) || dial.Kind != KindCanceled {
		t.Fatal(err)
	}
}

func TestTLSByAuthority(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	addr := serveGRPC(t, grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&good))))
	config := &tls.Config{RootCAs: pool}
	conn := open(t, Target{Addr: addr, Authority: "app.example:443", TLS: config})
	if s := conn.Call(t.Context(), Call{Path: "/a.B/C"}); s.NoAnswer || s.Code.String() != "Unimplemented" {
		t.Errorf("%+v", s)
	}
	if len(config.NextProtos) != 0 || config.ServerName != "" {
		t.Error("the caller's configuration was changed")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	addr := serveGRPC(t, grpc.NewServer())
	sentinel := open(t, Target{Addr: addr}) // the server's own goroutines exist by now
	sentinel.Call(t.Context(), Call{Path: "/a.B/C"})
	before := goleak.IgnoreCurrent()
	for range 20 {
		conn, err := Open(t.Context(), Target{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		conn.Call(t.Context(), Call{Path: "/a.B/C"})
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if s := conn.Call(t.Context(), Call{Path: "/a.B/C"}); !s.NoAnswer {
			t.Fatal("a closed connection answered")
		}
	}
	goleak.VerifyNone(t, before)
}

func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func blackHole(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
