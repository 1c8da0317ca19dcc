package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// errSpent answers grpc-go's wish to redial: a Conn is one connection, and a
// silent second one would make layer-4 spreading look like request-level.
var errSpent = errors.New("the one connection of this probe has ended")

// Conn is one HTTP/2 connection. It never redials: once it ended, every Call
// says so. Its methods may be used by several goroutines.
type Conn struct {
	target   Target
	wire     *wire
	client   *grpc.ClientConn
	seq      atomic.Int64
	borrowed bool     // of another Conn, whose wire it is
	secured  *Secured // nil: plaintext
}

// Open makes one connection, with TLS if asked, and returns when the server's
// HTTP/2 SETTINGS began to arrive. It takes at most 10 s. Every failure is a *DialError.
func Open(ctx context.Context, target Target) (*Conn, error) {
	ctx, cancel := bounded(ctx, openTimeout)
	defer cancel()
	if target.Authority == "" {
		target.Authority = target.Addr
	}
	fail := func(kind Kind, err error) (*Conn, error) {
		return nil, &DialError{Addr: target.Addr, Kind: kind, Err: err}
	}
	raw, err := connect(ctx, target)
	if err != nil {
		return fail(dialKind(ctx, err), err)
	}
	conn, how, kind, err := secure(ctx, raw, target)
	if err != nil {
		_ = raw.Close()
		return fail(kind, err)
	}
	c, err := newConn(target, newWire(conn))
	if err != nil {
		_ = raw.Close()
		return fail(KindOther, err)
	}
	c.secured = how
	if kind, err := c.greeted(ctx); err != nil {
		_ = c.Close()
		return fail(kind, err)
	}
	return c, nil
}

// For gives the same connection for calls of another authority, which Samples
// number as the given dial. Closing it closes nothing: that is left to who
// opened the first. Over TLS it is an error: the certificate was verified for
// one name.
func (c *Conn) For(authority string, conn int) (*Conn, error) {
	if c.target.TLS != nil && authority != c.target.Authority {
		return nil, fmt.Errorf("%s: the TLS connection is for %s, not for %s", c.target.Addr, c.target.Authority, authority)
	}
	target := c.target
	target.Authority, target.Conn = authority, conn
	return &Conn{target: target, wire: c.wire, client: c.client, borrowed: true}, nil
}

// Close ends the connection and everything that runs for it.
func (c *Conn) Close() error {
	if c.borrowed {
		return nil
	}
	err := c.client.Close()
	_ = c.wire.Close() // grpc-go has closed it, unless it never took it
	if err != nil {
		return fmt.Errorf("%s: closing: %w", c.target.Addr, err)
	}
	return nil
}

func connect(ctx context.Context, target Target) (net.Conn, error) {
	if target.Network != nil {
		return target.Network(ctx)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", target.Addr)
}

func newConn(target Target, w *wire) (*Conn, error) {
	once := make(chan net.Conn, 1)
	once <- w
	creds := insecure.NewCredentials()
	if target.TLS != nil {
		creds = done{}
	}
	// The dialer below ignores the name; Addr itself may be no URL (IPv6 zones).
	client, err := grpc.NewClient("passthrough:///target",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case conn := <-once:
				return conn, nil
			default:
				return nil, errSpent
			}
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithAuthority(target.Authority),
		grpc.WithUserAgent("grpcmesh"),
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0),
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxReply)),
		grpc.WithStatsHandler(watch{}),
	)
	if err != nil {
		return nil, err
	}
	return &Conn{target: target, wire: w, client: client}, nil
}

// greeted starts the connection and waits for the server's SETTINGS.
func (c *Conn) greeted(ctx context.Context) (Kind, error) {
	c.client.Connect()
	select {
	case <-c.wire.settings:
		return "", nil
	case <-c.wire.failed:
	case <-ctx.Done():
	}
	select {
	case <-c.wire.settings: // both at once: what ended it later is for Call to tell
		return "", nil
	default:
	}
	head, err := c.wire.firstBytes(), c.wire.cause()
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return KindCanceled, ctx.Err()
	case len(head) > 0:
		return firstKind(head), fmt.Errorf("its first bytes were %q", head)
	case ctx.Err() != nil:
		return KindSilent, ctx.Err()
	case c.target.TLS != nil:
		return tlsKind(ctx, err, c.target.TLS), err // TLS 1.3 tells of client certificates late
	}
	if speaksTLS(ctx, c.target) {
		return KindNeedsTLS, err
	}
	return KindClosed, err
}
