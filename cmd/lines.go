package cmd

import (
	"context"
	"sync"

	"grpcmesh/internal/probe"
)

// lines are the connections that several checks share, one an address.
type lines struct {
	mu   sync.Mutex
	open map[string]*shared
}

// shared is a connection, or why there is none.
type shared struct {
	once sync.Once
	conn *probe.Conn
	err  error
}

// open makes the next connection of a check. The first of one among several is
// that which they share, unless it is over TLS, whose certificate is for one
// name; where it breaks, each makes its own.
func (o *verifyOptions) open(ctx context.Context, dial int) (*probe.Conn, error) {
	target := o.dialTarget(dial)
	if o.lines == nil || dial > 0 || target.TLS != nil {
		return o.dial(ctx, target)
	}
	o.lines.mu.Lock()
	s := o.lines.open[target.Addr]
	if s == nil {
		s = &shared{}
		o.lines.open[target.Addr] = s
	}
	o.lines.mu.Unlock()
	s.once.Do(func() { s.conn, s.err = o.dial(ctx, target) })
	if s.err != nil {
		return nil, s.err
	}
	return s.conn.For(target.Authority, dial)
}

// dialAuthority is the :authority of every call: the one given, else the
// address as a client would send it.
func (o *verifyOptions) dialAuthority() string {
	if o.authority != "" {
		return o.authority
	}
	return o.addr
}

func (o *verifyOptions) dialTarget(conn int) probe.Target {
	return probe.Target{Addr: o.addr, Authority: o.dialAuthority(), Conn: conn, TLS: o.tls.config}
}

// close ends them all.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.open {
		if s.conn != nil {
			_ = s.conn.Close()
		}
	}
}
