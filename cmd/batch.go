package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// batch is what one run exposes, in order. Exposures of one namespace share its
// label and its Gateway, and each is checked against those before it.
type batch []*exposer

// atOnce is how many workloads are restarted and waited for at a time.
const atOnce = 8

// resolve answers every question that the Intents leave open, from the cluster,
// and rehearses; what is found wrong with any of them is told at once. It writes
// nothing.
func (o *exposeOptions) resolve(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh, intents []manifest.Intent) (batch, error) {
	cluster = cluster.Remembering(o.reach(intents))
	mesh = mesh.Beside(cluster)
	intents, err := o.expand(ctx, cluster, intents)
	if err != nil {
		return nil, err
	}
	looked := make(batch, len(intents))
	found := make([]error, len(intents))
	shared := &merging{}
	for i, intent := range intents {
		looked[i] = newExposer(o, cluster, mesh, intent, shared)
		looked[i].silent = len(intents) > 1
	}
	var xs, all batch
	var errs []error
	k8s.AtOnce(len(looked), k8s.InFlight, func(i int) { found[i] = looked[i].resolve(ctx) }, func(i int) {
		if ctx.Err() != nil {
			return
		}
		x, err := looked[i], found[i]
		if len(intents) > 1 {
			o.say("%s/%s", x.intent.Namespace, x.intent.Workload)
		}
		x.speak()
		passedBy := (o.all || o.selector != "") && errors.As(err, new(noPortError))
		if passedBy {
			o.say("           passed by: %s", err)
			return
		}
		if err = x.join(ctx, xs); x.routed {
			xs = append(xs, x)
		}
		all, errs = append(all, x), append(errs, x.asGiven(err))
	})
	if ctx.Err() != nil {
		return nil, cmp.Or(slices.Concat(found, errs, []error{ctx.Err()})...)
	}
	if len(all) == 0 {
		return nil, &manifest.TargetError{What: "no workload of namespace " + o.intent.Namespace + " that was looked at speaks gRPC",
			Hint: "Where one listens on another port, name it: grpcmesh expose WORKLOAD --target-port PORT"}
	}
	xs.share()
	if errors.Join(errs...) == nil {
		for _, x := range xs {
			x.tellWarnings()
		}
		return xs, nil
	}
	for i, err := range all.planEach(ctx) { // as far as their objects are known
		errs[i] = errors.Join(errs[i], all[i].asGiven(err))
	}
	return nil, o.refuse(all, errs)
}

// reach is how much of each kind the run lists at once.
func (o *exposeOptions) reach(intents []manifest.Intent) k8s.Reach {
	if o.all || o.selector != "" {
		return k8s.Namespaces
	}
	namespaces := map[string]bool{}
	for _, intent := range intents {
		namespaces[intent.Namespace] = true
	}
	return k8s.ReachFor(len(intents), len(namespaces))
}

// share gives the exposures of a namespace what they have in common.
func (xs batch) share() {
	xs.shareGateways()
	xs.shareNotes()
}

// shareGateways gives all of a namespace one Gateway: the last knows what all
// of them need of it.
func (xs batch) shareGateways() {
	gateway := map[string]*exposer{}
	for i := len(xs) - 1; i >= 0; i-- {
		if xs[i].exposure.UseGateway != "" {
			continue
		}
		if gateway[xs[i].exposure.Namespace] == nil {
			gateway[xs[i].exposure.Namespace] = xs[i]
		}
		xs[i].exposure.Servers = gateway[xs[i].exposure.Namespace].exposure.Servers
	}
	for _, x := range xs {
		x.sharesOwn = x.exposure.UseGateway != "" && gateway[x.exposure.Namespace] != nil
	}
}

// plan asks the server for a dry run of everything and decides what to write.
// What several need is written with the first.
func (xs batch) plan(ctx context.Context) error { return errors.Join(xs.planEach(ctx)...) }

