package cmd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
)

const (
	// rolloutRate is the calls a second where --rate doesn't say.
	rolloutRate = 100
	// beforeRollout and afterRollout are how long the load goes on around it.
	beforeRollout, afterRollout = 2 * time.Second, 3 * time.Second
)

// The phases of a load over a rollout.
const (
	before = iota
	during
	after
)

// rollover is a load that is held while the workload restarts.
type rollover struct {
	r        *run
	workload k8s.Workload
	begun    time.Time       // of the load
	starts   [3]atomic.Int64 // of the phases since then, in ns; -1: not reached
	phases   [3]report.LoadPhase
	old      map[string]bool          // the backends before
	first    map[string]time.Duration // of new ones: their first good answer
}

// mayRoll says before any call, and any write, what stands against watching a
// rollout, or against starting one.
func (r *run) mayRoll(ctx context.Context, pods []check.Endpoint) error {
	needed := []k8s.Permission{{Verb: "list", Resource: "pods", Namespace: r.t.namespace}}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: "apps", Resource: resource, Namespace: r.t.namespace},
			k8s.Permission{Verb: "get", Group: "apps", Resource: resource, Namespace: r.t.namespace})
		if r.o.load.restart {
			needed = append(needed, k8s.Permission{Verb: "patch", Group: "apps", Resource: resource, Namespace: r.t.namespace})
		}
	}
	for _, resource := range []string{"replicasets", "controllerrevisions"} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: "apps", Resource: resource, Namespace: r.t.namespace})
	}
	missing, err := r.t.cluster.Missing(ctx, needed)
	if err == nil && len(missing) > 0 {
		err = &k8s.DeniedError{Purpose: "--during-rollout", Missing: missing, Hint: "Ask for the permission, or leave it out."}
	}
	if err != nil {
		return err
	}
	_, err = r.rolledBy(ctx, pods)
	return err
}

// rolledBy finds the workload whose pods the route leads to.
func (r *run) rolledBy(ctx context.Context, pods []check.Endpoint) (k8s.Workload, error) {
	all, err := r.t.cluster.Workloads(ctx, r.t.namespace)
	if err != nil {
		return k8s.Workload{}, err
	}
	var found []k8s.Workload
	var names []string
	for _, w := range all {
		its, err := r.t.cluster.Pods(ctx, w)
		if err != nil {
			return w, err
		}
		if slices.ContainsFunc(its, func(p corev1.Pod) bool {
			return slices.ContainsFunc(pods, func(e check.Endpoint) bool { return e.Namespace == p.Namespace && e.Pod == p.Name })
		}) {
			found, names = append(found, w), append(names, w.String())
		}
	}
	if len(found) != 1 {
		return k8s.Workload{}, &manifest.TargetError{What: fmt.Sprintf("--during-rollout is for one workload behind the route, and there are %d in namespace %s (%s)", len(found), r.t.namespace, strings.Join(names, ", ")),
			Hint: "Narrow it down with --service or --virtual-service."}
	}
	return found[0], rollable(r.o.called, found[0], "be watched at it", "Go on without --during-rollout, and delete its pods yourself")
}

