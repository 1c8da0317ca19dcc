package cmd

import (
	"context"
	"slices"
	"strings"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

const istioGroup = "networking.istio.io"

// mayExpose refuses a run that this user could not end, with all that is
// missing. What expose can do without is told of, with what is lost.
func (x *exposer) mayExpose(ctx context.Context) error {
	needed, spared := toExpose(x.intent), spares(x.intent)
	if x.o.undo {
		for _, p := range toUndo(x.intent.Namespace, false, false) {
			if !slices.Contains(needed, p) {
				needed = append(needed, p)
			}
		}
	}
	asked := slices.Clone(needed)
	for _, w := range spared {
		asked = append(asked, w.Permission)
	}
	missing, err := x.cluster.Missing(ctx, asked)
	if err != nil {
		return nil //nolint:nilerr // who can't be asked fails at the first step, in plainer words
	}
	for i, w := range spared {
		var lacks []string // all without which the same is lost
		for _, o := range spared {
			if o.lost == w.lost && slices.Contains(missing, o.Permission) {
				lacks = append(lacks, o.String())
			}
		}
		if first := slices.IndexFunc(spared, func(o spare) bool { return o.lost == w.lost }); i == first && len(lacks) > 0 {
			x.say("           %s; this user may not %s", w.lost, strings.Join(lacks, ", "))
		}
	}
	missing = slices.DeleteFunc(missing, func(p k8s.Permission) bool { return !slices.Contains(needed, p) })
	if len(missing) > 0 {
		return &k8s.DeniedError{Purpose: "expose", Missing: missing,
			Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has all of it; or choose another --context or --user."}
	}
	return nil
}

// spare is a permission that expose can do without, and what is lost then.
type spare struct {
	k8s.Permission
	lost string
}

// spares are those of exposing a workload. Each is asked for in its place, too.
func spares(i manifest.Intent) []spare {
	ns := i.Namespace
	all := []spare{
		{k8s.Permission{Verb: "list", Resource: "events", Namespace: ns}, "why no pod can be made would go untold"},
		{k8s.Permission{Verb: "list", Group: "batch", Resource: "cronjobs", Namespace: ns}, "CronJobs that the label reaches go unnamed"},
		{k8s.Permission{Verb: "list", Group: "batch", Resource: "jobs", Namespace: ns}, "Jobs that the label reaches go unnamed"},
		{k8s.Permission{Verb: "list", Resource: "nodes"}, "the address of a gateway with a node port alone can't be told"},
	}
	named, _, _ := manifest.ParseWorkload(i.Workload)
	watched := []k8s.Permission{{Resource: "pods"}, {Resource: "events"}}
	for _, kind := range []struct{ kind, resource, revisions string }{
		{"Deployment", "deployments", "replicasets"}, {"StatefulSet", "statefulsets", ""}, {"DaemonSet", "daemonsets", "controllerrevisions"},
	} {
		if named != "" && named != kind.kind {
			continue
		}
		watched = append(watched, k8s.Permission{Group: "apps", Resource: kind.resource})
		if kind.revisions != "" {
			watched = append(watched, k8s.Permission{Group: "apps", Resource: kind.revisions})
		}
	}
	for _, p := range watched {
		p.Verb, p.Namespace = "watch", ns
		all = append(all, spare{p, "what is waited for is listed every second"})
	}
	slices.SortStableFunc(all, func(a, b spare) int { return strings.Compare(a.Resource, b.Resource) })
	return all
}

// toExpose is what it takes to expose a workload.
func toExpose(i manifest.Intent) []k8s.Permission {
	ns := i.Namespace
	needed := []k8s.Permission{{Verb: "get", Resource: "namespaces", Namespace: ns, Name: ns}}
	if i.Inject != manifest.InjectPod && i.Inject != manifest.InjectNone {
		needed = append(needed, k8s.Permission{Verb: "patch", Resource: "namespaces", Namespace: ns, Name: ns})
	}
	if i.Inject != manifest.InjectNone {
		needed = append(needed, k8s.Permission{Verb: "create", Resource: "pods", Namespace: ns}) // the rehearsal's dry run
	}
	needed = append(needed, []k8s.Permission{
		{Verb: "list", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
		{Verb: "list", Resource: "services"},
		{Verb: "get", Resource: "services", Namespace: ns},
		{Verb: "create", Resource: "services", Namespace: ns},
		{Verb: "patch", Resource: "services", Namespace: ns},
		{Verb: "list", Resource: "pods", Namespace: ns},
		{Verb: "create", Resource: "pods/portforward", Namespace: ns},
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: ns},
		{Verb: "list", Group: istioGroup, Resource: "gateways"},
		{Verb: "list", Group: istioGroup, Resource: "virtualservices"},
	}...)
	written := []string{"gateways", "virtualservices"}
	if i.Route.WantsRule() {
		written = append(written, "destinationrules")
		needed = append(needed, k8s.Permission{Verb: "list", Group: istioGroup, Resource: "destinationrules"})
	}
	for _, resource := range written {
		for _, verb := range []string{"get", "create", "patch"} {
			needed = append(needed, k8s.Permission{Verb: verb, Group: istioGroup, Resource: resource, Namespace: ns})
		}
	}
	named, _, _ := manifest.ParseWorkload(i.Workload)
	for _, kind := range []struct{ kind, resource, revisions string }{
		{"Deployment", "deployments", "replicasets"}, {"StatefulSet", "statefulsets", "controllerrevisions"}, {"DaemonSet", "daemonsets", "controllerrevisions"},
	} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: "apps", Resource: kind.resource, Namespace: ns})
		if named != "" && named != kind.kind {
			continue
		}
		for _, p := range []k8s.Permission{
			{Verb: "get", Group: "apps", Resource: kind.resource, Namespace: ns},
			{Verb: "patch", Group: "apps", Resource: kind.resource, Namespace: ns},
			{Verb: "list", Group: "apps", Resource: kind.revisions, Namespace: ns},
		} {
			if !slices.Contains(needed, p) && (p.Verb != "patch" || i.Inject != manifest.InjectNone) {
				needed = append(needed, p)
			}
		}
	}
	return needed
}

