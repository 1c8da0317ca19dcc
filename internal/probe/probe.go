// Package probe is the only dialler of what is under test. It opens one
// connection at a time that never redials, makes gRPC calls of raw bytes on
// it, and hands back Samples: what came back, and by the gateway's own stamps,
// from where. It knows nothing of Kubernetes.
//
// Everything that a server sends is untrusted: it is bounded in time and
// memory here, and must be escaped before a terminal or a document sees it.
package probe

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"net"
	"time"

	"google.golang.org/grpc/codes"
)

// The header that selects the probe route, and those which the gateway's
// Envoy sets on answers that came by it.
const (
	// HeaderNonce carries the run's nonce in requests.
	HeaderNonce = "x-grpcmesh-probe"
	// HeaderProof is the run's second secret, which only the probe route knows.
	HeaderProof = "x-grpcmesh-proof"
	// HeaderBackend is %UPSTREAM_REMOTE_ADDRESS%, the pod's ip:port.
	HeaderBackend = "x-grpcmesh-backend"
	// HeaderGateway is %HOSTNAME%, the gateway's replica.
	HeaderGateway = "x-grpcmesh-gateway"
	// HeaderConnection is %CONNECTION_ID%, the gateway's number of our connection.
	HeaderConnection = "x-grpcmesh-connection"
	// HeaderCluster is %UPSTREAM_CLUSTER%.
	HeaderCluster = "x-grpcmesh-cluster"
	// HeaderFlags is %RESPONSE_FLAGS%, "-" for an answer of the pod itself.
	HeaderFlags = "x-grpcmesh-flags"
	// HeaderAttempts is %UPSTREAM_REQUEST_ATTEMPT_COUNT%.
	HeaderAttempts = "x-grpcmesh-attempts"
)

// Bounds on what a server can make a probe spend.
const (
	// MaxReply is the largest reply in bytes, after decompression.
	MaxReply = 4 << 20
	// maxHeaders bounds a header or trailer list in bytes (RFC 9113, 6.5.2).
	maxHeaders = 64 << 10
	// maxMessage is how much of a status message is kept, in bytes.
	maxMessage = 1 << 10
	// window is the flow-control window in bytes: what a server may send unread.
	window = 1 << 20
	// openTimeout and callTimeout bound one connection and one call.
	openTimeout = 10 * time.Second
	callTimeout = 10 * time.Second
)

// Target is what to dial.
type Target struct {
	// Network gives the connection to speak on, for example a port-forward;
	// nil dials Addr by TCP.
	Network func(ctx context.Context) (net.Conn, error)
	// Addr is host:port; it names the target in errors.
	Addr string
	// Authority is the :authority of every call; empty means Addr.
	Authority string
	// TLS nil means plaintext. It is cloned; an empty ServerName becomes the
	// host of Authority, and nothing below TLS 1.2 is spoken.
	TLS *tls.Config
	// Conn is the caller's number of this dial, copied to Sample.Conn. A run
	// gives every dial a number of its own.
	Conn int
}

// Stamp is what the gateway's Envoy says about one answer, as it came.
type Stamp struct {
	Backend    string `json:"backend,omitempty"`
	Gateway    string `json:"gateway,omitempty"`
	Connection string `json:"connection,omitempty"`
	Cluster    string `json:"cluster,omitempty"`
	Flags      string `json:"flags,omitempty"`
	Attempts   string `json:"attempts,omitempty"`
}

// Sample is one call and what became of it.
type Sample struct {
	// Seq numbers the calls of one connection from 1; Conn is Target.Conn.
	Seq  int `json:"seq"`
	Conn int `json:"conn"`
	// Start is wall-clock time; Latency is monotonic, in nanoseconds in JSON.
	Start   time.Time     `json:"start"`
	Latency time.Duration `json:"latency"`
	Path    string        `json:"path"`
	// Code is the server's status, or the client's own where NoAnswer,
	// NotGRPC or Err say so.
	Code codes.Code `json:"code"`
	// Message is the status message, untrusted, at most 1 KiB.
	Message string `json:"message,omitempty"`
	// Stamp is read from headers and trailers; Stamped if the
	// probe route's proof stood beside it.
	Stamp   Stamp `json:"stamp,omitzero"`
	Stamped bool  `json:"stamped,omitempty"`
	// Said is what the app calls itself, as Call.From finds it: untrusted, in
	// UTF-8, at most 320 bytes; "" if it says nothing.
	Said string `json:"said,omitempty"`
	// Stream: it was one, of which Replies were read; of a server's stream no more
	// than the first, and Code is OK once that came, or the headers alone.
	Stream  bool `json:"stream,omitempty"`
	Replies int  `json:"replies,omitempty"`
	// Upstream: x-envoy-upstream-service-time was there, so some upstream
	// answered and not the gateway's Envoy itself.
	Upstream bool `json:"upstream,omitempty"`
	// Server is the `server` header.
	Server string `json:"server,omitempty"`
	// NotGRPC: an HTTP response came that isn't gRPC; its headers are not
	// kept, so Stamp and Upstream say nothing.
	NotGRPC bool `json:"notGrpc,omitempty"`
	// GoAway: a GOAWAY had arrived on this connection by the end of the call.
	GoAway bool `json:"goAway,omitempty"`
	// NoAnswer: no response from any server.
	NoAnswer bool `json:"noAnswer,omitempty"`
	// Unmade: there was no call, for the server had ended the connection by
	// GOAWAY: that is how it asks for the next one.
	Unmade bool `json:"unmade,omitempty"`
	// Err is the cause of NoAnswer, or why an answer that began did not finish.
	Err string `json:"err,omitempty"`
}

// NewNonce is a secret of a run, its nonce or its proof: 128 random bits as 32 hex digits.
func NewNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24: it ends the process instead
	return hex.EncodeToString(b[:])
}
