package cmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
)

// TestCanaryBesideService: a version that nobody has, each of two, and a Service in
// the way are found together; others' pods are a canary's by then.
func TestCanaryBesideService(t *testing.T) {
	t.Parallel()
	x := exposing()
	x.workload.Template.Labels = map[string]string{"app": "server", "version": "v1"}
	x.intent.Route = manifest.Route{Canary: map[string]int{"v2": 10, "v3": 10}}
	svc := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server", Namespace: "test"},
		Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Selector: map[string]string{"app": "server"}, Ports: []corev1.ServicePort{{Name: "web", Port: 9000, TargetPort: intstr.FromInt32(50051)}}}}
	found, rest := findingsIn(x.decideService(t.Context(), []corev1.Service{svc}, takesMore("app")))
	var codes []string
	for _, f := range found {
		codes = append(codes, f.Code)
	}
	if want := []string{finding.NoCanary, finding.NoCanary, finding.PortProtocol}; !slices.Equal(codes, want) || len(rest) > 0 {
		t.Errorf("found %v and %v, want %v", codes, rest, want)
	}
}

// TestKnownObjects: what is in the way of some objects keeps none of the others
// from being looked at.
func TestKnownObjects(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		set  func(*exposer)
		want string
	}{
		{"all", func(x *exposer) { x.routed = true }, "Namespace Service Gateway VirtualService"},
		{"an opt-out", func(x *exposer) { x.served, x.led = true, true }, "Service Gateway VirtualService"},
		{"a Service in the way", func(x *exposer) { x.injected, x.led = true, true }, "Namespace Gateway VirtualService"},
		{"no gateway", func(x *exposer) { x.injected, x.served = true, true }, "Namespace Service"},
		{"no port", func(x *exposer) {
			x.exposure, x.injected = manifest.Exposure{InjectLabel: x.exposure.InjectLabel}, true
		}, ""},
	} {
		x := exposing()
		x.exposure = manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", InjectLabel: map[string]string{"istio-injection": "enabled"}}
		tc.set(x)
		var kinds []string
		for _, obj := range x.objects() {
			kinds = append(kinds, obj.Kind)
		}
		if got := strings.Join(kinds, " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestPreflightAfterBadFlag: a flag that does not fit the workload ends no step but
// its own.
func TestPreflightAfterBadFlag(t *testing.T) {
	t.Parallel()
	var p preflight
	bad := &manifest.InvalidError{Field: "--canary", Value: "v2", Reason: "is the workload's own version"}
	if p.passes(t.Context(), func(context.Context) error { return bad }) || !p.passes(t.Context(), func(context.Context) error { return nil }) {
		t.Error("it was asked no more")
	}
}
