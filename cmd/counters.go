package cmd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

// quietWindow is how long the counters are watched before the run's own calls,
// to learn how much others call.
const quietWindow = 2 * time.Second

// bySidecars is the rung that writes nothing: the sidecars' own counters,
// before and after the calls. They see calls whichever way they came.
func (r *run) bySidecars(ctx context.Context, e *check.Evidence) error {
	if len(e.Expected) == 0 {
		return nil
	}
	calls := r.callCount(e)
	first, err := r.counters(ctx, e)
	if err != nil {
		return err
	}
	quietStart := time.Now()
	select {
	case <-time.After(quietWindow):
	case <-ctx.Done():
		return ctx.Err()
	}
	before, err := r.counters(ctx, e)
	if err != nil {
		return err
	}
	quiet := time.Since(quietStart)
	start := time.Now()
	// A connection of its own: the first was idle through the quiet window.
	r.dials = 0
	if err := r.dial(ctx); err != nil {
		return err
	}
	path := r.userPath()
	for range calls {
		s, err := r.call(ctx, probe.Call{Path: path})
		if err != nil {
			break
		}
		e.Samples = append(e.Samples, s)
		r.line.called()
		if s.NoAnswer && r.dials >= mostConnections {
			break
		}
	}
	r.line.done()
	e.Own, e.ConnectionsUsed = len(e.Samples), r.dials
	after, err := r.counters(ctx, e)
	if err != nil {
		return err
	}
	busy := time.Since(start)
	e.Counts = map[string]int{}
	sum, foreignRate := 0, 0
	for address, n := range after {
		e.Counts[address] = n - before[address]
		sum += e.Counts[address]
		foreignRate += before[address] - first[address]
	}
	// Others' calls are those beyond the run's own; where some of its own got
	// lost on the way, the quiet window's rate still tells of others.
	e.Foreign = max(sum-e.Own, int(float64(foreignRate)*busy.Seconds()/quiet.Seconds()), 0)
	return nil
}

// userPath is a path that the users' own route takes.
func (r *run) userPath() string {
	if r.o.path != "" {
		return r.o.path
	}
	if r.t.layer4 {
		return noPath
	}
	if p, ok := matchedPath(r.t.rule); ok {
		return p
	}
	return noPath
}

// callCount is how many calls show a silent endpoint, at the rate that each of
// the verdict's three tests is given.
func (r *run) callCount(e *check.Evidence) int {
	shares := make([]float64, 0, len(e.Expected))
	for _, ep := range e.Expected {
		shares = append(shares, ep.Share)
	}
	n := max(spread.Needed(shares, r.o.alpha/3), spread.StuckNeededShares(shares, r.o.alpha/3))
	if r.o.requests > 0 {
		n = min(n, r.o.requests)
	}
	return n
}

// counters reads every endpoint's sidecar, side by side.
func (r *run) counters(ctx context.Context, e *check.Evidence) (map[string]int, error) {
	counts := make(map[string]int, len(e.Expected))
	errs := make([]error, len(e.Expected))
	var mu sync.Mutex
	var wg sync.WaitGroup
	gate := make(chan struct{}, 16) // at once; each is a connection through the API server
	for i, ep := range e.Expected {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			n, err := istio.InboundRequests(ctx, r.t.cluster, r.t.namespace, ep.Pod, portOf(ep.Address))
			if err != nil {
				errs[i] = err
				return
			}
			mu.Lock()
			defer mu.Unlock()
			counts[ep.Address] = n
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("reading the sidecars' counters: %w", err)
	}
	return counts, nil
}
