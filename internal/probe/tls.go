package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// Secured says how a connection was secured.
type Secured struct {
	// Version is "TLS 1.2" or "TLS 1.3".
	Version string
	// ServerName is the name that the server was asked for, and that its
	// certificate had to be for.
	ServerName string
	// Skipped: the certificate was not verified, as asked. Refusal is then why a
	// client that verifies would have refused it, or "".
	Skipped bool
	Refusal string
	// ClientCertificate: there was one to show, had the server asked.
	ClientCertificate bool
}

// TLS says how the connection was secured; nil: it is plaintext.
func (c *Conn) TLS() *Secured { return c.secured }

// secure does TLS below the wire's watch, so that the watch sees HTTP/2.
func secure(ctx context.Context, raw net.Conn, target Target) (net.Conn, *Secured, Kind, error) {
	if target.TLS == nil {
		return raw, nil, "", nil
	}
	config := target.TLS.Clone()
	config.NextProtos = []string{"h2"}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if config.ServerName == "" {
		config.ServerName = hostOf(target.Authority)
	}
	if len(config.Certificates) > 0 {
		// Go shows none to a server that names other CAs; that server's refusal
		// says more than silence.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &config.Certificates[0], nil }
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		kind := tlsKind(ctx, err, config)
		if kind == KindClosed {
			kind = KindTLSClosed
		}
		return nil, nil, kind, err
	}
	state := conn.ConnectionState()
	if got := state.NegotiatedProtocol; got != "h2" {
		return nil, nil, KindALPN, fmt.Errorf("it chose %q", got)
	}
	how := &Secured{Version: tls.VersionName(state.Version), ServerName: config.ServerName, Skipped: config.InsecureSkipVerify,
		ClientCertificate: len(config.Certificates) > 0}
	if how.Skipped {
		how.Refusal = refusal(state.PeerCertificates, config)
	}
	return conn, how, "", nil
}

// refusal is why a client that verifies would have refused the certificates,
// or "".
func refusal(chain []*x509.Certificate, config *tls.Config) string {
	if len(chain) == 0 {
		return "the server showed no certificate"
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: between, DNSName: config.ServerName})
	if err != nil {
		return err.Error()
	}
	return ""
}

// speaksTLS asks by a second connection, made only once the first one failed:
// many TLS servers (Go's among them) close on plaintext without an alert. The
// certificate is verified like any; that it is not acceptable proves TLS too.
func speaksTLS(ctx context.Context, target Target) bool {
	raw, err := connect(ctx, target)
	if err != nil {
		return false
	}
	defer func() { _ = raw.Close() }()
	w := newWire(raw)
	_ = tls.Client(w, &tls.Config{ServerName: hostOf(target.Authority), MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	return firstKind(w.firstBytes()) == KindNeedsTLS
}

// done tells grpc-go that TLS is already spoken, so that :scheme is https.
type done struct{}

// ClientHandshake has nothing left to do.
func (done) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, secureInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

// ServerHandshake is not for a client.
func (done) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("a probe is no server")
}

// Info says TLS.
func (done) Info() credentials.ProtocolInfo { return credentials.ProtocolInfo{SecurityProtocol: "tls"} }

// Clone is itself: it holds nothing.
func (d done) Clone() credentials.TransportCredentials { return d }

// OverrideServerName does nothing: names were verified in the handshake.
func (done) OverrideServerName(string) error { return nil }

type secureInfo struct{ credentials.CommonAuthInfo }

// AuthType names the handshake.
func (secureInfo) AuthType() string { return "tls" }

func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}
