package cmd

import (
	"context"
	"slices"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// release narrows the Gateway that grpcmesh made for the namespace to what others
// still need once the VirtualServices are gone, and deletes it where they need
// nothing.
func release(ctx context.Context, appliers k8s.Appliers, routes istio.Routes, namespace string, gone []string) ([]plan.Change, error) {
	gw := routes.Gateway(namespace, manifest.GatewayName)
	if gw == nil || !manifest.Owned(gw.Labels) {
		return nil, nil
	}
	state, err := k8s.StateOf(gw, nil)
	if err != nil {
		return nil, err
	}
	removal := plan.Removal(manifest.ID{Kind: "Gateway", Namespace: namespace, Name: gw.Name}, *state)
	servers, users := routes.Release(gw, gone...)
	adopted := gw.Annotations[manifest.AdoptedAnnotation] != ""
	if removal.Action == plan.Keep || len(servers) == 0 && len(users) == 0 || adopted && !routes.OwnUsers(gw, gone) {
		return []plan.Change{removal}, nil
	}
	if len(servers) == 0 {
		removal.Action, removal.Reason = plan.Keep, boundTo+strings.Join(users, ", ")
		return []plan.Change{removal}, nil
	}
	p, err := k8s.Planned(ctx, appliers, manifest.GatewayObject(namespace, gw.Spec.Selector, servers))
	return p.Changes, err
}

// leftGateway is what becomes of the namespace's own Gateway where the route was
// bound to it by a run before, and now is to another.
func (x *exposer) leftGateway(ctx context.Context) ([]plan.Change, error) {
	e := x.exposure
	own := x.routes.Gateway(e.Namespace, manifest.GatewayName)
	if e.UseGateway == "" || x.sharesOwn || own == nil || !slices.Contains(x.routes.BoundTo(e), own) {
		return nil, nil
	}
	changes, err := release(ctx, x.appliers, x.routes, e.Namespace, []string{e.WorkloadName})
	if err != nil || !slices.ContainsFunc(changes, func(c plan.Change) bool { return c.Action == plan.Delete }) {
		return changes, err
	}
	missing, err := x.cluster.Missing(ctx, []k8s.Permission{{Verb: "delete", Group: istioGroup, Resource: "gateways", Namespace: e.Namespace}})
	if err != nil || len(missing) == 0 {
		return changes, err
	}
	return nil, &k8s.DeniedError{Purpose: "taking away the Gateway that is no longer asked for", Missing: missing,
		Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has it."}
}
