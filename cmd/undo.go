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

// undoer is one run of unexpose.
type undoer struct {
	o         *unexposeOptions
	cluster   *k8s.Cluster
	mesh      *istio.Mesh
	appliers  k8s.Appliers
	namespace string
	workloads []k8s.Workload
	routes    istio.Routes
	last      bool                // no other exposure is left in the namespace
	stays     *plan.ConflictError // the exposure's VirtualService is kept; nil: it goes
	relabel   *k8s.Workload       // as it is without the label that expose had set on its pod template; nil: it had set none
	leaving   *leaving            // whose sidecars are to go; nil: none, or not asked for
	rules     []plan.State        // the namespace's DestinationRules that are grpcmesh's
	doc       *report.Unexpose
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
	if err != nil || u.stays != nil {
		return p, err
	}
	template, err := u.podLabel(ctx)
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
	workload, rest, err := u.choose(plan.Exposed(slices.Concat(services, virtualServices, u.rules)))
	if err != nil {
		return plan.Plan{}, nil, err
	}
	u.last = len(rest) == 0
	kind, name, _ := strings.Cut(workload, "/")
	p.Changes = u.removals("VirtualService", kind, name, virtualServices)
	if u.stays = u.conflict(p.Changes, virtualServices); u.stays != nil {
		// All that it leans on stays as well, or its calls would lead nowhere.
		p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool { return c.Action != plan.Keep })
		return p, nil, nil //nolint:nilerr // a kept object ends the run after its plan was told
	}
	gateway, err := u.gateway(ctx, routes, goes(p, name))
	if err != nil {
		return plan.Plan{}, nil, err
	}
	label, after, err := u.label(ctx, ns)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	rules, err := u.ruleRemovals(ctx, kind, name)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	p.Changes = slices.Concat(p.Changes, rules, gateway, label, u.removals("Service", kind, name, services))
	if workload == "" && u.o.workload != "" {
		// It names one that is not exposed: nothing here is told to be its.
		if u.last && p.Writes() > 0 {
			u.warn("a run that was cut short has left objects in namespace %s; this takes them away: %s", u.namespace, u.o.called.grpcmesh("unexpose", "-n", u.namespace))
		}
		return plan.Plan{}, ns.Labels, nil
	}
	return p, after, nil
}

