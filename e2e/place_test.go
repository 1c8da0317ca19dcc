package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"istio.io/client-go/pkg/clientset/versioned"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"grpcmesh/internal/k8s"
)

// place is a namespace of a test's own with one Deployment, app.
type place struct {
	t    *testing.T
	core kubernetes.Interface
	mesh versioned.Interface
	ns   string
	host string
}

// newPlace makes a namespace whose Deployment has pods that no node takes: they
// are there, lack the sidecar and are restarted, and cost the lab nothing.
func newPlace(t *testing.T) *place {
	t.Helper()
	cfg := labConfig(t)
	p := &place{t: t, core: kubernetes.NewForConfigOrDie(cfg), mesh: versioned.NewForConfigOrDie(cfg), ns: "e2e-" + random()}
	p.host = p.ns + ".e2e.example.com"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.ns, Labels: map[string]string{"team": "a"}}}
	if _, err := p.core.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.core.CoreV1().Namespaces().Delete(context.Background(), p.ns, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting namespace %s: %v", p.ns, err)
		}
	})
	p.deploy("app", "nodeSelector: {kubernetes.io/hostname: none}", 1)
	return p
}

// deploy makes a Deployment of the test server, on port 50051, which it
// declares; more is added to the pods' spec. It returns once the pods are there.
func (p *place) deploy(name, more string, replicas int) {
	p.t.Helper()
	p.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: docker.io/imroc/grpc_server:latest
        ports: [{name: grpc, containerPort: 50051}]
      %[4]s
`, name, p.ns, replicas, more))
	p.until("the pods of "+name, func(ctx context.Context) bool { return len(p.pods(ctx, name)) == replicas })
}

// apply applies a document, as another manager.
func (p *place) apply(text string) {
	p.t.Helper()
	if out, err := kubectlApply(text); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
}

// pods are those of a Deployment that are not on their way out.
func (p *place) pods(ctx context.Context, name string) []corev1.Pod {
	list, err := p.core.CoreV1().Pods(p.ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// until waits for what must come about by itself.
func (p *place) until(what string, ok func(context.Context) bool) {
	p.t.Helper()
	err := wait.PollUntilContextTimeout(p.t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) { return ok(ctx), nil })
	if err != nil {
		p.t.Fatalf("%s in namespace %s: %v", what, p.ns, err)
	}
}

// bare takes the mark of a restart away from the Deployment, and makes its pods
// anew: as the namespace's labels now are, they have no sidecar. That no pod
// ever becomes ready would hold a rollout up, so its ReplicaSets go too.
func (p *place) bare() {
	p.t.Helper()
	ctx := p.t.Context()
	patch := []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":null}}}}}`)
	if _, err := p.core.AppsV1().Deployments(p.ns).Patch(ctx, "app", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		p.t.Fatal(err)
	}
	background := metav1.DeletePropagationBackground
	if err := p.core.AppsV1().ReplicaSets(p.ns).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{}); err != nil {
		p.t.Fatal(err)
	}
	p.until("pods without sidecars", func(ctx context.Context) bool {
		pods := p.pods(ctx, "app")
		return len(pods) == 1 && !k8s.HasSidecar(pods[0].Spec)
	})
}

// state is all that grpcmesh may have a hand in: the namespace, its Services,
// Gateways and VirtualServices, its Deployment, and whether the pods have
// sidecars. What the server counts or draws, and when what was written, is left
// out. A probe route that a killed run has left is row 54's.
func (p *place) state() string {
	p.t.Helper()
	var objs []any
	add := func(obj any, err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
		objs = append(objs, obj)
	}
	ctx := p.t.Context()
	ns, err := p.core.CoreV1().Namespaces().Get(ctx, p.ns, metav1.GetOptions{})
	add(ns, err)
	services, err := p.core.CoreV1().Services(p.ns).List(ctx, metav1.ListOptions{})
	add(services, err)
	gateways, err := p.mesh.NetworkingV1alpha3().Gateways(p.ns).List(ctx, metav1.ListOptions{})
	add(gateways, err)
	routes, err := p.mesh.NetworkingV1alpha3().VirtualServices(p.ns).List(ctx, metav1.ListOptions{LabelSelector: "!grpcmesh.dev/probe"})
	add(routes, err)
	app, err := p.core.AppsV1().Deployments(p.ns).Get(ctx, "app", metav1.GetOptions{})
	app.Status = appsv1.DeploymentStatus{}
	delete(app.Annotations, "deployment.kubernetes.io/revision")
	app.ManagedFields = slices.DeleteFunc(app.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Subresource == "status" })
	if a := app.Spec.Template.Annotations; a["kubectl.kubernetes.io/restartedAt"] != "" {
		a["kubectl.kubernetes.io/restartedAt"] = "some time"
	}
	add(app, err)
	b, err := json.Marshal(objs)
	add(nil, err)
	var all any
	add(nil, json.Unmarshal(b, &all))
	b, err = json.MarshalIndent(stripped(all), "", " ")
	add(nil, err)
	return string(b)
}

// stripped is an object without what the server counts or draws.
func stripped(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"time", "resourceVersion", "uid", "creationTimestamp", "generation", "clusterIP", "clusterIPs"} {
			delete(v, k)
		}
		if managers, ok := v["managedFields"].([]any); ok {
			slices.SortFunc(managers, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		for k := range v {
			v[k] = stripped(v[k])
		}
	case []any:
		for i := range v {
			v[i] = stripped(v[i])
		}
	}
	return v
}

// expose and unexpose are the commands that most tests here run.
func (p *place) expose(more ...string) []string {
	return append([]string{"expose", "app", "-n", p.ns, "--host", p.host, "--gateway-selector", "app=istio-ingressgateway,istio=ingressgateway", "--wait=false"}, more...)
}

func (p *place) unexpose(more ...string) []string {
	return append([]string{"unexpose", "app", "-n", p.ns}, more...)
}

// written are the objects that a run's stdout says it has written.
func written(stdout string) []string {
	var all []string
	for line := range strings.Lines(stdout) {
		words := strings.Fields(line)
		if len(words) > 1 && slices.Contains([]string{"create", "update", "delete", "restart"}, words[0]) {
			all = append(all, words[1])
		}
	}
	return all
}
