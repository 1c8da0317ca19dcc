package cmd

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"grpcmesh/internal/script"
)

// serveTLS gives a script servers that speak TLS: $TLS, with the certificate
// that server-ca.crt signed for server.example; $MUTUAL, which asks for a
// client's that client-ca.crt signed; $EXPIRED, whose certificate is; $HTTP1,
// which has no HTTP/2; and $TLS11, which has nothing newer.
func serveTLS(env *testscript.Env) error {
	const host = "server.example"
	day := 24 * time.Hour
	good, err := script.MakeCerts(env.WorkDir, "server", time.Now().Add(day), host)
	if err != nil {
		return err
	}
	old, err := script.MakeCerts(env.WorkDir, "expired", time.Now().Add(-time.Hour), host)
	if err != nil {
		return err
	}
	if _, err := script.MakeCerts(env.WorkDir, "client", time.Now().Add(day), "client.example"); err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(env.WorkDir, "client-ca.crt"))
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	for name, config := range map[string]*tls.Config{
		"TLS":     {Certificates: []tls.Certificate{good}},
		"MUTUAL":  {Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
		"EXPIRED": {Certificates: []tls.Certificate{old}},
	} {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
		go func() { _ = srv.Serve(lis) }()
		env.Defer(srv.Stop)
		env.Setenv(name, lis.Addr().String())
	}
	for name, config := range map[string]*tls.Config{
		"HTTP1": {Certificates: []tls.Certificate{good}, NextProtos: []string{"http/1.1"}},
		"TLS11": {Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
	} {
		lis, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := lis.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() }()
			}
		}()
		env.Defer(func() { _ = lis.Close() })
		env.Setenv(name, lis.Addr().String())
	}
	return nil
}