// conflict is about the VirtualService of an exposure that is to go and is
// someone else's by now: users' calls go on by it.
func (u *undoer) conflict(changes []plan.Change, virtualServices []plan.State) *plan.ConflictError {
	for _, c := range changes {
		leads := slices.ContainsFunc(virtualServices, func(s plan.State) bool { return s.UID == c.UID && plan.Leads(s) })
		if c.Action == plan.Keep && leads {
			return &plan.ConflictError{ID: c.ID,
				Reason: fmt.Sprintf("it was kept (%s), so %s is still exposed; nothing was written, as its host on Gateway/%s, its Service and the namespace's label are what it leans on", c.Reason, u.doc.Workload, manifest.GatewayName),
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
		case c.Action != plan.Keep || u.stays != nil:
		case strings.HasPrefix(c.Reason, boundTo):
			u.warn("%s stays: %s. Once nothing is, this takes it away: %s", c.ID, c.Reason, u.o.called.grpcmesh("unexpose", "-n", u.namespace))
		default:
			resource := map[string]string{"Service": "service", "Gateway": "gateways.networking.istio.io", "VirtualService": "virtualservice", "DestinationRule": "destinationrule"}[c.ID.Kind]
			u.warn("%s stays: %s. If it may go, delete it yourself: %s", c.ID, c.Reason, u.o.called.kubectl("delete", resource, c.ID.Name, "-n", u.namespace))
		}
	}
}

// choose picks the exposure that the argument names, or the only one. rest are
// the others. A workload that is there and not exposed is already undone; a name
// of neither is a *manifest.TargetError.
func (u *undoer) choose(exposed []string) (workload string, rest []string, err error) {
	fit := exposed
	if u.o.workload != "" {
		kind, name, err := manifest.ParseWorkload(u.o.workload)
		if err != nil {
			return "", nil, err
		}
		fit = slices.DeleteFunc(slices.Clone(exposed), func(e string) bool {
			return e != strings.ToLower(kind)+"/"+name && (kind != "" || !strings.HasSuffix(e, "/"+name))
		})
	}
	if len(fit) > 1 {
		return "", nil, &manifest.TargetError{What: fmt.Sprintf("%d workloads of namespace %s are exposed; which one is to be undone?", len(fit), u.namespace),
			Candidates: fit, Hint: "Name one: grpcmesh unexpose " + fit[0] + " -n " + u.namespace}
	}
	if len(fit) == 0 && u.o.workload != "" {
		if err := u.known(exposed); err != nil {
			return "", nil, err
		}
	}
	if len(fit) == 1 {
		workload = fit[0]
		u.doc.Workload = workload
		u.o.say("workload   %s", workload)
	}
	rest = slices.DeleteFunc(slices.Clone(exposed), func(e string) bool { return e == workload })
	if len(rest) > 0 {
		u.o.say("           still exposed in namespace %s: %s", u.namespace, strings.Join(rest, ", "))
	}
	return workload, rest, nil
}

// known refuses an argument that names none of the namespace's workloads.
func (u *undoer) known(exposed []string) error {
	kind, name, err := manifest.ParseWorkload(u.o.workload)
	if err != nil || slices.ContainsFunc(u.workloads, func(w k8s.Workload) bool { return w.Name == name && (kind == "" || w.Kind == kind) }) {
		return err
	}
	e := &manifest.TargetError{What: fmt.Sprintf("no workload %s in namespace %s, nor an exposure of one; exposed are", u.o.workload, u.namespace), Candidates: exposed}
	if len(exposed) == 0 {
		e.What = fmt.Sprintf("no workload %s in namespace %s; nothing is exposed there", u.o.workload, u.namespace)
		for _, w := range u.workloads {
			e.Candidates = append(e.Candidates, strings.ToLower(w.Kind)+"/"+w.Name)
		}
		if len(e.Candidates) > 0 {
			e.What += "; its workloads are"
		}
	}
	e.Hint = "Nothing was written. Name one of them, or another namespace with -n."
	return e
}

// removals decides about the objects that are labelled as the workload's.
func (u *undoer) removals(kind, workloadKind, workload string, all []plan.State) []plan.Change {
	var changes []plan.Change
	for _, s := range all {
		if manifest.OwnedBy(s.Labels, workloadKind, workload) {
			changes = append(changes, plan.Removal(manifest.ID{Kind: kind, Namespace: u.namespace, Name: s.Name()}, s))
		}
	}
	return changes
}

// gateway narrows the Gateway to what others still need, and deletes it where
// they need nothing.
func (u *undoer) gateway(ctx context.Context, routes istio.Routes, gone string) ([]plan.Change, error) {
	gw := routes.Gateway(u.namespace, manifest.GatewayName)
	if gw == nil || !manifest.Owned(gw.Labels) {
		return nil, nil
	}
	state, err := k8s.StateOf(gw, nil)
	if err != nil {
		return nil, err
	}
	removal := plan.Removal(manifest.ID{Kind: "Gateway", Namespace: u.namespace, Name: gw.Name}, *state)
	servers, users := routes.Release(gw, gone)
	if removal.Action == plan.Keep || len(servers) == 0 && len(users) == 0 {
		return []plan.Change{removal}, nil
	}
	if len(servers) == 0 {
		removal.Action, removal.Reason = plan.Keep, boundTo+strings.Join(users, ", ")
		return []plan.Change{removal}, nil
	}
	steps, err := k8s.Propose(ctx, u.appliers, []manifest.Object{manifest.GatewayObject(u.namespace, gw.Spec.Selector, servers)})
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(steps)
	return p.Changes, err
}

// goes is the name if the plan deletes the VirtualService that has it, else "":
// one that someone made under that name needs its hosts.
func goes(p plan.Plan, name string) string {
	for _, c := range p.Changes {
		if c.ID.Kind == "VirtualService" && c.ID.Name == name && (c.Action == plan.Delete || c.Action == plan.Update) {
			return name
		}
	}
	return ""
}

// label gives up the namespace's injection label with its last exposure. By
// server-side apply that takes away just what grpcmesh itself had set. after are
// the namespace's labels then.
func (u *undoer) label(ctx context.Context, ns *plan.State) (changes []plan.Change, after map[string]string, err error) {
	if !u.last || !plan.Applied(*ns) {
		return nil, ns.Labels, nil
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
	u.doc.Changes = append(u.doc.Changes, line)
	if u.o.output == "text" {
		u.o.board.print(u.o.Err, func() { _, _ = fmt.Fprintln(u.o.Out, line.Line(u.doc.DryRun)) })
	}
}

func (u *undoer) cutShort(ctx context.Context, err error) error {
	err = outOfTime(ctx, err, u.o.timeout)
	if u.o.output == "text" || len(u.doc.Changes) == 0 {
		return err
	}
	return errors.Join(err, u.o.print(u.doc))
}

func (u *undoer) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	u.doc.Warnings = append(u.doc.Warnings, w)
	u.o.say("warning    %s", w)
}
