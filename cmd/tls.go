package cmd

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
)

// tlsFlags say how verify secures its connection.
type tlsFlags struct {
	use        bool
	caFile     string
	cert, key  string
	serverName string
	skipVerify bool

	off    bool        // --tls=false was given
	config *tls.Config // what they come to, once read; nil: plaintext
}

// tlsNames are their names. But for the first each implies it.
func tlsNames() []string {
	return []string{"tls", "ca-file", "cert", "key", "server-name", "insecure-skip-verify"}
}

func (t *tlsFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&t.use, "tls", false, "Call with TLS; the flags below imply it. The server's certificate must be for the host that calls ask for.")
	fs.StringVar(&t.caFile, "ca-file", "", "`FILE` of the CA certificates (PEM) that the server's must come from. Default: the system's.")
	fs.StringVar(&t.cert, "cert", "", "`FILE` of a client certificate (PEM), its chain behind it; needs --key.")
	fs.StringVar(&t.key, "key", "", "`FILE` of the client certificate's private key (PEM).")
	fs.StringVar(&t.serverName, "server-name", "", "Name that the server is asked for by TLS and that its certificate must be for. Default: the host that calls ask for.")
	fs.BoolVar(&t.skipVerify, "insecure-skip-verify", false, "Take any certificate: whoever answers may be anyone. The report says so.")
}

// on says whether calls are made with TLS.
func (t *tlsFlags) on() bool {
	return t.use || t.caFile != "" || t.cert != "" || t.key != "" || t.serverName != "" || t.skipVerify
}

// validate refuses flags that contradict each other. It reads no file.
func (t *tlsFlags) validate() error {
	invalid := func(field, value, reason string) error {
		return &manifest.InvalidError{Field: field, Value: value, Reason: reason}
	}
	switch {
	case t.off && t.on():
		return invalid("--tls", "false", "contradicts the other flags of TLS that are given")
	case (t.cert == "") != (t.key == ""):
		return usageError{errors.New("--cert and --key go together: a certificate and its private key")}
	case t.caFile != "" && t.skipVerify:
		return usageError{errors.New("--ca-file and --insecure-skip-verify don't go together: verify the certificate, or don't")}
	case t.serverName != "" && !manifest.ValidName(t.serverName):
		return invalid("--server-name", t.serverName, "is no host name")
	}
	return nil
}

// read reads the files. One that holds something else is a *manifest.FileError.
func (t *tlsFlags) read() error {
	if !t.on() {
		return nil
	}
	config := &tls.Config{ServerName: t.serverName, InsecureSkipVerify: t.skipVerify, MinVersion: tls.VersionTLS12} //nolint:gosec // it is asked for, and the report says so
	if t.caFile != "" {
		b, err := readPEM("--ca-file", t.caFile)
		if err != nil {
			return err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return &manifest.FileError{File: t.caFile, Err: errors.New("it holds no certificate in PEM")}
		}
	}
	if t.cert != "" {
		cert, err := readPEM("--cert", t.cert)
		if err != nil {
			return err
		}
		key, err := readPEM("--key", t.key)
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return &manifest.FileError{File: t.cert, Err: fmt.Errorf("with the key of %s it is no client certificate: %w", t.key, err)}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	t.config = config
	return nil
}

// toggled are the flags for a listener that speaks TLS, or does not, whatever
// was asked for.
func (t *tlsFlags) toggled(secured bool) tlsFlags {
	switch {
	case !secured:
		return tlsFlags{}
	case t.on():
		return *t
	}
	return tlsFlags{use: true, config: &tls.Config{MinVersion: tls.VersionTLS12}}
}

func readPEM(flag, file string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if block, _ := pem.Decode(bytes.TrimSpace(b)); block == nil {
		return nil, &manifest.FileError{File: file, Err: errors.New("it is not in PEM (-----BEGIN …)")}
	}
	return b, nil
}

// nameAsked is the name that the server is asked for by TLS.
func (o *verifyOptions) nameAsked() string { return cmp.Or(o.tls.serverName, o.authorityHost()) }

// dial makes a connection. A failure that other flags of TLS may mend says
// which, as the command line to run next.
func (o *verifyOptions) dial(ctx context.Context, target probe.Target) (*probe.Conn, error) {
	c, err := probe.Open(ctx, target)
	var dial *probe.DialError
	if errors.As(err, &dial) {
		dial.Next = o.nextAfter(dial.Kind)
	}
	return c, err
}

// nextAfter is what to do about a kind of failure, or "" where its own words do.
func (o *verifyOptions) nextAfter(kind probe.Kind) string {
	next := func(why string, flags ...string) string {
		return why + ": " + strings.Join(append([]string{o.called.grpcmesh("verify", o.given...)}, flags...), " ")
	}
	switch kind {
	case probe.KindNeedsTLS:
		return next("call it with TLS", "--tls")
	case probe.KindPlaintext:
		return "call it without TLS: " + o.called.grpcmesh("verify", o.givenPlain...)
	case probe.KindUnknownCA:
		return next("name the CA that signed it", "--ca-file", "FILE")
	case probe.KindWrongName:
		if o.tls.serverName == "" {
			return next("check --authority; where the certificate is for another name that is meant", "--server-name", "NAME")
		}
	case probe.KindClientCert:
		return next("show one that the gateway trusts", "--cert", "FILE", "--key", "FILE")
	}
	return ""
}

// secured is what the evidence keeps of a connection's TLS.
func secured(c *probe.Conn) *check.TLS {
	how := c.TLS()
	if how == nil {
		return nil
	}
	return &check.TLS{Version: how.Version, ServerName: how.ServerName, Unverified: how.Skipped, Refusal: how.Refusal, ClientCertificate: how.ClientCertificate}
}
