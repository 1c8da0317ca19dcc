package cmd

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
)

const (
	// mostConnections is how often a run dials anew where connections break.
	mostConnections = 5
	// mostRenewed is how often it does where a server asks for it by GOAWAY.
	mostRenewed = 200
	// propagation is how long the gateway is given to learn of the probe route.
	propagation = 20 * time.Second
)

// run is one run of verify: its connection, and what it has lent itself.
type run struct {
	o       *verifyOptions
	t       *target
	conn    *probe.Conn
	dials   int
	renewed int // of them, those that the server asked for
	nonce   string
	users   string // the nonce of a load
	proof   string
	left    bool // the probe route may not be gone
	line    *progress
	marks   map[string]string // metadata of calls by the probe route, once known

	spared probe.Call   // the call that hurts no pod, where outlier detection is on
	spares []probe.Call // to be tried for that
	ejects string       // why verify's own calls may put pods out

	after  []check.Endpoint // at the end of the check, where a load followed
	loaded *report.Load

	replicas map[string]corev1.Pod // of the gateway, whose counters are read
}

func (r *run) close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
}

// dial opens the next connection, in place of the last. Where that fails the
// last one stays: it has ended, and says so of every call.
func (r *run) dial(ctx context.Context) error {
	conn, err := r.o.open(ctx, r.dials)
	if err != nil {
		return err
	}
	r.close()
	r.conn = conn
	r.dials++
	return nil
}

// collect makes the calls and gathers all that the judgement needs. The address
// is dialled before anything is written.
func (r *run) collect(ctx context.Context) (*check.Evidence, error) {
	if err := r.dial(ctx); err != nil {
		return nil, err
	}
	if err := r.describeCall(ctx); err != nil {
		return nil, err
	}
	before, err := r.t.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	if r.o.load.duringRollout {
		if err := r.mayRoll(ctx, before); err != nil {
			return nil, err
		}
	}
	rung, why, err := r.rung(ctx)
	if err != nil {
		return nil, err
	}
	e := &check.Evidence{Rung: rung, Streams: r.o.user.stream != nil, Layer4: r.t.layer4, Alpha: r.o.alpha, Limit: r.o.limit(),
		ByDesign: r.t.sticky, Prefers: r.t.prefers(ctx, before), Disagree: r.t.disagree, Undefined: r.t.undefined(), Nowhere: r.t.empty, Where: r.t.where(r.o.addr), Command: r.o.command(), Connection: r.o.called.connection, Expected: before, Standby: r.t.kept(before), TLS: secured(r.conn)}
	if len(before) < 2 {
		e.Workload = r.workloadOf(ctx)
	}
	r.line = newProgress(r.o, before)
	writes := "nothing is written"
	if rung == check.RungRoute {
		err = r.byRoute(ctx, e)
		if errors.Is(err, errNotLive) && r.o.identify == "auto" && len(e.Witness) == 0 {
			e.Rung, _ = r.counting(ctx)
			why, writes = err.Error(), "the VirtualService is removed again"
			if r.left {
				writes = "the VirtualService may still be there"
			}
			err = nil
		}
	}
	if err == nil && e.Rung == check.RungApp {
		r.o.say("by         what the app says of itself, in %s (%s); %s", r.o.backend.words(), why, writes)
		if r.o.load.asked {
			r.noLoad(e, "only a probe route tells which pod answered a call of a load, and the app says so here ("+why+")")
		}
		r.line = newProgress(r.o, nil)
		err = r.byApp(ctx, e)
	} else if err == nil && e.Rung != check.RungRoute {
		whose := "the pods' sidecars"
		if e.Rung == check.RungAdmin {
			whose = "the gateway's replicas"
		}
		r.o.say("by         the request counters of %s (%s); %s", whose, why, writes)
		if r.o.load.asked {
			r.noLoad(e, "only a probe route tells which pod answered a call, and pods are told apart by counters ("+why+")")
		}
		err = r.byCounters(ctx, e)
		if rung == check.RungRoute {
			e.WitnessWhy = refuted
		}
	}
	if err != nil && !errors.Is(err, errNotLive) {
		return nil, err
	}
	if r.o.load.asked && r.loaded == nil {
		r.noLoad(e, "the check did not come that far")
	}
	e.Control, e.Ejects = r.control(ctx, e), r.ejects
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	after := r.after
	if after == nil {
		if after, err = r.t.endpoints(end); err != nil {
			return nil, err
		}
	}
	noted := e.Changed
	e.Expected, e.Changed = compare(before, after)
	e.Nowhere = both(e.Nowhere, r.t.empty)
	for _, words := range noted { // it may have gone again
		if !slices.Contains(e.Changed, words) {
			e.Changed = append(e.Changed, words)
		}
	}
	return e, nil
}

