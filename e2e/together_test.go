package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWaitingTogether: while several workloads of a namespace are restarted and
// waited for, each kind is listed once and watched from there, however many they
// are, and no workload is asked for by itself. Kubernetes' own kinds come as
// protobuf. So each pod that is told of as it
// came was told by the watch.
func TestWaitingTogether(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	place.scale(0)
	const workloads = 6
	file := ""
	for i := range workloads {
		name := fmt.Sprint("w", i)
		place.deploy(name, "", 1)
		file += fmt.Sprintf("---\napiVersion: grpcmesh.dev/v1alpha1\nkind: Exposure\nmetadata: {namespace: %s}\nspec:\n  workload: deployment/%s\n  host: %s.%s\n"+
			"  gatewaySelector: {app: istio-ingressgateway, istio: ingressgateway}\n", place.ns, name, name, place.host)
	}
	place.until("the pods to be ready", func(ctx context.Context) bool { // or a restart meets their controller
		list, err := place.core.AppsV1().Deployments(place.ns).List(ctx, metav1.ListOptions{})
		return err == nil && !slices.ContainsFunc(list.Items, func(d appsv1.Deployment) bool {
			return d.Status.ObservedGeneration < d.Generation || d.Status.AvailableReplicas < *d.Spec.Replicas
		})
	})
	exposures := filepath.Join(t.TempDir(), "exposures.yaml")
	if err := os.WriteFile(exposures, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, nil)
	r := grpcmesh(t, p.kubeconfig, nil, "expose", "-f", exposures)
	r.wants(t, 0)
	for i := range workloads {
		if !strings.Contains(r.stderr, fmt.Sprintf("new: w%d-", i)) {
			t.Errorf("that the pod of w%d came went untold:\n%s", i, r)
		}
	}
	calls := p.seen()
	for _, c := range calls {
		form := "application/vnd.kubernetes.protobuf"
		if strings.Contains(c.path, "/networking.istio.io/") {
			form = "application/json"
		}
		if c.accept != form && !strings.HasSuffix(c.path, "/portforward") {
			t.Errorf("%s: asked for as %q, not %s", &c, c.accept, form)
		}
	}
	first := slices.IndexFunc(calls, func(c call) bool { return c.is(http.MethodPatch, "deployments") })
	if first < 0 {
		t.Fatalf("nothing was restarted: %s", r)
	}
	for _, kind := range []struct{ path, what string }{
		{"/apis/apps/v1/namespaces/" + place.ns + "/deployments", "the Deployments"}, {"/apis/apps/v1/namespaces/" + place.ns + "/replicasets", "the ReplicaSets"},
		{"/api/v1/namespaces/" + place.ns + "/pods", "the pods"}, {"/api/v1/namespaces/" + place.ns + "/events", "the events"},
	} {
		lists, watches, gets := 0, 0, 0
		var last time.Time
		for _, c := range calls[first:] {
			switch {
			case c.verb != http.MethodGet || !strings.HasPrefix(c.path, kind.path):
			case c.path != kind.path:
				gets++
			case c.watch:
				watches++
				last = c.at
			default:
				lists++
			}
		}
		again := max(0, int(last.Sub(calls[first].at)/(20*time.Second))) // a watch is for so long
		if lists > 1 || watches > 1+again || gets > 0 {
			t.Errorf("%s were listed %d times, watched %d times, and read %d times one by one", kind.what, lists, watches, gets)
		}
	}
}
