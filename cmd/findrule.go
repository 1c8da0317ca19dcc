package cmd

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// findRule looks for whose DestinationRule governs the gateway's calls to the
// Service, where the exposure wants one: another's is used as it is if it says
// what is wanted, and is in the way if not.
func (x *exposer) findRule(ctx context.Context) error {
	e := &x.exposure
	e.ReuseRule = false
	if !e.Route.WantsRule() {
		return nil
	}
	client := istio.Client{Namespace: x.ingress.Namespace, Labels: x.ingress.Selector}
	if len(x.ingress.Pods) > 0 {
		client.Labels = x.ingress.Pods[0].Labels
	}
	theirs, names, err := x.mesh.OtherRule(ctx, client, *e)
	switch {
	case err != nil:
		return err
	case names == "":
		return nil
	case istio.Says(theirs, *e):
		e.ReuseRule = true
		x.say("           DestinationRule %s is not grpcmesh's and says what is wanted; it is used as it is", names)
		return nil
	}
	e.ReuseRule = true // one finding is enough: it is not to be written, whatever else is
	beside := ""
	if x.o.adopt {
		beside = "\n--adopt takes over no DestinationRule."
	}
	return &plan.ConflictError{Code: finding.RuleClash, ID: manifest.ID{Kind: "DestinationRule", Namespace: e.Namespace, Name: e.WorkloadName},
		Reason: fmt.Sprintf("DestinationRule %s governs the gateway's calls to Service %s already and says otherwise; of two for one Service Istio heeds one, or parts of both", names, e.ServiceName()),
		Hint:   "Nothing was written. Do without --lb and --canary, or let that one say so: then it is used as it is. What it takes: " + istio.Wanted(*e) + beside}
}

// leftRule is what becomes of a DestinationRule that a run before made for the
// workload and this one does without. Who may not look, has none.
func (x *exposer) leftRule(ctx context.Context) ([]plan.Change, error) {
	e := x.exposure
	if e.Route.WantsRule() && !e.ReuseRule {
		return nil, nil
	}
	id := manifest.ID{Kind: "DestinationRule", Namespace: e.Namespace, Name: e.WorkloadName}
	live, err := x.appliers[id.Kind].Get(ctx, id)
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", id, err)
	}
	if live == nil || !manifest.OwnedBy(live.Labels, e.WorkloadKind, e.WorkloadName) {
		return nil, nil
	}
	x.again.keep(id, live)
	c := plan.Removal(id, *live)
	if c.Action == plan.Keep {
		if !x.again.noted[id] {
			x.warn("%s is no longer asked for and stays: %s. If it may go, delete it yourself: %s", id, c.Reason, x.o.called.kubectl("delete", "destinationrule", id.Name, "-n", id.Namespace))
		}
		return []plan.Change{c}, nil
	}
	missing, err := x.cluster.Missing(ctx, []k8s.Permission{{Verb: "delete", Group: istioGroup, Resource: "destinationrules", Namespace: id.Namespace}})
	if err != nil || len(missing) == 0 {
		return []plan.Change{c}, err
	}
	return nil, &k8s.DeniedError{Purpose: "taking away " + id.String() + ", which is no longer asked for,", Missing: missing,
		Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has it."}
}

// ruleRemovals decides about the DestinationRules of the exposures that go.
func (u *undoer) ruleRemovals(ctx context.Context) ([]plan.Change, error) {
	var changes []plan.Change
	for _, workload := range u.going {
		changes = append(changes, u.removals("DestinationRule", workload, u.rules)...)
	}
	if (plan.Plan{Changes: changes}).Writes() == 0 {
		return changes, nil
	}
	missing, err := u.cluster.Missing(ctx, []k8s.Permission{{Verb: "delete", Group: istioGroup, Resource: "destinationrules", Namespace: u.namespace}})
	if err != nil || len(missing) == 0 {
		return changes, err
	}
	return nil, &k8s.DeniedError{Purpose: "unexpose", Missing: missing, Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has it."}
}