// mayForward refuses a run that could not ask the gateway's replicas.
func (x *exposer) mayForward(ctx context.Context) error {
	if !x.o.wait || x.o.dryRun != "none" {
		return nil
	}
	missing, err := x.cluster.Missing(ctx, []k8s.Permission{
		{Verb: "list", Resource: "pods", Namespace: x.ingress.Namespace},
		{Verb: "create", Resource: "pods/portforward", Namespace: x.ingress.Namespace},
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	return &k8s.DeniedError{Purpose: "waiting until the gateway's replicas lead calls to the pods", Missing: missing,
		Hint: "Nothing was written. Ask for it, or do without: --wait=false"}
}

// toProbe is what it takes to add a probe route and remove it again.
func toProbe(namespace string) []k8s.Permission {
	return []k8s.Permission{
		{Verb: "create", Group: istioGroup, Resource: "virtualservices", Namespace: namespace},
		{Verb: "delete", Group: istioGroup, Resource: "virtualservices", Namespace: namespace},
	}
}

// toUndo is what it takes to take an exposure back, and to restart what it
// leaves over. labelled says that the namespace may have a label to give up.
func toUndo(ns string, labelled, restart bool) []k8s.Permission {
	needed := []k8s.Permission{{Verb: "get", Resource: "namespaces", Namespace: ns, Name: ns}}
	if labelled {
		needed = append(needed, k8s.Permission{Verb: "patch", Resource: "namespaces", Namespace: ns, Name: ns})
	}
	needed = append(needed, []k8s.Permission{
		{Verb: "list", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
		{Verb: "list", Resource: "services", Namespace: ns},
		{Verb: "get", Resource: "services", Namespace: ns},
		{Verb: "delete", Resource: "services", Namespace: ns},
		{Verb: "list", Resource: "pods", Namespace: ns},
		{Verb: "patch", Group: istioGroup, Resource: "gateways", Namespace: ns},
	}...)
	for _, resource := range []string{"gateways", "virtualservices"} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: istioGroup, Resource: resource},
			k8s.Permission{Verb: "get", Group: istioGroup, Resource: resource, Namespace: ns},
			k8s.Permission{Verb: "delete", Group: istioGroup, Resource: resource, Namespace: ns})
	}
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets"} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: "apps", Resource: resource, Namespace: ns},
			k8s.Permission{Verb: "get", Group: "apps", Resource: resource, Namespace: ns})
		if restart {
			needed = append(needed, k8s.Permission{Verb: "patch", Group: "apps", Resource: resource, Namespace: ns})
		}
	}
	for _, resource := range []string{"replicasets", "controllerrevisions"} {
		needed = append(needed, k8s.Permission{Verb: "list", Group: "apps", Resource: resource, Namespace: ns})
	}
	return needed
}
