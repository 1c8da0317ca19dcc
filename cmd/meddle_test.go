package cmd

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"grpcmesh/internal/fieldowners"
	"grpcmesh/internal/manifest"
)

// meddle is what someone else does: makes an object, writes into one, in one of
// several ways and under one of several names, or deletes one.
func (w *world) meddle(t *rapid.T) {
	id := rapid.SampledFrom([]manifest.ID{
		namespaceID, {Kind: "Service", Namespace: "test", Name: "a"}, {Kind: "Service", Namespace: "test", Name: "b"},
		{Kind: "Gateway", Namespace: "test", Name: "grpc"}, {Kind: "Gateway", Namespace: "test", Name: "web"}, {Kind: "Gateway", Namespace: "edge", Name: "web"},
		{Kind: "VirtualService", Namespace: "test", Name: "a"}, {Kind: "VirtualService", Namespace: "test", Name: "b"},
		{Kind: "VirtualService", Namespace: "edge", Name: "web"},
	}).Draw(t, "object")
	manager := rapid.SampledFrom([]string{"kubectl-edit", "helm", "argocd-controller"}).Draw(t, "manager")
	applies, force := rapid.Bool().Draw(t, "applies"), rapid.Bool().Draw(t, "force")
	obj := w.Objects[id]
	if obj != nil && id != namespaceID && rapid.IntRange(0, 9).Draw(t, "deletes") == 0 {
		delete(w.Objects, id)
		return
	}
	wanted := fieldowners.Empty(id.Kind)
	if obj != nil && !applies {
		wanted = obj.DeepCopy()
	}
	wanted.SetName(id.Name)
	wanted.SetNamespace(id.Namespace)
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		edit(t, wanted)
	}
	var err error
	if applies {
		var made *unstructured.Unstructured
		if made, err = w.ApplyAs(id, wanted, manager, force); err == nil {
			w.Store(id, made)
		}
	} else {
		err = w.Update(id, wanted, manager)
	}
	w.must(ignoreConflict(err))
}

func ignoreConflict(err error) error {
	if err != nil && strings.Contains(err.Error(), "conflict") {
		return nil
	}
	return err
}

// furnish gives some worlds a Gateway of someone else's that may serve, and some of
// them a route that may lead to a workload already.
func (w *world) furnish(t *rapid.T) {
	drawn := rapid.IntRange(0, 5).Draw(t, "furnished")
	if drawn < 3 {
		return
	}
	ns, host := rapid.SampledFrom([]string{"test", "edge"}).Draw(t, "in"), rapid.SampledFrom(hosts).Draw(t, "host")
	gw := fieldowners.Empty("Gateway")
	gw.SetNamespace(ns)
	gw.SetName("web")
	gw.Object["spec"] = map[string]any{"selector": map[string]any{"istio": "ingressgateway"}, "servers": []any{map[string]any{"hosts": []any{host},
		"port": map[string]any{"number": rapid.SampledFrom([]int64{80, 8000}).Draw(t, "port"), "name": "web", "protocol": "HTTP"}}}}
	w.must(w.Update(manifest.ID{Kind: "Gateway", Namespace: ns, Name: "web"}, gw, "kubectl-create"))
	if drawn < 4 {
		return
	}
	vs := fieldowners.Empty("VirtualService")
	vs.SetNamespace("test")
	vs.SetName(rapid.SampledFrom([]string{"a", "web"}).Draw(t, "name"))
	vs.Object["spec"] = map[string]any{"gateways": []any{ns + "/web"}, "hosts": []any{host},
		"http": []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": rapid.SampledFrom(workloads).Draw(t, "to")}}}}}}
	w.must(w.Update(manifest.ID{Kind: "VirtualService", Namespace: "test", Name: vs.GetName()}, vs, "kubectl-create"))
}

// edit changes one thing of an object.
func edit(t *rapid.T, u *unstructured.Unstructured) {
	labels, annotations := maps.Clone(u.GetLabels()), maps.Clone(u.GetAnnotations())
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	set := func(value any, path ...string) { _ = unstructured.SetNestedField(u.Object, value, path...) }
	pick := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "value") }
	switch rapid.IntRange(0, 5).Draw(t, "edit") {
	case 0:
		labels[pick("team", manifest.ManagedBy, manifest.WorkloadLabel, "app", "istio-injection", "istio.io/rev")] = pick("enabled", "disabled", "grpcmesh", "deployment.a", "deployment.b", "Helm", "a")
	case 1:
		annotations[pick("note", manifest.PortAnnotation)] = pick("80", "8000", "x")
	case 2:
		for _, k := range []string{manifest.ManagedBy, "istio-injection", "team"} {
			if rapid.Bool().Draw(t, "without") {
				delete(labels, k)
			}
		}
	default:
		editSpec(t, u, set, pick)
	}
	// An empty map is left out: who applies one owns none of what others put in.
	for field, m := range map[string]map[string]string{"labels": labels, "annotations": annotations} {
		if unstructured.RemoveNestedField(u.Object, "metadata", field); len(m) > 0 {
			_ = unstructured.SetNestedStringMap(u.Object, m, "metadata", field)
		}
	}
}

func editSpec(t *rapid.T, u *unstructured.Unstructured, set func(any, ...string), pick func(...string) string) {
	switch u.GetKind() {
	case "Service":
		ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
		port := rapid.SampledFrom([]int64{8000, 8001, 9100}).Draw(t, "port")
		ports = slices.DeleteFunc(ports, func(p any) bool { return p.(map[string]any)["port"] == port })
		set(append(ports, map[string]any{"port": port, "protocol": "TCP", "name": pick("grpc", "metrics"), "targetPort": rapid.SampledFrom([]int64{50051, 9000}).Draw(t, "target")}), "spec", "ports")
		if rapid.Bool().Draw(t, "selector") {
			set(pick("a", "b"), "spec", "selector", "app")
		}
	case "Gateway":
		set("ingressgateway", "spec", "selector", "istio")
		set([]any{map[string]any{"hosts": []any{pick(hosts...)}, "port": map[string]any{
			"number": rapid.SampledFrom([]int64{80, 8000}).Draw(t, "port"), "name": pick("grpc-80", "web"), "protocol": pick("GRPC", "HTTP", "HTTPS")}}}, "spec", "servers")
	case "VirtualService":
		set([]any{pick("test/grpc", "test/web", "edge/web", "mesh")}, "spec", "gateways")
		set([]any{pick(hosts...)}, "spec", "hosts")
		set([]any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": pick("a", "b", "a.test.svc.cluster.local")}}}}}, "spec", "http")
	}
}
