package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// faults: 7
//
// A cluster that does not serve Istio's kinds is told so before any write.
func TestNoMesh(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	before := place.state()
	p := newProxy(t, func(c *call) fault {
		if strings.HasPrefix(c.path, "/apis/networking.istio.io/") {
			return answer(http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		}
		return nil
	})
	r := grpcmesh(t, p.kubeconfig, nil, place.expose()...)
	if r.code == 0 || !strings.Contains(r.stderr, "GM104: ") || place.state() != before || len(p.committed()) > 0 {
		t.Errorf("%v: %s", p.committed(), r)
	}
}

// faults: 24
//
// A namespace that is on its way out is left alone.
func TestTerminating(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	place.apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: stuck, namespace: %s, finalizers: [example.com/stuck]}}", place.ns))
	t.Cleanup(func() {
		if out, err := kubectl("-n", place.ns, "patch", "configmap", "stuck", "--type=merge", "-p", `{"metadata":{"finalizers":[]}}`); err != nil {
			t.Error(err, out)
		}
	})
	// The place's own clean-up deletes it once more, which is no error.
	if err := place.core.CoreV1().Namespaces().Delete(context.Background(), place.ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, nil)
	grpcmesh(t, p.kubeconfig, nil, place.expose()...).wants(t, 3, "GM103: namespace "+place.ns, "it is being deleted")
	if wrote := p.committed(); len(wrote) > 0 {
		t.Errorf("it wrote %v", wrote)
	}
}

// faults: 35
//
// What can't be given a sidecar by a restart is told so, before any write.
func TestUnfitWorkloads(t *testing.T) {
	t.Parallel()
	const pod = `{metadata: {labels: {app: odd%[2]s}}, spec: {%[3]s nodeSelector: {kubernetes.io/hostname: none}, containers: [{name: app, image: "docker.io/imroc/grpc_server:latest", ports: [{name: grpc, containerPort: 50051}]}]}}`
	for name, tc := range map[string]struct {
		kind, more, label, spec string
		code                    int
		says                    string
	}{
		"OnDelete":     {kind: "StatefulSet", more: "updateStrategy: {type: OnDelete}, serviceName: odd, ", code: 3, says: "GM132: "},
		"hostNetwork":  {kind: "Deployment", spec: "hostNetwork: true,", code: 3, says: "GM117: "},
		"inject=false": {kind: "Deployment", label: `, sidecar.istio.io/inject: "false"`, code: 3, says: "GM116: "},
		"Job":          {kind: "Job", spec: "restartPolicy: Never,", code: 2, says: "GM130: no workload odd"},
		"bare pod":     {kind: "Pod", code: 2, says: "GM130: no workload odd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			template := fmt.Sprintf(strings.ReplaceAll(pod, "%[2]s", "%[1]s"), tc.label, "", tc.spec)
			switch tc.kind {
			case "Pod":
				place.apply(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: %s}, spec: {containers: [{name: app, image: none}]}}", place.ns))
			case "Job":
				place.apply(fmt.Sprintf("{apiVersion: batch/v1, kind: Job, metadata: {name: odd, namespace: %s}, spec: {template: %s}}", place.ns, template))
			default:
				place.apply(fmt.Sprintf("{apiVersion: apps/v1, kind: %s, metadata: {name: odd, namespace: %s}, spec: {%s selector: {matchLabels: {app: odd}}, template: %s}}",
					tc.kind, place.ns, tc.more, template))
				place.until("a pod", func(ctx context.Context) bool { return len(place.pods(ctx, "odd")) == 1 })
			}
			args := place.expose()
			args[1] = "odd"
			p := newProxy(t, nil)
			grpcmesh(t, p.kubeconfig, nil, args...).wants(t, tc.code, tc.says)
			if wrote := p.committed(); len(wrote) > 0 {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
}
