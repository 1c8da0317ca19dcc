package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"grpcmesh/internal/fieldowners"
	"grpcmesh/internal/manifest"
)

// TestFieldOwners holds the bookkeeping by which cmd's random worlds are judged
// to the lab's API server: in each of some dozens of worlds, of random applies
// and updates by several managers, both refuse the same, and then say the same
// of whose each field is and what its value is.
func TestFieldOwners(t *testing.T) {
	namespace := "e2e-" + random()
	if out, err := kubectl("create", "namespace", namespace); err != nil {
		t.Fatal(err, out)
	}
	t.Cleanup(func() {
		if out, err := kubectl("delete", "namespace", namespace, "--wait", "--timeout=60s"); err != nil {
			t.Log(err, out)
		}
	})
	config := labConfig(t)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	conflicts := 0
	for n := range 40 {
		kind, resource := "Service", schema.GroupVersionResource{Version: "v1", Resource: "services"}
		if n%2 == 1 {
			kind, resource = "VirtualService", schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "virtualservices"}
		}
		id := manifest.ID{Kind: kind, Namespace: namespace, Name: random()}
		real, model := client.Resource(resource).Namespace(namespace), fieldowners.New()
		for range 5 {
			conflicts += step(t, draw, real, model, id)
			live, err := real.Get(context.Background(), id.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ownership(live), ownership(model.Objects[id])); diff != "" {
				t.Fatalf("%s, seed %d: whose each field is (-the API server +in memory):\n%s", id, seed, diff)
			}
		}
	}
	if conflicts == 0 {
		t.Error("no apply met another manager's field: the worlds are too tame")
	}
}

// step does one thing to both, and counts the conflicts.
func step(t *testing.T, draw *rand.Rand, real dynamic.ResourceInterface, model *fieldowners.Server, id manifest.ID) (conflicts int) {
	t.Helper()
	manager := []string{"grpcmesh", "helm", "kubectl-edit"}[draw.IntN(3)]
	applies, force := draw.IntN(2) == 0, draw.IntN(4) == 0
	live, err := real.Get(context.Background(), id.Name, metav1.GetOptions{})
	there := err == nil
	wanted, modelled := fieldowners.Empty(id.Kind), fieldowners.Empty(id.Kind)
	if there && !applies {
		wanted, modelled = live.DeepCopy(), model.Objects[id].DeepCopy()
	}
	for _, u := range []*unstructured.Unstructured{wanted, modelled} {
		u.SetName(id.Name)
		u.SetNamespace(id.Namespace)
	}
	labels := map[string]string{}
	for _, k := range []string{"a", "b", "c"} {
		if draw.IntN(2) == 0 {
			labels[k] = string("xy"[draw.IntN(2)])
		}
	}
	labels["d"] = "z" // a map that is applied empty is owned as such
	port, target, host := int64(8000+draw.IntN(2)), int64(9000+draw.IntN(2)), string("pq"[draw.IntN(2)])+".example.com"
	for _, u := range []*unstructured.Unstructured{wanted, modelled} {
		u.SetLabels(labels)
		if id.Kind == "Service" {
			_ = unstructured.SetNestedField(u.Object, host, "spec", "selector", "app")
			_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"port": port, "protocol": "TCP", "name": "grpc", "targetPort": target}}, "spec", "ports")
			continue
		}
		_ = unstructured.SetNestedStringSlice(u.Object, []string{host}, "spec", "hosts")
		_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": host}}}}}, "spec", "http")
	}
	switch {
	case applies:
		b, err := json.Marshal(wanted)
		if err != nil {
			t.Fatal(err)
		}
		_, err = real.Patch(context.Background(), id.Name, types.ApplyPatchType, b, metav1.PatchOptions{FieldManager: manager, Force: &force})
		if apierrors.IsInvalid(err) && there {
			return 0 // two ports of one name, which no bookkeeping is about
		}
		made, refused := model.ApplyAs(id, modelled, manager, force)
		if apierrors.IsConflict(err) != apierrors.IsConflict(refused) || !apierrors.IsConflict(err) && err != nil {
			t.Fatalf("%s applies (force: %v): the API server says %v, in memory it is %v", manager, force, err, refused)
		}
		if refused != nil {
			return 1
		}
		model.Store(id, made)
		return 0
	case there:
		_, err = real.Update(context.Background(), wanted, metav1.UpdateOptions{FieldManager: manager})
	default:
		_, err = real.Create(context.Background(), wanted, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Update(id, modelled, manager); err != nil {
		t.Fatal(err)
	}
	return 0
}

// ownership is who owns each of the fields that the steps write, with its
// value; what the API server fills in by itself is left out, and so is that a map
// is there at all, which of Istio's kinds is only known by their schemas.
func ownership(u *unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	for path, value := range fieldowners.Owners(u) {
		if strings.HasSuffix(path, "/.") {
			continue
		}
		if strings.Contains(path, "f:labels/") || strings.Contains(path, "/f:ports/") || strings.Contains(path, "/f:selector/") ||
			strings.Contains(path, "/f:hosts") || strings.Contains(path, "/f:http") {
			found[path] = value
		}
	}
	return found
}
