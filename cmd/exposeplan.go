package cmd

import (
	"context"
	"slices"
	"strings"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// objects are those of the exposure's that are known, though something else may
// be in its way: all of them where nothing is.
func (x *exposer) objects() []manifest.Object {
	if x.exposure.WorkloadName == "" {
		return nil // its port is not even known
	}
	return slices.DeleteFunc(x.exposure.Objects(), func(obj manifest.Object) bool {
		switch obj.Kind {
		case "Service":
			return !x.routed && !x.served
		case "Gateway", "VirtualService", "DestinationRule":
			return !x.routed && !x.led
		}
		return !x.routed && !x.injected
	})
}

// plan decides what to write.
func (x *exposer) plan(ctx context.Context, steps []plan.Step) (err error) {
	if x.planned, err = plan.Build(steps); err != nil {
		return err
	}
	for _, s := range steps {
		x.again.keep(s.Want.ID, s.Live)
	}
	for i := range x.planned.Changes {
		if c := &x.planned.Changes[i]; x.o.diff && c.Action == plan.Create {
			if c.Diff, err = plan.Whole(c.Object); err != nil {
				return err
			}
		}
	}
	left, err := x.leftRule(ctx)
	if err != nil {
		return err
	}
	narrowed, err := x.leftGateway(ctx)
	if err != nil {
		return err
	}
	x.planned.Changes = slices.Concat(x.planned.Changes, narrowed, x.used(), left)
	if x.o.dryRun == "server" && x.lacking > 0 && len(x.exposure.PodLabel) == 0 { // a new template makes them anew by itself
		x.planned.Changes = append(x.planned.Changes, x.restartChange())
	}
	return nil
}

// used are those of someone else's that serve as they are.
func (x *exposer) used() []plan.Change {
	var changes []plan.Change
	use := func(id manifest.ID) {
		c := plan.Change{ID: id, Action: plan.Reuse, Reason: "used as it is; not made by grpcmesh"}
		if id.Namespace != x.exposure.Namespace {
			c.Reason = "of namespace " + id.Namespace + ", " + c.Reason
		}
		changes = append(changes, c)
	}
	if e := x.exposure; e.Reuse != "" {
		use(manifest.ID{Kind: "Service", Namespace: e.Namespace, Name: e.Reuse})
	}
	if gw := x.routes.Gateway(x.exposure.Gateway().Namespace, x.exposure.Gateway().Name); gw != nil && x.exposure.UseGateway != "" && !manifest.Owned(gw.Labels) {
		use(x.exposure.Gateway())
	}
	for _, name := range x.exposure.UseRoutes {
		ns, name, _ := strings.Cut(name, "/")
		use(manifest.ID{Kind: "VirtualService", Namespace: ns, Name: name})
	}
	return changes
}
