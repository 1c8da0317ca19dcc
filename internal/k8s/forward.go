package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// ForwardError says that a pod's port could not be reached through the API
// server: Reason is the kubelet's own word, for instance that nothing listens.
type ForwardError struct {
	Namespace, Pod string
	Port           int
	Reason         string
}

// Error names pod, port and reason.
func (e *ForwardError) Error() string {
	return fmt.Sprintf("port-forward to %s/%s port %d: %s", e.Namespace, e.Pod, e.Port, e.Reason)
}

// Forward opens one connection to a port of a pod, through the API server. The
// port is reached on the pod's own loopback, so what listens only there can be
// reached as well. Deadlines on the connection are not supported; closing it
// ends every read and write.
func (c *Cluster) Forward(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	url := c.Core.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	cfg := rest.CopyConfig(c.Config)
	transport, upgrader, err := spdy.RoundTripperFor(cfg)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, cfg)
	if err != nil {
		return nil, err
	}
	// Servers before 1.30 and some proxies know only the older upgrade.
	dialer := portforward.NewFallbackDialerForStreaming(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() { // the dialer takes no context
		conn, err := forward(dialer, ForwardError{Namespace: namespace, Pod: pod, Port: port})
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			err := fmt.Errorf("port-forward to %s/%s: %w", namespace, pod, r.err)
			if strings.Contains(r.err.Error(), "is forbidden") { // the upgrade keeps only the text of the refusal
				return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods/portforward"}, pod, err)
			}
			return nil, err
		}
		return r.conn, nil
	case <-ctx.Done():
		go func() {
			if r := <-done; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func forward(dialer httpstream.Dialer, to ForwardError) (net.Conn, error) {
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(to.Port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	errs, err := conn.CreateStream(headers)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = errs.Close() // only the kubelet writes to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	f := &forwarded{conn: conn, data: data, reason: make(chan string, 1), err: to}
	go func() {
		b, _ := io.ReadAll(io.LimitReader(errs, 4<<10))
		f.reason <- strings.TrimSpace(string(b))
	}()
	return f, nil
}

// forwarded is one forwarded stream as a net.Conn.
type forwarded struct {
	conn   httpstream.Connection
	data   httpstream.Stream
	reason chan string  // what the kubelet said of a port that it couldn't reach
	err    ForwardError // what it leads to, and the error to give when it breaks
}

func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.data.Read(p)
	if n == 0 && err != nil {
		return 0, f.explain(err)
	}
	return n, err
}

// explain turns the end of the stream into the kubelet's reason for it. The
// reason arrives on a stream of its own, so it is given a moment.
func (f *forwarded) explain(err error) error {
	select {
	case reason := <-f.reason:
		f.reason <- reason
		if reason != "" {
			e := f.err
			e.Reason = reason
			return &e
		}
	case <-time.After(200 * time.Millisecond):
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}

func (f *forwarded) Write(p []byte) (int, error) { return f.data.Write(p) }
func (f *forwarded) Close() error                { return f.conn.Close() }
func (f *forwarded) LocalAddr() net.Addr         { return addr("local") }
func (f *forwarded) RemoteAddr() net.Addr {
	return addr(fmt.Sprintf("%s/%s:%d", f.err.Namespace, f.err.Pod, f.err.Port))
}
func (f *forwarded) SetDeadline(time.Time) error      { return nil }
func (f *forwarded) SetReadDeadline(time.Time) error  { return nil }
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type addr string

func (addr) Network() string  { return "port-forward" }
func (a addr) String() string { return string(a) }
