package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

const (
	// fewCalls is how many calls show whether calls get through at all.
	fewCalls = 5
	// counterTime is how long one sidecar may take to tell its counters.
	counterTime = 10 * time.Second
)

// quietWindow is how long the counters are watched before the run's own calls,
// to learn how much others call.
const quietWindow = 2 * time.Second

// byCounters are the rungs that write nothing: the counters of the gateway's
// replicas, or of the pods' sidecars, before and after the calls. They see others'
// calls too.
func (r *run) byCounters(ctx context.Context, e *check.Evidence) error {
	stages, users := r.stages(e), r.userCalls(ctx, e)
	e.Misread, e.Missing = r.t.misread, r.t.missing
	e.Counts, e.Uncounted = map[string]int{}, map[string]string{}
	first, err := r.counters(ctx, e)
	if err != nil {
		return err
	}
	quietStart := time.Now()
	if len(first) > 0 {
		select {
		case <-time.After(quietWindow):
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		stages = []int{fewCalls} // nothing will be counted: they show no more than a broken hop
	}
	before, err := r.counters(ctx, e)
	if err != nil {
		return err
	}
	quiet := time.Since(quietStart)
	start := time.Now()
	// A connection of its own: the first was idle through the quiet window.
	r.dials, r.renewed = 0, 0
	if err := r.dial(ctx); err != nil {
		return err
	}
	var after map[string]int
	for _, calls := range stages {
		ended := r.counted(ctx, e, users, calls)
		if after, err = r.counters(ctx, e); err != nil {
			return err
		}
		if ended || !slices.ContainsFunc(e.Expected, func(ep check.Endpoint) bool { return after[ep.Address] == before[ep.Address] }) {
			break
		}
	}
	r.line.done()
	e.Own, e.ConnectionsUsed = len(e.Samples), r.dials
	if r.o.path != "" && !r.o.user.on() && !r.t.layer4 {
		if _, why := unheard(e.Samples, ""); why != "" {
			e.WitnessWhy = why
		}
	} else if r.o.path == "" {
		e.Samples, e.WitnessWhy = telling(users, e.Samples, e.WitnessWhy)
	}
	busy := time.Since(start)
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

// counted makes calls until there are so many in all; ended says that no more
// can be made.
func (r *run) counted(ctx context.Context, e *check.Evidence, users []probe.Call, calls int) (ended bool) {
	for i := len(e.Samples); i < calls; i++ {
		if end, ok := ctx.Deadline(); ok && time.Until(end) < min(counterTime, r.o.timeout/4) {
			return true // what was made must still be counted, and is judged
		}
		user := users[i%len(users)]
		user.Metadata = r.o.metadata
		s, err := r.call(ctx, user)
		if err != nil {
			return true
		}
		e.Samples = append(e.Samples, s)
		r.line.called()
		if s.NoAnswer && r.broken() >= mostConnections {
			return true
		}
	}
	return false
}

// userCalls are calls that users' own calls stand beside: on the rung sidecars
// there is no other witness. Why there is none is told to the judge.
func (r *run) userCalls(ctx context.Context, e *check.Evidence) []probe.Call {
	if r.t.layer4 {
		return []probe.Call{{Path: noPath}} // every call takes the same way
	}
	calls, why := r.witnessCalls(ctx, r.reflectAtPod)
	e.WitnessWhy = why
	if len(calls) == 0 {
		return []probe.Call{{Path: noPath}}
	}
	// What no rule takes stands behind, and reaches no pod that counts.
	if n := slices.IndexFunc(calls, func(c probe.Call) bool { return !r.ours(c.Path) }); n >= 0 {
		calls = calls[:max(n, 1)]
	}
	if call, ok := r.userSpared(ctx); ok {
		return []probe.Call{call}
	}
	e.Unreadable, e.Real = anyUnreadable(calls) && !r.o.user.on(), r.o.user.on()
	return calls
}

// reflectAtPod asks one of the pods itself what services it has: on this rung
// nothing may be added that would lead reflection through the gateway.
func (r *run) reflectAtPod(ctx context.Context) ([]probe.Service, error) {
	conn, err := r.openPod(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.Services(ctx, "", r.o.metadata)
}

// openPod connects to one of the pods itself.
func (r *run) openPod(ctx context.Context) (*probe.Conn, error) {
	endpoints, err := r.t.endpoints(ctx)
	if err != nil || len(endpoints) == 0 {
		return nil, errors.Join(err, errors.New("no pod is ready"))
	}
	ep := endpoints[0]
	return probe.Open(ctx, probe.Target{
		Addr: ep.Pod, Authority: r.o.dialAuthority(),
		Network: func(ctx context.Context) (net.Conn, error) {
			return r.t.cluster.Forward(ctx, ep.Namespace, ep.Pod, portOf(ep.Address))
		},
	})
}

// mostCounted bounds the calls of a run whose shares or false-alarm rate ask for
// more than anyone would make: what they show by then is judged.
const mostCounted = 100_000

// stages are how many calls are made before the counters are read: as many as
// show a silent endpoint, at the rate that each of the verdict's three tests is
// given; and where one stayed silent that may just be the busiest, as many as
// tell that. One endpoint has nothing to balance with: a few calls show whether
// they get through.
func (r *run) stages(e *check.Evidence) []int {
	var shares, least, most []float64
	for _, ep := range e.Expected {
		shares = append(shares, ep.Share)
		least = append(least, cmp.Or(ep.Least, ep.Share))
		most = append(most, cmp.Or(ep.Most, ep.Share))
	}
	few, many := fewCalls, fewCalls
	if len(shares) > 1 {
		few = max(few, spread.Needed(shares, r.o.alpha/3))
		many = max(few, spread.Needed(least, r.o.alpha/3), spread.StuckNeededShares(most, r.o.alpha/3))
	}
	bound := mostCounted
	if limit := r.o.limit(); limit > 0 {
		bound = min(bound, limit)
	}
	return slices.Compact([]int{min(few, bound), min(many, bound)})
}

// counters reads, for every endpoint, how many calls were led to it by now.
func (r *run) counters(ctx context.Context, e *check.Evidence) (map[string]int, error) {
	if e.Rung == check.RungAdmin {
		return r.atGateway(ctx, e)
	}
	return r.atSidecars(ctx, e)
}

// atSidecars reads every endpoint's sidecar, side by side. One that can't be read
// is noted in the evidence, with the reason, and not asked again; only where
// the API server refuses, or the run ends, is that an error.
func (r *run) atSidecars(ctx context.Context, e *check.Evidence) (map[string]int, error) {
	counts := make([]int, len(e.Expected))
	errs := make([]error, len(e.Expected))
	asked := func(i int) bool { _, no := e.Uncounted[e.Expected[i].Address]; return !no }
	const atOnce = 16 // each is a connection through the API server
	k8s.AtOnce(len(e.Expected), atOnce, func(i int) {
		ep := e.Expected[i]
		if !asked(i) {
			return
		}
		if ep.Pod == "" {
			errs[i] = errors.New("no pod is known at this address")
			return
		}
		ctx, cancel := context.WithTimeout(ctx, counterTime)
		defer cancel()
		counts[i], errs[i] = istio.InboundRequests(ctx, r.t.cluster, ep.Namespace, ep.Pod, portOf(ep.Address))
	}, nil)
	if denied := r.mayNotForward(e, errs); denied != nil {
		return nil, denied
	}
	if err := errors.Join(errs...); err != nil && (ctx.Err() != nil || anyOf(err, apierrors.IsForbidden) || anyOf(err, apierrors.IsUnauthorized)) {
		return nil, fmt.Errorf("reading the sidecars' counters: %w", err)
	}
	read := make(map[string]int, len(e.Expected))
	for i, ep := range e.Expected {
		switch {
		case !asked(i):
		case errs[i] != nil:
			e.Uncounted[ep.Address] = errs[i].Error()
		default:
			read[ep.Address] = counts[i]
		}
	}
	return read, nil
}
