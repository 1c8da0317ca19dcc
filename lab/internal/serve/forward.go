// Package serve is what the lab itself serves on the machine's loopback: the
// way to the API server and the gateway, and the registry.
package serve

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Forward passes every connection of listener on to target until the listener
// is closed; after ctx has ended, no new connection to target is begun. The
// listener was opened in the machine's network and stays there; target is
// reached in the network of this process.
func Forward(ctx context.Context, listener net.Listener, target string) error {
	for {
		outside, err := listener.Accept()
		if err != nil {
			return err
		}
		go pass(ctx, outside, target)
	}
}

func pass(ctx context.Context, outside net.Conn, target string) {
	defer func() { _ = outside.Close() }()
	inside, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", target)
	if err != nil {
		return // as a load balancer without a living backend: it hangs up
	}
	defer func() { _ = inside.Close() }()
	var both sync.WaitGroup
	both.Add(2)
	go copyHalf(&both, inside, outside)
	go copyHalf(&both, outside, inside)
	both.Wait()
}

// copyHalf copies one direction and hands its end on, so that a half-closed
// connection stays half-closed; after an error it ends the other half too.
func copyHalf(both *sync.WaitGroup, to, from net.Conn) {
	defer both.Done()
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		_ = from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it fails only where the other end is gone
	}
}
