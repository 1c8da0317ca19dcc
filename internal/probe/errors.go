package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Kind says why an address could not be opened.
type Kind string

// The kinds of failure. Each is a reason of its own to a user.
const (
	KindName        Kind = "name-not-resolved"
	KindRefused     Kind = "refused"
	KindUnreachable Kind = "unreachable"
	KindTimeout     Kind = "timeout"          // nothing accepted the connection
	KindSilent      Kind = "silent"           // accepted, then said nothing
	KindClosed      Kind = "closed"           // closed or reset before HTTP/2 began
	KindNeedsTLS    Kind = "server-wants-tls" // we spoke plaintext
	KindPlaintext   Kind = "server-plaintext" // we spoke TLS
	KindALPN        Kind = "alpn-without-h2"
	KindHTTP1       Kind = "http1-only"
	KindNotHTTP2    Kind = "not-http2"
	KindExpired     Kind = "certificate-expired"
	KindWrongName   Kind = "certificate-wrong-name"
	KindUnknownCA   Kind = "certificate-unknown-ca"
	KindCertificate Kind = "certificate-invalid"
	KindClientCert  Kind = "client-certificate-needed"
	KindRejected    Kind = "client-certificate-rejected"
	KindTLSVersion  Kind = "tls-version"
	KindTLSClosed   Kind = "tls-closed" // closed or reset while TLS was agreed on
	KindTLS         Kind = "tls-handshake"
	KindCanceled    Kind = "canceled"
	KindOther       Kind = "other"
)

// DialError says that Addr could not be opened. Its text is one line: the
// address, what happened, what to do next.
type DialError struct {
	Addr string
	Kind Kind
	Err  error // the cause as the system gave it
	// Next is what to do, where the caller knows better than what follows from
	// Kind alone: it has flags to name. One line; empty: what follows from Kind.
	Next string
}

// Error is the one line.
func (e *DialError) Error() string {
	what, next := e.words()
	if e.Next != "" {
		next = e.Next
	}
	return fmt.Sprintf("%s: %s; %s", e.Addr, what, next)
}

// Unwrap gives the cause, so that errors.Is finds context.Canceled and such.
func (e *DialError) Unwrap() error { return e.Err }

func (e *DialError) words() (what, next string) {
	cause := strings.Join(strings.Fields(fmt.Sprintf("%v", e.Err)), " ")
	switch e.Kind {
	case KindName:
		return "the name does not resolve (" + cause + ")", "check its spelling and DNS, or give an IP address"
	case KindRefused:
		return "connection refused", "nothing listens there: check the port, and that the gateway's Service exposes it"
	case KindUnreachable:
		return "no way there (" + cause + ")", "check the network, VPN and firewall between here and the address"
	case KindTimeout:
		return "timed out: nothing accepted the connection", "a firewall may drop packets silently: check security groups and the load balancer's health"
	case KindSilent:
		return "timed out: the connection was accepted but no HTTP/2 settings came", "check that the port is a gRPC port, and whether it expects TLS"
	case KindClosed:
		return "the connection was closed before HTTP/2 began (" + cause + ")", "check that the gateway has a listener on this port, and whether it expects TLS"
	case KindNeedsTLS:
		return "the server speaks TLS, and plaintext was sent", "call it with TLS, or name a port that speaks plaintext"
	case KindPlaintext:
		return "the server speaks plaintext, and TLS was sent", "call it without TLS, or name the port that speaks TLS"
	case KindALPN:
		return "the TLS server does not offer HTTP/2 by ALPN (" + cause + ")", "gRPC needs h2: enable it on the listener or the load balancer in front"
	case KindHTTP1:
		return "the server speaks HTTP/1 only", "gRPC needs HTTP/2: check the port, and that the gateway's server has protocol GRPC or HTTP2"
	case KindNotHTTP2:
		return "the server does not speak HTTP/2 (" + cause + ")", "check the port number"
	case KindExpired:
		return "the server's certificate is not valid at this time (" + cause + ")", "renew it, or check this machine's clock"
	case KindWrongName:
		return "the server's certificate is for another name (" + cause + ")", "check the name that was asked for, or fix the gateway's credential"
	case KindUnknownCA:
		return "the server's certificate is from an unknown authority (" + cause + ")", "give the CA certificate that signed it"
	case KindCertificate:
		return "the server's certificate is not acceptable (" + cause + ")", "check the gateway's credential"
	case KindClientCert:
		return "the server wants a client certificate (" + cause + ")", "give a client certificate and key that the gateway trusts"
	case KindRejected:
		return "the server refuses the client certificate (" + cause + ")", "give one that is valid now and signed by a CA that the gateway trusts"
	case KindTLSVersion:
		return "the server and grpcmesh have no TLS version in common (" + cause + ")", "at least TLS 1.2 is needed: raise what the gateway's server or the load balancer in front offers"
	case KindTLSClosed:
		return "the connection was closed while TLS was agreed on (" + cause + ")", "the gateway may serve no host of the name asked for on this port, or lack its certificate: check the name, and the Gateway's credentialName"
	case KindTLS:
		return "the TLS handshake failed (" + cause + ")", "check the TLS versions and ciphers of the gateway's server (at least TLS 1.2 is needed)"
	case KindCanceled:
		return "stopped before the connection was open", "run it again"
	default:
		return cause, "check the address"
	}
}

