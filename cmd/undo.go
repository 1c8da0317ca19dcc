package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// undoer is what one run of unexpose does in one namespace.
type undoer struct {
	o         *unexposeOptions
	cluster   *k8s.Cluster
	mesh      *istio.Mesh
	appliers  k8s.Appliers
	namespace string
	workloads []k8s.Workload
	routes    istio.Routes
	named     []string                   // workloads as the user named them; none: the only exposure, or all
	all       bool                       // every exposure of the namespace
	going     []string                   // the exposures that go, as "kind/name"
	stays     error                      // of *plan.ConflictErrors: exposures whose VirtualService is kept
	last      bool                       // no other exposure is left in the namespace
	relabel   map[types.UID]k8s.Workload // those on whose pod template expose had set a label, as they are without it
	leaving   []*leaving                 // whose sidecars are to go, where that was asked for
	rules     []plan.State               // the namespace's DestinationRules that are grpcmesh's
	planned   plan.Plan
	doc       *report.Unexpose
}

// foresee plans, tells what stays, and what would be done.
func (u *undoer) foresee(ctx context.Context) error {
	var err error
	if u.planned, err = u.plan(ctx); err != nil {
		return err
	}
	u.tellKept(u.planned)
	if u.o.dryRun != "server" && !u.nothing() {
		return nil
	}
	for _, c := range u.planned.Changes {
		u.change(c)
	}
	for _, l := range u.leaving {
		if _, anew := u.relabel[l.UID]; !anew && u.o.dryRun == "server" {
			u.change(l.change())
		}
	}
	return nil
}

// nothing says whether all that was to go stays.
func (u *undoer) nothing() bool { return u.stays != nil && len(u.going) == 0 }

// carryOut does what was planned.
func (u *undoer) carryOut(ctx context.Context) error {
	if u.nothing() {
		return u.stays
	}
	sweep(ctx, u.mesh, u.routes, u.namespace, u.o.say, u.warn)
	if err := k8s.CarryAll(ctx, u.appliers, []plan.Plan{u.planned}, func(_ int, c plan.Change) { u.change(c) }); err != nil {
		return errors.Join(u.stays, err)
	}
	if err := k8s.WaitGone(ctx, u.appliers, u.planned); err != nil {
		return errors.Join(u.stays, err)
	}
	return errors.Join(u.stays, u.restart(ctx))
}

