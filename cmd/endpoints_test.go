package cmd

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// Some pods are preferred only where they differ in what preference goes by.
func TestPrefers(t *testing.T) {
	ep := func(node, zone string) check.Endpoint { return check.Endpoint{Node: node, Zone: zone} }
	oneZone, twoZones := []check.Endpoint{ep("n1", "a"), ep("n2", "a")}, []check.Endpoint{ep("n1", "a"), ep("n2", "b")}
	oneNode := []check.Endpoint{ep("n1", "a"), ep("n1", "a")}
	for _, tc := range []struct {
		within    istio.Scope
		endpoints []check.Endpoint
		want      bool
	}{
		{"", twoZones, false},
		{istio.Zone, twoZones, true},
		{istio.Zone, oneZone, false},
		{istio.Zone, nil, false},
		{istio.Node, oneZone, true},
		{istio.Node, oneNode, false},
		{istio.Anything, oneNode, true},
	} {
		even := istio.Policy{}
		target := &target{policies: []istio.Policy{even, {Rule: "test/server", Prefers: "outlierDetection turns locality failover on", Within: tc.within}}}
		got := target.prefers(t.Context(), tc.endpoints)
		if (got != "") != tc.want || tc.want && !strings.HasSuffix(got, "failover on (DestinationRule test/server)") {
			t.Errorf("%q over %v: %q", tc.within, tc.endpoints, got)
		}
	}
}

func TestReadyFor(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	pod := func(status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))},
			{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(now.Add(-time.Minute))},
		}}}
	}
	if got := readyFor(pod(corev1.ConditionTrue), now); got != time.Minute {
		t.Error(got)
	}
	if got := readyFor(pod(corev1.ConditionFalse), now); got != 0 {
		t.Error(got)
	}
}

// A subset that is not defined has no pod at all; where this user may not look
// everywhere, that is not known.
func TestUndefinedSubset(t *testing.T) {
	defined := istio.Policy{Subsets: map[string]map[string]string{"v1": nil}}
	denied := istio.Policy{Denied: errUnderTest}
	target := &target{destinations: []istio.Destination{
		{Namespace: "test", Service: "a", Subset: "v1", Share: .3}, {Namespace: "test", Service: "a", Subset: "v9", Share: .1}, {Namespace: "test", Service: "b", Share: .3},
		{Namespace: "test", Service: "c", Subset: "v9", Share: .3}, {Namespace: "test", Service: "b", Subset: "v8"},
	}, policies: []istio.Policy{defined, defined, {}, denied, {}}}
	if got := target.undefined(); !slices.Equal(got, []string{"subset v9 of Service test/a (10 % of the calls)"}) {
		t.Error(got)
	}
	if got := named(istio.Destination{Namespace: "test", Service: "a", Share: 1}); got != "Service test/a" {
		t.Error(got)
	}
	found := []k8s.Endpoint{{Address: "10.0.0.1:1"}}
	if got, err := target.inSubset(t.Context(), target.destinations[1], defined, found); len(got) != 0 || err != nil {
		t.Errorf("%v, %v; want no pod", got, err)
	}
	if got, err := target.inSubset(t.Context(), target.destinations[3], denied, found); len(got) != 0 || !errors.Is(err, errUnderTest) {
		t.Errorf("%v, %v; want the refusal", got, err)
	}
}

// A destination leads nowhere if it did so at both ends of the run.
func TestBoth(t *testing.T) {
	if got := both([]string{"a", "b"}, []string{"b", "c"}); !slices.Equal(got, []string{"b"}) {
		t.Error(got)
	}
}

// The client is the gateway that the Gateway under test selects, where it runs.
func TestClient(t *testing.T) {
	gw := &clientnet.Gateway{Spec: networking.Gateway{Selector: map[string]string{"istio": "edge"},
		Servers: []*networking.Server{{Port: &networking.Port{Number: 80}}}}}
	gw.Namespace, gw.Name = "test", "grpc"
	in := func(namespace, istioLabel string) istio.Ingress {
		return istio.Ingress{Namespace: namespace, Selector: map[string]string{"istio": istioLabel}}
	}
	target := &target{gw: istio.Listener{Gateway: gw}, via: []istio.Ingress{in("a", "other"), in("b", "edge")}}
	if got := target.client(); got.Namespace != "b" || got.Labels["istio"] != "edge" {
		t.Errorf("%+v", got)
	}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"istio": "edge", "zone": "a"}}}
	target.via[1].Pods = []corev1.Pod{pod}
	if got := target.client(); got.Labels["zone"] != "a" {
		t.Errorf("%+v; want the labels of its pods", got)
	}
}

func TestMisread(t *testing.T) {
	http := "http"
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "app"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
		{Name: "grpc", Port: 8000}, {Name: "foo", Port: 8001}, {Name: "grpc-2", Port: 8002, AppProtocol: &http},
	}}}
	for i, want := range []check.Port{{}, {Namespace: "demo", Service: "app", Number: 8001, Index: 1}, {Namespace: "demo", Service: "app", Number: 8002, Index: 2}} {
		got := misread(svc, svc.Spec.Ports[i])
		if (got.Words == "") != (want.Service == "") {
			t.Errorf("port %d: %q", i, got.Words)
		}
		got.Words = ""
		if got != want {
			t.Errorf("port %d: %+v, want %+v", i, got, want)
		}
	}
}

// A route that names no port goes where istiod leads it.
func TestPortNumber(t *testing.T) {
	of := func(ports ...int32) *corev1.Service {
		svc := &corev1.Service{}
		for _, p := range ports {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Port: p})
		}
		return svc
	}
	for _, tc := range []struct {
		svc         *corev1.Service
		named, want int
	}{
		{of(8000, 9000), 9000, 9000}, {of(9000), 0, 9000}, {of(9000, 8000), 0, 8000}, {of(9000, 9001), 0, 8000}, {of(9000), 7, 7},
	} {
		if got := portNumber(tc.svc, tc.named, 8000); got != tc.want {
			t.Errorf("%v, named %d: %d, want %d", tc.svc.Spec.Ports, tc.named, got, tc.want)
		}
	}
}
