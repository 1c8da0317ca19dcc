package cmd

import (
	"context"
	"fmt"
	"strings"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// replanning is what a run keeps in mind to plan again.
type replanning struct {
	gateway string                 // version of the namespace's Gateway that the routes were read with; "": none
	first   map[manifest.ID]string // version of each object when it was first looked at; "": none
	noted   map[manifest.ID]bool   // told of already
	wrote   map[manifest.ID]bool
	was     map[manifest.ID]*plan.State // each object when it was first looked at; nil: none
	held    bool                        // the end of a DestinationRule, or of subsets, comes once the route is live
	served  []manifest.Server           // by the namespace's own Gateway, when it was first looked at
}

func newReplanning() replanning {
	return replanning{first: map[manifest.ID]string{}, noted: map[manifest.ID]bool{}, wrote: map[manifest.ID]bool{}, was: map[manifest.ID]*plan.State{}}
}

// unmoved holds a plan against what it was made from. A Gateway that changed
// since the routes were read is stale: what the plan keeps of it is not all
// that it has. What is this exposure's alone, and someone wrote otherwise since
// the first plan, was another run's wish, and is not overruled.
func (r *replanning) unmoved(p plan.Plan) error {
	for _, c := range p.Changes {
		if c.ID.Kind == "Gateway" && c.Action != plan.Reuse && c.ResourceVersion != r.gateway {
			return k8s.Changed(c.ID)
		}
		if r.holds(c.ID) {
			continue // it is this run's own doing
		}
		was, before := r.first[c.ID]
		if !before {
			r.first[c.ID] = c.ResourceVersion
			continue
		}
		if c.Action == plan.Update && c.ResourceVersion != was && (c.ID.Kind == "Service" || c.ID.Kind == "VirtualService" || c.ID.Kind == "DestinationRule") {
			return &plan.ConflictError{ID: c.ID,
				Reason: "someone else, or another run of grpcmesh, wrote it meanwhile and wants it otherwise: " + plan.Paths(c.Diff),
				Hint: fmt.Sprintf("It is left as it is: kubectl -n %s get %s %s -o yaml\nIf this run's wish is to hold, run the same command again.",
					c.ID.Namespace, strings.ToLower(c.ID.Kind), c.ID.Name)}
		}
	}
	return nil
}

// saw keeps the version that an object had when this run first looked.
func (r *replanning) saw(id manifest.ID, version string) {
	if _, before := r.first[id]; !before {
		r.first[id] = version
	}
}

// holds says whether the end of what the object was is yet to come.
func (r *replanning) holds(id manifest.ID) bool {
	return r.held && (id.Kind == "DestinationRule" || id.Kind == "Service")
}

// keep keeps an object as it was when this run first looked.
func (r *replanning) keep(id manifest.ID, live *plan.State) {
	if _, before := r.was[id]; !before {
		r.was[id] = live
	}
}

// note tells of a change, once: that it is unchanged when it is looked at
// again is no news.
func (x *exposer) note(c plan.Change) {
	if c.Writes() {
		x.again.wrote[c.ID] = true
	} else if x.again.noted[c.ID] {
		return
	}
	x.again.noted[c.ID] = true
	x.change(c)
}

// replan reads the routes anew and plans anew.
func (xs batch) replan(ctx context.Context) error {
	xs[0].cluster.Forget("Namespace", "Service", "Routes", "DestinationRule")
	for _, x := range xs {
		if err := x.findRoute(ctx); err != nil {
			return err
		}
	}
	xs.share()
	return xs.plan(ctx)
}

// settlePlan plans; where the cluster changed under it, once more.
func (xs batch) settlePlan(ctx context.Context, plan func(context.Context) error) error {
	return k8s.Settle(ctx, xs.told, func(ctx context.Context) error {
		err := plan(ctx)
		plan = xs.replan
		return err
	})
}

// write carries the plans out, then plans again and sees that nothing is left
// to do: of two runs at once that share a Gateway, the last to look finds both
// served. What changed meanwhile is planned again.
func (xs batch) write(ctx context.Context) error {
	planned := true
	return k8s.Settle(ctx, xs.told, func(ctx context.Context) error {
		if !planned {
			if err := xs.replan(ctx); err != nil {
				return err
			}
		}
		planned = false
		first, then, err := xs.inTwo()
		if err != nil {
			return err
		}
		note := func(of int, c plan.Change) { xs[of].note(c) }
		if err := k8s.CarryAll(ctx, xs[0].appliers, first, note); err != nil {
			return err
		}
		xs.awaitSubsets(ctx, then)
		if err := k8s.CarryAll(ctx, xs[0].appliers, then, note); err != nil {
			return err
		}
		if !xs.wrote() {
			return nil
		}
		if err := xs.replan(ctx); err != nil {
			return err
		}
		planned = true
		return xs.left()
	})
}

func (xs batch) wrote() bool {
	for _, x := range xs {
		if len(x.again.wrote) > 0 {
			return true
		}
	}
	return false
}

// left is stale where the plans have something to write.
func (xs batch) left() error {
	for _, x := range xs {
		for _, c := range x.planned.Changes {
			switch {
			case x.again.holds(c.ID):
			case c.Action == plan.Create && x.again.wrote[c.ID]:
				return vanished(c.ID)
			case c.Writes():
				return k8s.Changed(c.ID)
			}
		}
	}
	return nil
}

// vanished is about an object that the API server took and does not have.
func vanished(id manifest.ID) error {
	return &plan.ConflictError{ID: id, Stale: true, Reason: "the API server took it, and it is not there",
		Hint: "Someone deletes it; or this is a member cluster of a mesh that keeps Istio's objects in its primary cluster (as Tencent's does):\n" +
			"then write them there; grpcmesh render prints them."}
}

// told says why it takes another plan.
func (xs batch) told(err error) {
	reason, _, _ := strings.Cut(err.Error(), "\n")
	xs[0].o.say("again      %s; planning anew", reason)
}
