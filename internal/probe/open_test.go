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

// dialCase is a target that can't be used, and how that is named.
type dialCase struct {
	target Target
	want   Kind
	within time.Duration // 0: as long as it takes
}

// faults: 41
//
// Fault 41: refused, black-holed and an unknown name are told apart.
func TestFault41NothingIsThere(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	reset := accept(t, func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) })
	_, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	trust := &tls.Config{RootCAs: pool, ServerName: "app.example"}
	refuses(t, map[string]dialCase{
		"unknown name":   {Target{Addr: "no-such-host.invalid:80"}, KindName, 0},
		"refused":        {Target{Addr: closed.Addr().String()}, KindRefused, 0},
		"black hole":     {Target{Addr: "hole:80", Network: blackHole}, KindTimeout, 50 * time.Millisecond},
		"silent":         {Target{Addr: accept(t, drain)}, KindSilent, time.Second},
		"silent, TLS":    {Target{Addr: accept(t, drain), TLS: trust}, KindSilent, time.Second},
		"closed at once": {Target{Addr: accept(t, func(net.Conn) {})}, KindClosed, 0},
		"reset at once":  {Target{Addr: reset}, KindClosed, 0},
		"closed, TLS":    {Target{Addr: accept(t, func(net.Conn) {}), TLS: trust}, KindTLSClosed, 0},
	})
}

// faults: 42
//
// Fault 42: TLS to plaintext and back, no ALPN, HTTP/1 only.
func TestFault42AnotherProtocolIsSpoken(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	trust := &tls.Config{RootCAs: pool, ServerName: "app.example"}
	http1 := &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"http/1.1"}}
	refuses(t, map[string]dialCase{
		"plain to TLS":      {Target{Addr: tlsServer(t, speaksH2(good))}, KindNeedsTLS, 0},
		"plain, an alert":   {Target{Addr: says(t, alert)}, KindNeedsTLS, 0},
		"TLS to plain gRPC": {Target{Addr: serveGRPC(t, grpc.NewServer()), TLS: trust}, KindPlaintext, 0},
		"TLS to HTTP/1":     {Target{Addr: says(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), TLS: trust}, KindPlaintext, 0},
		"HTTP/1":            {Target{Addr: says(t, "HTTP/1.1 400 Bad Request\r\n\r\n")}, KindHTTP1, 0},
		"SSH":               {Target{Addr: says(t, "SSH-2.0-OpenSSH_9.9\r\n")}, KindNotHTTP2, 0},
		"ALPN: http/1.1":    {Target{Addr: tlsServer(t, http1), TLS: trust}, KindALPN, 0},
		"ALPN: none":        {Target{Addr: tlsServer(t, &tls.Config{Certificates: []tls.Certificate{good}}), TLS: trust}, KindALPN, 0},
	})
}

// faults: 43
//
// Fault 43: a certificate that is expired, for another name or of an unknown
// CA fails closed; so does a client's that is missing or of an unknown CA.
func TestFault43CertificatesFailClosed(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	old, oldPool := cert(t, "app.example", time.Now().Add(-time.Hour))
	client, clients := cert(t, "client.example", time.Now().Add(time.Hour))
	trust := func(own ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: pool, ServerName: "app.example", Certificates: own}
	}
	any, strict, strict12 := speaksH2(good), speaksH2(good), speaksH2(good)
	any.ClientAuth = tls.RequireAnyClientCert
	strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, clients
	strict12.ClientAuth, strict12.ClientCAs, strict12.MaxVersion = tls.RequireAndVerifyClientCert, clients, tls.VersionTLS12
	refuses(t, map[string]dialCase{
		"expired":              {Target{Addr: tlsServer(t, speaksH2(old)), TLS: &tls.Config{RootCAs: oldPool, ServerName: "app.example"}}, KindExpired, 0},
		"wrong name":           {Target{Addr: tlsServer(t, speaksH2(good)), Authority: "other.example:443", TLS: &tls.Config{RootCAs: pool}}, KindWrongName, 0},
		"unknown CA":           {Target{Addr: tlsServer(t, speaksH2(good)), TLS: &tls.Config{ServerName: "app.example"}}, KindUnknownCA, 0},
		"client none":          {Target{Addr: tlsServer(t, any), TLS: trust()}, KindClientCert, 0},
		"client none, checked": {Target{Addr: tlsServer(t, strict), TLS: trust()}, KindClientCert, 0},
		"client unknown CA":    {Target{Addr: tlsServer(t, strict), TLS: trust(old)}, KindRejected, 0},
		"the same, TLS 1.2":    {Target{Addr: tlsServer(t, strict12), TLS: trust(old)}, KindRejected, 0},
	})
	conn := open(t, Target{Addr: serveGRPC(t, grpc.NewServer(grpc.Creds(credentials.NewTLS(strict)))), TLS: trust(client)})
	if how := conn.TLS(); how == nil || !how.ClientCertificate || how.Skipped || how.Version != "TLS 1.3" || how.ServerName != "app.example" {
		t.Errorf("%+v", how)
	}
}

// faults: 43
//
// Fault 43: where verification is skipped, what it would have said is known.
func TestFault43SkippingIsKnown(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	old, oldPool := cert(t, "app.example", time.Now().Add(-time.Hour))
	for name, tc := range map[string]struct {
		server tls.Certificate
		config *tls.Config
		want   string
	}{
		"unknown CA": {good, &tls.Config{ServerName: "app.example"}, "unknown authority"},
		"wrong name": {good, &tls.Config{ServerName: "other.example", RootCAs: pool}, "not other.example"},
		"expired":    {old, &tls.Config{ServerName: "app.example", RootCAs: oldPool}, "expired"},
		"good":       {good, &tls.Config{ServerName: "app.example", RootCAs: pool}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.InsecureSkipVerify = true
			conn := open(t, Target{Addr: serveGRPC(t, grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&tc.server)))), TLS: tc.config})
			how := conn.TLS()
			if how == nil || !how.Skipped || (how.Refusal == "") != (tc.want == "") || !strings.Contains(how.Refusal, tc.want) {
				t.Errorf("%+v", how)
			}
		})
	}
}

// faults: 44
//
// Fault 44: TLS 1.1 is refused, whatever the caller's configuration allows.
func TestFault44TLS11IsRefused(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	only11 := speaksH2(good)
	only11.MinVersion, only11.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	refuses(t, map[string]dialCase{
		"TLS 1.1": {Target{Addr: tlsServer(t, only11), TLS: &tls.Config{RootCAs: pool, ServerName: "app.example", MinVersion: tls.VersionTLS10}}, KindTLSVersion, 0},
	})
}

// refuses holds that no target opens, and that each failure has its kind and
// is one line of address, reason and next step.
func refuses(t *testing.T, cases map[string]dialCase) {
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
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
			if !strings.HasPrefix(text, tc.target.Addr+": ") || !strings.Contains(text, "; ") || strings.ContainsAny(text, "\r\n") {
				t.Errorf("not one line of address, reason and next step: %q", text)
			}
		})
	}
}

// speaksH2 is a TLS server's configuration for gRPC.
func speaksH2(c tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2"}}
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
