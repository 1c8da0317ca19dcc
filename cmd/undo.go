package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	last      bool // no other exposure is left in the namespace
	doc       *report.Unexpose
}

// plan decides what goes. What users' calls meet first goes first; the last
// object that tells of the exposure goes last, so that a run that was cut short
// is completed by the same command.
func (u *undoer) plan(ctx context.Context) (plan.Plan, error) {
	missing, err := u.cluster.Missing(ctx, toUndo(u.namespace))
	if err != nil {
		return plan.Plan{}, err
	}
	if len(missing) > 0 {
		return plan.Plan{}, &k8s.DeniedError{Purpose: "unexpose", Missing: missing,
			Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has all of it; or choose another --context or --user."}
	}
	ns, err := u.appliers["Namespace"].Get(ctx, manifest.ID{Kind: "Namespace", Name: u.namespace})
	if err != nil {
		return plan.Plan{}, fmt.Errorf("reading namespace %s: %w", u.namespace, err)
	}
	if ns == nil {
		return plan.Plan{}, &manifest.TargetError{What: "no namespace " + u.namespace + " in this cluster", Hint: "Name the one that the workload runs in with -n."}
	}
	services, err := u.cluster.OwnServices(ctx, u.namespace)
	if err != nil {
		return plan.Plan{}, err
	}
	routes, err := u.mesh.Routes(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	virtualServices, err := routes.Own(u.namespace)
	if err != nil {
		return plan.Plan{}, err
	}
	exposed := plan.Exposed(slices.Concat(services, virtualServices))
	workload, rest, err := u.choose(exposed)
	if err != nil {
		return plan.Plan{}, err
	}
	u.last = len(rest) == 0
	var p plan.Plan
	kind, name, _ := strings.Cut(workload, "/")
	p.Changes = append(p.Changes, u.removals("VirtualService", kind, name, virtualServices)...)
	gateway, err := u.gateway(ctx, routes, name)
	if err != nil {
		return plan.Plan{}, err
	}
	p.Changes = append(p.Changes, gateway...)
	label, err := u.label(ctx, ns)
	if err != nil {
		return plan.Plan{}, err
	}
	p.Changes = append(p.Changes, label...)
	p.Changes = append(p.Changes, u.removals("Service", kind, name, services)...)
	return p, nil
}

// choose picks the exposure that the argument names, or the only one. rest are
// the others. One that is not there is already undone.
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
		removal.Action, removal.Reason = plan.Keep, "bound to it: "+strings.Join(users, ", ")
		return []plan.Change{removal}, nil
	}
	return u.apply(ctx, manifest.GatewayObject(u.namespace, gw.Spec.Selector, servers))
}

// label gives up the namespace's injection label with its last exposure. By
// server-side apply that takes away just what grpcmesh itself had set.
func (u *undoer) label(ctx context.Context, ns *plan.State) ([]plan.Change, error) {
	if !u.last {
		return nil, nil
	}
	return u.apply(ctx, manifest.NamespaceObject(u.namespace, types.UID(ns.UID)))
}

func (u *undoer) apply(ctx context.Context, obj manifest.Object) ([]plan.Change, error) {
	steps, err := k8s.Propose(ctx, u.appliers, []manifest.Object{obj})
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(steps)
	return p.Changes, err
}

// restart takes the sidecars away, where that was asked for.
func (u *undoer) restart(ctx context.Context) error {
	if u.doc.Workload == "" {
		return nil
	}
	all, err := u.cluster.Workloads(ctx, u.namespace)
	if err != nil {
		return err
	}
	w, err := k8s.Choose(all, u.namespace, u.doc.Workload)
	if err != nil {
		return nil //nolint:nilerr // the workload is gone, and its pods with it
	}
	pods, err := u.cluster.NewestPods(ctx, w)
	if err != nil {
		return err
	}
	with := 0
	for i := range pods {
		if k8s.HasSidecar(pods[i].Spec) {
			with++
		}
	}
	switch {
	case with == 0:
		return nil
	case !u.o.restart:
		u.o.say("           %s of %s keep their sidecar until they are restarted (--restart)", plural(with, "pod"), w)
		return nil
	case !u.last:
		u.warn("%s was not restarted: its namespace is still labelled for injection, for the other exposures", w)
		return nil
	}
	if err := u.cluster.Restart(ctx, w, time.Now()); err != nil {
		return err
	}
	u.change(plan.Change{ID: manifest.ID{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}, Action: plan.Restart,
		Reason: fmt.Sprintf("%d of %s had a sidecar", with, plural(len(pods), "pod"))})
	return u.cluster.WaitRolledOut(ctx, w, func(s string) { u.o.say("waiting    %s: %s", w, s) })
}

func (u *undoer) change(c plan.Change) {
	line := report.ChangeOf(c)
	u.doc.Changes = append(u.doc.Changes, line)
	if u.o.output == "text" {
		_, _ = fmt.Fprintln(u.o.Out, line.Line(u.doc.DryRun))
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
