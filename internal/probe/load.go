package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe/h2"
)

// redial is how long a connection that could not be made is let be.
const redial = 100 * time.Millisecond

// Load is one call over and over, by the engine in h2. A connection that ends
// is dialled again; a call that its server didn't look at is made once more,
// as a client's library would.
type Load struct {
	Call Call
	// Connections is how many stand at once, InFlight how many calls are on
	// the way at once over all of them. 0 is 1.
	Connections, InFlight int
	// Requests is how many calls to make; 0: no limit.
	Requests int64
	// Duration is from the start to when the last call may be due; 0: no limit.
	Duration time.Duration
	// Rate is calls a second, each timed from when it is due; 0: as fast as
	// the answers come, each timed from when it is sent.
	Rate float64
}

// Loaded is what became of one call of a load.
type Loaded struct {
	// At is when it ended, since the start of the load; Latency is what it took.
	At, Latency time.Duration
	Code        codes.Code
	// Backend and Flags are the gateway's stamps, if the proof stood beside
	// them; else empty.
	Backend, Flags string
	// Answered: its status came from a server.
	Answered bool
}

// Run makes the calls and hands each one's end to done, never two at a time.
// Those that ctx cuts off are not told. It returns when all are over, with the number of connections that were made;
// the error is that of ctx.
func (l Load) Run(ctx context.Context, target Target, done func(Loaded)) (dials int, err error) {
	if target.Authority == "" {
		target.Authority = target.Addr
	}
	l.Connections = max(l.Connections, 1)
	l.InFlight = max(l.InFlight, l.Connections)
	p := &pool{load: l, target: target, start: time.Now(), done: done}
	var wg sync.WaitGroup
	for i := range l.Connections {
		share := l.InFlight / l.Connections
		if i < l.InFlight%l.Connections {
			share++
		}
		wg.Go(func() {
			(&worker{pool: p, over: func() bool { return ctx.Err() != nil }}).run(ctx, l.config(target, share))
		})
	}
	wg.Wait()
	return int(p.dials.Load()), ctx.Err()
}

func (l Load) config(target Target, inFlight int) h2.Config {
	c := h2.Config{Scheme: "http", Authority: target.Authority, Path: l.Call.Path, Payload: l.Call.Payload, InFlight: inFlight,
		Timeout: callTimeout, MaxReply: MaxReply}
	// The lists of all calls at once have a bound, too: 32 MiB, or 4 KiB each.
	c.MaxHeaders = uint32(max(min(maxHeaders, (32<<20)/l.InFlight), 4<<10))
	if target.TLS != nil {
		c.Scheme = "https"
	}
	if l.Call.Nonce != "" {
		c.Fields = append(c.Fields, hpack.HeaderField{Name: HeaderNonce, Value: l.Call.Nonce})
	}
	for name, value := range l.Call.Metadata {
		c.Fields = append(c.Fields, hpack.HeaderField{Name: name, Value: value})
	}
	return c
}

// pool is what the connections of one load share.
type pool struct {
	load   Load
	target Target
	start  time.Time
	taken  atomic.Int64
	dials  atomic.Int64
	mu     sync.Mutex
	done   func(Loaded)
}

// next is the next call that is due, on whichever connection.
func (p *pool) next() (h2.Call, bool) {
	n := p.taken.Add(1)
	switch {
	case p.load.Requests > 0 && n > p.load.Requests:
		return h2.Call{}, false
	case p.load.Rate > 0:
		due := time.Duration(float64(n-1) / p.load.Rate * float64(time.Second))
		return h2.Call{Due: p.start.Add(due)}, p.load.Duration <= 0 || due < p.load.Duration
	}
	return h2.Call{}, p.load.Duration <= 0 || time.Since(p.start) < p.load.Duration
}

func (p *pool) tell(l Loaded) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done(l)
}

// worker is one connection at a time.
type worker struct {
	*pool
	over  func() bool // the load was ended from outside
	again []h2.Call   // to be made before others
}

