package probe

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// TestFor: calls of another authority go by the same connection, say their own
// authority, and closing them leaves the connection to the others.
func TestFor(t *testing.T) {
	seen, conns := make(chan string, 10), make(chan net.Conn, 10)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		seen <- md.Get(":authority")[0]
		return nil
	}))
	addr := serveGRPC(t, server)
	raw := func(ctx context.Context) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		conns <- c
		return c, err
	}
	conn := open(t, Target{Addr: addr, Authority: "a.example", Network: raw})
	other, err := conn.For("b.example", 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Conn{conn, other, conn} {
		c.Call(t.Context(), Call{Path: "/a.B/C"})
	}
	if got := []string{<-seen, <-seen, <-seen}; got[0] != "a.example" || got[1] != "b.example" || got[2] != "a.example" || len(conns) != 1 {
		t.Errorf("%v on %d connections", got, len(conns))
	}
	if s := other.Call(t.Context(), Call{Path: "/a.B/C"}); s.Conn != 3 || s.Seq != 2 {
		t.Errorf("%+v", s)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if s := conn.Call(t.Context(), Call{Path: "/a.B/C"}); s.NoAnswer || s.Code == codes.Unavailable {
		t.Errorf("closing the one ended the other: %+v", s)
	}
}

// TestForOverTLS: another name was never verified.
func TestForOverTLS(t *testing.T) {
	good, pool := cert(t, "app.example", time.Now().Add(time.Hour))
	addr := serveGRPC(t, grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&good))))
	conn := open(t, Target{Addr: addr, Authority: "app.example", TLS: &tls.Config{RootCAs: pool}})
	if _, err := conn.For("other.example", 0); err == nil {
		t.Error("a connection verified for app.example is used for other.example")
	}
	if _, err := conn.For("app.example", 0); err != nil {
		t.Error(err)
	}
}
