package cmd

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// putBack gives an exposure that was there before this run the settings that it
// had: what the run wrote is applied as an earlier one had, and what it made
// goes. What is pointed at comes before what points, and goes after it; the
// Gateway listens for the old and the new until all is done.
func (x *exposer) putBack(ctx context.Context) error {
	ids := slices.SortedFunc(maps.Keys(x.again.wrote), func(a, b manifest.ID) int { return cmp.Compare(rank(a), rank(b)) })
	ids = slices.DeleteFunc(ids, func(id manifest.ID) bool { return rank(id) < 0 })
	if len(ids) == 0 {
		return nil
	}
	var objs []manifest.Object
	var made []manifest.ID
	for _, id := range ids {
		was := x.again.was[id]
		if was == nil {
			made = append(made, id)
			continue
		}
		asked, err := plan.Asked(*was)
		if err != nil {
			return err
		}
		obj, err := manifest.Restored(id, asked)
		if err != nil {
			return err
		}
		objs = append(objs, obj)
	}
	if err := x.listen(ctx, true); err != nil {
		return err
	}
	if err := x.propose(ctx, objs, x.undone); err != nil {
		return err
	}
	var removals plan.Plan
	for _, id := range made {
		live, err := x.appliers[id.Kind].Get(ctx, id)
		if err != nil {
			return err
		}
		if live != nil {
			removals.Changes = append(removals.Changes, plan.Removal(id, *live))
		}
	}
	if err := k8s.Carry(ctx, x.appliers, removals, x.undone); err != nil {
		return err
	}
	return x.listen(ctx, false)
}

// rank is the order in which the kinds of an exposure's own are put back; below
// 0 are those that are not its own.
func rank(id manifest.ID) int {
	return slices.Index([]string{"Service", "DestinationRule", "VirtualService"}, id.Kind)
}

// listen brings the namespace's own Gateway up to date: while settings are put
// back it listens for what it did when the run began as well, then for what
// routes need.
func (x *exposer) listen(ctx context.Context, still bool) error {
	x.cluster.Forget("Service", "Routes", "DestinationRule")
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return err
	}
	gw := routes.Gateway(x.exposure.Namespace, manifest.GatewayName)
	if gw == nil && still && len(x.again.served) > 0 { // the run took it away
		return x.propose(ctx, []manifest.Object{manifest.GatewayObject(x.exposure.Namespace, x.exposure.GatewaySelector, x.again.served)}, x.undone)
	}
	if gw == nil || !manifest.Owned(gw.Labels) {
		return nil
	}
	servers, _ := routes.Release(gw)
	for _, s := range x.again.served {
		for _, host := range s.Hosts {
			if still {
				servers = manifest.MergeServers(servers, s.Port, s.TLS, host)
			}
		}
	}
	if len(servers) == 0 {
		return nil
	}
	return x.propose(ctx, []manifest.Object{manifest.GatewayObject(gw.Namespace, gw.Spec.Selector, servers)}, x.undone)
}

// propose applies the objects, where that changes anything; done is told of each
// change.
func (x *exposer) propose(ctx context.Context, objs []manifest.Object, done func(plan.Change)) error {
	p, err := k8s.Planned(ctx, x.appliers, objs...)
	if err != nil {
		return err
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return !c.Writes() })
	return k8s.Carry(ctx, x.appliers, p, done)
}