// over makes the load l while the workload restarts, and tells done of each
// call as l.Run would.
func (o *rollover) over(ctx context.Context, l probe.Load, done func(probe.Loaded, bool), failed func(probe.Loaded) bool) (dials int, unfinished error) {
	for i := range o.starts {
		o.starts[i].Store(-1)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o.begun, o.first = time.Now(), map[string]time.Duration{}
	o.enter(before)
	ended := make(chan error, 1)
	go func() {
		defer stop() // the load goes on until then
		ended <- o.roll(ctx)
	}()
	dials, _ = l.Run(ctx, o.r.o.dialTarget(0), func(one probe.Loaded) {
		bad := failed(one)
		o.take(one, bad)
		done(one, bad)
	})
	return dials, <-ended
}

func (o *rollover) enter(phase int) { o.starts[phase].Store(int64(time.Since(o.begun))) }

// take counts a call for the phase in which it began.
func (o *rollover) take(one probe.Loaded, failed bool) {
	phase := before
	for p := range o.starts {
		if start := o.starts[p].Load(); start >= 0 && int64(one.At-one.Latency) >= start {
			phase = p
		}
	}
	o.phases[phase].Calls++
	if failed {
		o.phases[phase].Lost++
		return
	}
	if _, seen := o.first[one.Backend]; !seen && !o.old[one.Backend] {
		o.first[one.Backend] = one.At
	}
}

// roll goes through the phases. The error is why no whole rollout was seen.
func (o *rollover) roll(ctx context.Context) error {
	if err := sleep(ctx, beforeRollout); err != nil {
		return err
	}
	cluster, say := o.r.t.cluster, o.r.o.say
	if o.r.o.load.restart {
		say("restart    %s", o.workload)
		o.enter(during)
		if err := o.restart(ctx); err != nil {
			return err
		}
	} else {
		say("waiting    for a rollout of %s to begin, as by: kubectl -n %s rollout restart %s", o.workload, o.workload.Namespace, strings.ToLower(o.workload.String()))
		if err := o.await(ctx); err != nil {
			return err
		}
		o.enter(during)
	}
	now, err := cluster.Observed(ctx, o.workload)
	if err != nil {
		return err
	}
	coming := func(c k8s.Coming) {
		if len(c.Came) > 0 {
			say("waiting    %s: %d of %s ready, new: %s", now, c.Ready, plural(c.Wanted, "pod"), strings.Join(c.Came, ", "))
		}
	}
	if _, err := cluster.WaitRolledOut(ctx, now, coming, func(words string) { say("waiting    %s: %s", now, words) }); err != nil {
		return err
	}
	o.enter(after)
	for { // a pod that leaves may lose calls to its very end
		leaving, err := cluster.Leaving(ctx, now)
		if err != nil {
			return err
		}
		if err := sleep(ctx, afterRollout); err != nil {
			return err
		}
		if leaving == 0 {
			return nil
		}
	}
}

// restart begins a rollout. A controller that has written its status since the
// workload was read is no one else's change.
func (o *rollover) restart(ctx context.Context) error {
	for try := 1; ; try++ {
		now, err := o.r.t.cluster.Observed(ctx, o.workload)
		if err != nil {
			return err
		}
		err = o.r.t.cluster.Restart(ctx, now, time.Now())
		if !errors.As(err, new(*plan.ConflictError)) || try == 5 {
			return err
		}
	}
}

// await returns once the workload has another template than it had.
func (o *rollover) await(ctx context.Context) error {
	for {
		now, err := o.r.t.cluster.Observed(ctx, o.workload)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(now.Template, o.workload.Template) {
			return nil
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return fmt.Errorf("none began: %w", err)
		}
	}
}

// sleep waits, or says why it was cut short.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// document is what came of it, for the report and for the judgement.
func (o *rollover) document(ctx context.Context, unfinished error, pods []check.Endpoint) (*report.LoadRollout, *check.Rollout) {
	end := time.Since(o.begun)
	doc := &report.LoadRollout{Workload: o.workload.String(), Restarted: o.r.o.load.restart, MaxLost: o.r.o.load.maxLost, NewPods: []report.NewPod{}}
	told := &check.Rollout{Workload: o.workload.String(), MaxLost: o.r.o.load.maxLost}
	for p, name := range []string{"before", "during", "after"} {
		start := time.Duration(o.starts[p].Load())
		if start < 0 {
			break
		}
		until := end
		if p < after && o.starts[p+1].Load() >= 0 {
			until = time.Duration(o.starts[p+1].Load())
		}
		phase := o.phases[p]
		phase.Phase, phase.Seconds = name, (until - start).Seconds()
		doc.Phases = append(doc.Phases, phase)
		if p == before {
			told.CallsBefore, told.LostBefore = phase.Calls, phase.Lost
		} else {
			told.Calls, told.Lost = told.Calls+phase.Calls, told.Lost+phase.Lost
		}
	}
	if unfinished != nil {
		told.Unfinished = unfinished.Error()
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			told.Unfinished = fmt.Sprintf("not within --timeout %s (%s)", o.r.o.timeout, unfinished)
		}
		doc.Unfinished = told.Unfinished
	}
	for backend, at := range o.first {
		e := check.Endpoint{Address: backend}
		if i := slices.IndexFunc(pods, func(e check.Endpoint) bool { return e.Address == backend }); i >= 0 {
			e = pods[i]
		}
		doc.NewPods = append(doc.NewPods, report.NewPod{Endpoint: e, Seconds: (at - time.Duration(max(o.starts[during].Load(), 0))).Seconds()})
	}
	slices.SortFunc(doc.NewPods, func(a, b report.NewPod) int { return int((a.Seconds - b.Seconds) * 1e6) })
	return doc, told
}
