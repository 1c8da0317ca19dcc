package probe

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// SpeaksGRPC asks on conn, by plaintext HTTP/2 with prior knowledge, for a
// gRPC method that doesn't exist: true if the answer's content type is gRPC's.
// A server that says something else (HTTP/1, TLS, HTML by HTTP/2) is false
// without an error; one that can't be asked is an error. It takes at most 10 s
// if ctx has no deadline, and closes conn.
//
// grpc-go is not used here: it turns a plain HTTP 404 into UNIMPLEMENTED, as
// if a gRPC server had said so.
func SpeaksGRPC(ctx context.Context, conn net.Conn) (bool, error) {
	ctx, cancel := bounded(ctx, openTimeout)
	defer cancel()
	w := newWire(conn)
	defer func() { _ = w.Close() }()
	once := make(chan net.Conn, 1)
	once <- w
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols:              protocols,
		MaxResponseHeaderBytes: maxHeaders,
		DisableCompression:     true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case c := <-once:
				return c, nil
			default:
				return nil, errSpent
			}
		},
	}
	defer transport.CloseIdleConnections()
	const noMessage = "\x00\x00\x00\x00\x00" // uncompressed, of length 0
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://grpcmesh.invalid/grpcmesh.Probe/DoesNotExist", bytes.NewReader([]byte(noMessage)))
	if err != nil {
		return false, fmt.Errorf("asking for gRPC: %w", err)
	}
	go func() { // net/http waits on for a ninth byte that may never come
		select {
		case <-w.failed:
			if w.notHTTP2() {
				cancel()
			}
		case <-ctx.Done():
		}
	}()
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	request.Header.Set("User-Agent", "grpcmesh")
	response, err := transport.RoundTrip(request)
	if err != nil {
		if w.notHTTP2() {
			return false, nil
		}
		return false, fmt.Errorf("asking for gRPC: %w; check that something listens on the port", err)
	}
	_ = response.Body.Close()
	return strings.HasPrefix(response.Header.Get("Content-Type"), "application/grpc"), nil
}

// notHTTP2 tells whether the first frame was none.
func (w *wire) notHTTP2() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad || len(w.head) > 0 && !w.begun
}