// dialKind names the failure of making a connection.
func dialKind(ctx context.Context, err error) Kind {
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return KindCanceled
	case errors.As(err, &dns) && !dns.IsTimeout:
		return KindName
	case isTimeout(ctx, err):
		return KindTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case errors.Is(err, syscall.ECONNRESET):
		return KindClosed // accepted and reset before connect returned
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return KindUnreachable
	}
	return KindOther
}

// tlsKind names the failure of a TLS handshake, or of the first read after it.
func tlsKind(ctx context.Context, err error, config *tls.Config) Kind {
	var (
		record   tls.RecordHeaderError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		unknown  x509.UnknownAuthorityError
		verify   *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return KindCanceled
	case errors.As(err, &record):
		return KindPlaintext
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return KindExpired
	case errors.As(err, &hostname):
		return KindWrongName
	case errors.As(err, &unknown):
		return KindUnknownCA
	case errors.As(err, &invalid), errors.As(err, &verify):
		return KindCertificate
	case isTimeout(ctx, err):
		return KindSilent
	}
	// An alert of the peer has no exported type; these are crypto/tls's texts.
	text := err.Error()
	says := func(any ...string) bool {
		return slices.ContainsFunc(any, func(words string) bool { return strings.Contains(text, words) })
	}
	switch {
	case says("no application protocol", "unadvertised ALPN"):
		return KindALPN
	case says("protocol version"):
		return KindTLSVersion
	case says("certificate required"):
		return KindClientCert
	case says("remote error: tls: bad certificate", "remote error: tls: unknown certificate", "remote error: tls: expired certificate",
		"remote error: tls: revoked certificate", "remote error: tls: unsupported certificate"):
		if len(config.Certificates) > 0 {
			return KindRejected
		}
		return KindClientCert
	case says("tls: "):
		return KindTLS
	}
	return KindClosed
}

// firstKind names what a server is whose first bytes were not HTTP/2.
func firstKind(head []byte) Kind {
	switch {
	case len(head) == 0:
		return KindClosed
	case len(head) >= 3 && (head[0] == 0x15 || head[0] == 0x16) && head[1] == 3:
		return KindNeedsTLS // a TLS record of an alert or a handshake: RFC 8446, 5.1
	case bytes.HasPrefix(head, []byte("HTTP/1.")):
		return KindHTTP1
	}
	return KindNotHTTP2
}

func isTimeout(ctx context.Context, err error) bool {
	var timeout net.Error
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