func (xs batch) planEach(ctx context.Context) []error {
	seen := map[manifest.ID]bool{}
	var objs []manifest.Object
	ends := make([]int, len(xs)) // of each one's objects among all
	for i, x := range xs {
		for _, obj := range x.objects() {
			if !seen[obj.ID] {
				objs = append(objs, obj)
			}
			seen[obj.ID] = true
		}
		ends[i] = len(objs)
	}
	if len(xs) == 0 {
		return nil
	}
	steps, refused := k8s.ProposeAll(ctx, xs[0].appliers, objs)
	var errs []error
	start := 0
	for i, x := range xs {
		if own := refused[start:ends[i]]; len(own) == 0 && !x.routed {
			errs = append(errs, nil)
		} else if errors.Join(own...) != nil {
			errs = append(errs, unplanned(steps[start:ends[i]], own))
		} else if err := x.plan(ctx, steps[start:ends[i]]); err != nil {
			errs = append(errs, err)
		} else {
			errs = append(errs, x.again.unmoved(x.planned))
		}
		start = ends[i]
	}
	return errs
}

// carryOut writes the plans, one after another, then restarts and waits for
// several at a time. What fails for one stops no other.
func (xs batch) carryOut(ctx context.Context) error {
	if err := xs.write(ctx); err != nil {
		for _, x := range xs {
			_ = x.noted(err)
		}
		return err
	}
	switch {
	case !xs.wrote():
	case len(xs) == 1:
		xs[0].watch()
	default:
		xs[0].cluster.Forget("Workload", "Pod", "ReplicaSet", "ControllerRevision")
	}
	reach, left := k8s.Asked, map[string]int{} // of each namespace, how many are not up yet
	if len(xs) > 1 {
		reach = k8s.Namespaces
	}
	watching, stop := xs[0].cluster.Watching(ctx, reach)
	defer stop()
	for _, x := range xs {
		x.cluster = watching
		left[x.exposure.Namespace]++
	}
	var mu sync.Mutex
	up := func(namespace string) {
		mu.Lock()
		defer mu.Unlock()
		if left[namespace]--; left[namespace] == 0 {
			stop(namespace)
		}
	}
	errs := make([]error, len(xs))
	k8s.AtOnce(len(xs), atOnce, func(i int) {
		defer up(xs[i].exposure.Namespace)
		errs[i] = xs[i].noted(xs[i].bringUp(ctx))
	}, nil)
	return errors.Join(errs...)
}

// document is all of them in one.
func (xs batch) document() *report.ExposeList {
	list := &report.ExposeList{APIVersion: report.APIVersion, Kind: "ExposeReportList"}
	for _, x := range xs {
		list.Items = append(list.Items, x.doc)
	}
	return list
}

// bringUp restarts the workload where that is due, and waits until calls come
// through.
func (x *exposer) bringUp(ctx context.Context) error {
	wrote := len(x.again.wrote) > 0
	restarted, err := x.restart(ctx)
	if err != nil {
		return err
	}
	if restarted {
		wrote = true
		x.change(x.restartChange())
		x.watch()
	}
	if x.o.wait {
		if err := x.awaitPort(ctx); err != nil {
			return err
		}
		if x.doc.Live, err = x.awaitLive(ctx, wrote || x.again.held); err != nil {
			return err
		}
	}
	return x.letGo(ctx)
}

// change notes one change, and in text prints it at once: who watches sees
// each thing as it is done.
func (x *exposer) change(c plan.Change) {
	line := report.ChangeOf(c)
	if x.o.diff && !c.Writes() && x.o.output == "text" {
		return // a difference is all that is asked for
	}
	x.o.printing.Lock()
	defer x.o.printing.Unlock()
	x.doc.Changes = append(x.doc.Changes, line)
	mark := x.doc.DryRun
	if x.o.diff {
		mark = "" // of diff it goes without saying
	}
	if x.o.output == "text" {
		x.o.board.print(x.o.Err, func() { _, _ = fmt.Fprintln(x.o.Out, line.Line(mark)) })
	}
}