// run makes calls until there are none left, or ctx ends.
func (w *worker) run(ctx context.Context, conf h2.Config) {
	for ctx.Err() == nil {
		call, ok := w.Next()
		if !ok {
			return
		}
		w.Return(call)
		if err := w.connect(ctx, conf); err != nil {
			w.failDue()
			select {
			case <-time.After(redial):
			case <-ctx.Done():
			}
		}
	}
}

// connect makes a connection and calls on it; the error is that of making it.
func (w *worker) connect(ctx context.Context, conf h2.Config) error {
	dialing, cancel := bounded(ctx, openTimeout)
	defer cancel()
	raw, err := connect(dialing, w.target)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	conn, _, _, err := secure(dialing, raw, w.target)
	if err != nil {
		return err
	}
	c, err := h2.New(dialing, conn, conf)
	if err != nil {
		return err
	}
	w.dials.Add(1)
	_ = c.Run(ctx, w) // whatever ended it, every call was told
	return nil
}

// failDue ends the calls that would have been on their way by now, one at
// least: there is no connection for them.
func (w *worker) failDue() {
	for now := time.Now(); ; {
		call, ok := w.Next()
		if !ok {
			return
		}
		if call.Due.After(now) {
			w.Return(call)
			return
		}
		from := call.Due
		if from.IsZero() {
			from = now
		}
		w.tell(Loaded{At: now.Sub(w.start), Latency: now.Sub(from), Code: codes.Unavailable})
		if call.Due.IsZero() {
			return
		}
	}
}

// Next is for h2: a call that was given back, or the next one.
func (w *worker) Next() (h2.Call, bool) {
	if n := len(w.again); n > 0 {
		call := w.again[0]
		w.again = slices.Delete(w.again, 0, 1)
		return call, true
	}
	return w.next()
}

// Return is for h2: the call waits for the next connection.
func (w *worker) Return(call h2.Call) { w.again = append(w.again, call) }

// Done is for h2: one call is over, unless it can be made again.
func (w *worker) Done(r *h2.Result) {
	from := r.Due
	if from.IsZero() {
		from = r.Sent
	}
	if r.Unprocessed && !r.Again {
		w.again = append(w.again, h2.Call{Due: from, Again: true})
		return
	}
	if r.Outcome != h2.Answered && r.Code == codes.Canceled && w.over() {
		return // cut off here: it says nothing of the server
	}
	l := Loaded{At: r.End.Sub(w.start), Latency: r.End.Sub(from), Code: r.Code, Answered: r.Outcome == h2.Answered}
	if !l.stamped(r.Header, w.load.Call.Proof) {
		l.stamped(r.Trailer, w.load.Call.Proof)
	}
	w.tell(l)
}

// stamped reads the gateway's stamps out of a list that has the proof, as
// Sample.read does.
func (l *Loaded) stamped(list []hpack.HeaderField, proof string) bool {
	const mark = "x-grpcmesh-"
	var backend, flags, shown string
	for i := range list {
		f := &list[i]
		if len(f.Name) < len(mark) || f.Name[:len(mark)] != mark {
			continue
		}
		var to *string
		switch f.Name {
		case HeaderProof:
			to = &shown
		case HeaderBackend:
			to = &backend
		case HeaderFlags:
			to = &flags
		default:
			continue
		}
		if *to == "" { // the first one counts
			*to = f.Value
		}
	}
	if proof == "" || shown != proof {
		return false
	}
	l.Backend, l.Flags = clip(backend), clip(flags)
	return true
}

// String says what is asked for, in words.
func (l Load) String() string {
	var words []string
	if l.Requests > 0 {
		words = append(words, fmt.Sprintf("%d calls", l.Requests))
	}
	if l.Duration > 0 {
		words = append(words, "for "+l.Duration.String())
	}
	if l.Rate > 0 {
		words = append(words, fmt.Sprintf("at %.6g a second", l.Rate))
	}
	return fmt.Sprintf("%s, connections: %d, calls at once: %d", strings.Join(words, " "), l.Connections, l.InFlight)
}