// errNotLive: the gateway never stamped an answer.
var errNotLive = errors.New("the gateway did not take up the probe route in time")

// refuted is what it means that the probe route never came into force, though
// users' calls are answered: the target may not be what they reach.
const refuted = "the gateway never took up a route of the same host and Gateway, so that users' calls may take another VirtualService"

// byRoute is the ladder's first rung: the gateway stamps each answer with the
// pod that gave it.
func (r *run) byRoute(ctx context.Context, e *check.Evidence) error {
	r.nonce, r.proof = probe.NewNonce(), probe.NewNonce()
	if r.o.load.asked {
		r.users = probe.NewNonce()
	}
	r.o.say("by         a probe route: one VirtualService is added in namespace %s for the time of the check", r.t.vs.Namespace)
	if left := r.leftOut(); left != "" {
		r.o.say("           calls by it go without %s, by which other rules would take them before it; the others carry it", left)
	}
	spec := istio.ProbeSpec{Under: r.t.entry, On: r.t.gw, Host: r.t.gw.Pattern(r.t.vs, r.o.authorityHost()),
		Header: probe.HeaderNonce, Nonce: r.nonce, Users: r.users, Stamps: stamps(r.proof), TTL: r.o.timeout + r.o.loadTakes() + probeGrace}
	remove := lend(ctx, r.o.IO, r.t.mesh, spec.Route(), r.o.say)
	defer func() { r.left = !remove() }()
	if err := r.t.mesh.AddProbe(ctx, spec); err != nil {
		return err
	}
	r.spare(ctx)
	if err := r.awaitProbe(ctx); err != nil {
		if !errors.Is(err, errNotLive) {
			return err
		}
		// Users' calls may show why: a host that has no route has none for
		// the probe either.
		r.witness(ctx, e)
		if upstream(e.Witness) {
			e.Witness, e.WitnessWhy = nil, refuted
		}
		return err
	}
	seen := &newcomers{list: r.t.endpoints}
	for !check.Enough(*e) {
		s, err := r.call(ctx, r.sampling())
		if err != nil {
			break // the samples so far are judged; the last of them says why
		}
		e.Samples = append(e.Samples, s)
		seen.note(ctx, e, s.Stamp.Backend)
		r.line.saw(s.Stamp.Backend)
		if s.NoAnswer && r.broken() >= mostConnections {
			break
		}
	}
	r.line.done()
	r.witness(ctx, e)
	if r.o.load.asked && ctx.Err() == nil {
		if err := r.makeLoad(ctx, e); err != nil {
			return err
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil // what was seen until then is judged
	}
	return ctx.Err()
}

// call makes one call, on a new connection if the last one has ended.
func (r *run) call(ctx context.Context, c probe.Call) (probe.Sample, error) {
	if err := ctx.Err(); err != nil {
		return probe.Sample{}, err
	}
	s := r.made(ctx, c, func(ctx context.Context, conn *probe.Conn, c probe.Call) probe.Sample { return conn.Call(ctx, c) })
	if outOf(ctx, s) {
		return probe.Sample{}, ctx.Err()
	}
	if s.NoAnswer && ctx.Err() == nil && r.broken() < mostConnections {
		if err := r.dial(ctx); err != nil {
			return s, nil //nolint:nilerr // the sample says that there was no answer
		}
	}
	return s, nil
}

// made makes a call by the connection that there is, or by the next one where the
// server has asked for that.
func (r *run) made(ctx context.Context, c probe.Call, by func(context.Context, *probe.Conn, probe.Call) probe.Sample) probe.Sample {
	s := by(ctx, r.conn, c)
	for s.Unmade && ctx.Err() == nil && r.renewed < mostRenewed {
		r.renewed++
		if err := r.dial(ctx); err != nil {
			return s
		}
		s = by(ctx, r.conn, c)
	}
	return s
}

// broken is how many connections were made beyond those that the server asked for.
func (r *run) broken() int { return r.dials - r.renewed }

// awaitProbe calls until the gateway stamps the answers on the very connection
// that the check will use: another replica may be ahead or behind.
func (r *run) awaitProbe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, propagation)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := r.call(ctx, r.probing())
		if hurt := err == nil && r.hurt(s); err == nil && s.Stamped && !hurt {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return errNotLive
			}
			return ctx.Err()
		}
	}
}