// plan decides what goes. What users' calls meet first goes first; the last
// object that tells of the exposure goes last, so that a run that was cut short
// is completed by the same command.
func (u *undoer) plan(ctx context.Context) (plan.Plan, error) {
	ns, err := u.enter(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	services, err := u.cluster.OwnServices(ctx, u.namespace)
	if err != nil {
		return plan.Plan{}, err
	}
	routes, err := u.mesh.Routes(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	u.routes = routes
	virtualServices, err := routes.Own(u.namespace)
	if err != nil {
		return plan.Plan{}, err
	}
	if u.workloads, err = u.cluster.Workloads(ctx, u.namespace); err != nil {
		return plan.Plan{}, err
	}
	if u.rules, err = u.mesh.OwnRules(ctx, u.namespace); err != nil {
		return plan.Plan{}, err
	}
	p, after, err := u.decide(ctx, ns, services, virtualServices, routes)
	if err != nil || u.nothing() {
		return p, err
	}
	template, err := u.podLabels(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	p.Changes = append(p.Changes, template...)
	gives := slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.ID.Kind == "Namespace" && c.Writes() })
	return p, u.findSidecars(ctx, after, gives)
}

// decide makes the plan from what was read; after are the namespace's labels
// once it is carried out.
func (u *undoer) decide(ctx context.Context, ns *plan.State, services, virtualServices []plan.State, routes istio.Routes) (p plan.Plan, after map[string]string, err error) {
	exposed := plan.Exposed(slices.Concat(services, virtualServices, u.rules))
	if ns != nil {
		exposed = append(exposed, manifest.Reuses(ns.Object)...)
		slices.Sort(exposed)
		exposed = slices.Compact(exposed)
	}
	chosen, rest, err := u.choose(exposed)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	var kept []error
	for _, workload := range chosen {
		changes := u.removals("VirtualService", workload, virtualServices)
		if conflict := u.conflict(workload, changes, virtualServices); conflict != nil {
			// All that it leans on stays as well, or its calls would lead nowhere.
			changes = slices.DeleteFunc(changes, func(c plan.Change) bool { return c.Action != plan.Keep })
			kept, rest = append(kept, conflict), append(rest, workload)
		} else {
			u.going = append(u.going, workload)
		}
		p.Changes = append(p.Changes, changes...)
	}
	u.last = len(rest) == 0
	if u.stays = errors.Join(kept...); u.nothing() {
		return p, nil, nil
	}
	gateway, err := release(ctx, u.appliers, routes, u.namespace, goes(p))
	if err != nil {
		return plan.Plan{}, nil, err
	}
	label, after, err := u.label(ctx, ns)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	rules, err := u.ruleRemovals(ctx)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	p.Changes = slices.Concat(p.Changes, rules, gateway, label)
	for _, workload := range u.going {
		p.Changes = append(p.Changes, u.removals("Service", workload, services)...)
	}
	u.tellTheirs(ns)
	if len(chosen) == 0 && len(u.named) > 0 {
		// It names one that is not exposed: nothing here is told to be its.
		if u.last && p.Writes() > 0 {
			u.warn("a run that was cut short has left objects in namespace %s, or one that used someone else's route as it was; this takes them away: %s", u.namespace, u.o.called.grpcmesh("unexpose", "-n", u.namespace))
		}
		return plan.Plan{}, ns.Labels, nil
	}
	return p, after, nil
}

// conflict is about the VirtualService of an exposure that is to go and is
// someone else's by now: users' calls go on by it.
func (u *undoer) conflict(workload string, changes []plan.Change, virtualServices []plan.State) *plan.ConflictError {
	for _, c := range changes {
		leads := slices.ContainsFunc(virtualServices, func(s plan.State) bool { return s.UID == c.UID && plan.Leads(s) })
		if c.Action == plan.Keep && leads {
			return &plan.ConflictError{ID: c.ID,
				Reason: fmt.Sprintf("it was kept (%s), so %s is still exposed; nothing of it was taken away, as its host on Gateway/%s, its Service and the namespace's label are what it leans on", c.Reason, workload, manifest.GatewayName),
				Hint:   "If it may go, delete it yourself and run the same command again: " + u.o.called.kubectl("delete", "virtualservice", c.ID.Name, "-n", u.namespace)}
		}
	}
	return nil
}

// boundTo begins the reason of a Gateway that others lean on.
const boundTo = "bound to it: "

// tellKept says what stays because it is not grpcmesh's alone, and how it can go.
func (u *undoer) tellKept(p plan.Plan) {
	for _, c := range p.Changes {
		switch {
		case c.Action != plan.Keep || u.nothing():
		case strings.HasPrefix(c.Reason, boundTo):
			u.warn("%s stays: %s. Once nothing is, this takes it away: %s", c.ID, c.Reason, u.o.called.grpcmesh("unexpose", "-n", u.namespace))
		default:
			resource := map[string]string{"Service": "service", "Gateway": "gateways.networking.istio.io", "VirtualService": "virtualservice", "DestinationRule": "destinationrule"}[c.ID.Kind]
			u.warn("%s stays: %s. If it may go, delete it yourself: %s", c.ID, c.Reason, u.o.called.kubectl("delete", resource, c.ID.Name, "-n", u.namespace))
		}
	}
}

// removals decides about the objects of a kind that are labelled as the
// workload's, given as "kind/name".
func (u *undoer) removals(kind, workload string, all []plan.State) []plan.Change {
	var changes []plan.Change
	workloadKind, name, _ := strings.Cut(workload, "/")
	for _, s := range all {
		if manifest.OwnedBy(s.Labels, workloadKind, name) {
			changes = append(changes, plan.Removal(manifest.ID{Kind: kind, Namespace: u.namespace, Name: s.Name()}, s))
		}
	}
	return changes
}

// goes are the names of the VirtualServices that the plan takes away, or gives
// back: one that stays needs its hosts.
func goes(p plan.Plan) []string {
	var names []string
	for _, c := range p.Changes {
		if c.ID.Kind == "VirtualService" && (c.Action == plan.Delete || c.Action == plan.Update) {
			names = append(names, c.ID.Name)
		}
	}
	return names
}

// label gives up the namespace's injection label with its last exposure. By
// server-side apply that takes away just what grpcmesh itself had set. after are
// the namespace's labels then.
func (u *undoer) label(ctx context.Context, ns *plan.State) (changes []plan.Change, after map[string]string, err error) {
	if !u.last || !plan.Applied(*ns) {
		changes, err = u.unnote(ctx, ns)
		return changes, ns.Labels, err
	}
	obj := manifest.NamespaceObject(u.namespace, types.UID(ns.UID))
	if record := manifest.Adopted(ns.Object); record != "" {
		return u.givenBack(ctx, obj.ID, ns, record)
	}
	steps, err := k8s.Propose(ctx, u.appliers, []manifest.Object{obj})
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Build(steps)
	return p.Changes, steps[0].Dry.Labels, err
}

func (u *undoer) change(c plan.Change) {
	line := report.ChangeOf(c)
	u.o.printing.Lock()
	defer u.o.printing.Unlock()
	u.doc.Changes = append(u.doc.Changes, line)
	if u.o.output == "text" {
		u.o.board.print(u.o.Err, func() { _, _ = fmt.Fprintln(u.o.Out, line.Line(u.doc.DryRun)) })
	}
}

func (u *undoer) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	u.doc.Warnings = append(u.doc.Warnings, w)
	u.o.say("warning    %s", w)
}
