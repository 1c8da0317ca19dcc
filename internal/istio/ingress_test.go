package istio

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	k8stesting "k8s.io/client-go/testing"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/typed"
	"grpcmesh/internal/typed/fake"
)

// routerPod is a pod of an ingress gateway.
func routerPod(labels map[string]string, ready bool) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "gw", Labels: labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy", Args: []string{"proxy", "router"},
			Ports: []corev1.ContainerPort{{Name: "http-named", ContainerPort: 8088}}}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

// labService is the ingress gateway's Service as the lab's istioctl install
// made it.
func labService(t *testing.T) *corev1.Service {
	t.Helper()
	b, err := os.ReadFile("testdata/service-ingressgateway.json")
	if err != nil {
		t.Fatal(err)
	}
	var svc corev1.Service
	if err := json.Unmarshal(b, &svc); err != nil {
		t.Fatal(err)
	}
	return &svc
}

func TestIngressOfTheLab(t *testing.T) {
	svc := labService(t)
	svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "quic", Protocol: corev1.ProtocolUDP, Port: 4433},
		corev1.ServicePort{Name: "named", Port: 88, TargetPort: intstr.FromString("http-named")})
	svc.Spec.ExternalIPs = []string{"198.51.100.7"}
	svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{Hostname: "lb-1.clb.example.com"})
	leaving := routerPod(svc.Spec.Selector, true)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	stranger := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	stranger.Status = routerPod(nil, true).Status
	in := ingress(svc, []corev1.Pod{leaving, routerPod(svc.Spec.Selector, true), routerPod(svc.Spec.Selector, false), stranger})

	if in.String() != "istio-system/istio-ingressgateway" || in.Type != corev1.ServiceTypeLoadBalancer || in.ClusterIP != "10.96.34.60" {
		t.Errorf("ingress = %s of type %s at %s", in, in.Type, in.ClusterIP)
	}
	if want := []string{"10.99.0.1", "lb-1.clb.example.com", "198.51.100.7"}; !slices.Equal(in.Addresses, want) {
		t.Errorf("Addresses = %v, want %v", in.Addresses, want)
	}
	if got, want := FormatSelector(in.Selector), "app=istio-ingressgateway,istio=ingressgateway"; got != want {
		t.Errorf("selector = %s, want all of the Service's: %s", got, want)
	}
	if len(in.Pods) != 1 || in.Pods[0].Name != "gw" {
		t.Errorf("%d pods, want the ready router alone", len(in.Pods))
	}
	want := []IngressPort{{15021, 15021, 30598, "status-port", "", false}, {80, 8080, 30416, "http2", "", false}, {443, 8443, 31942, "https", "", false},
		{8000, 8000, 31731, "tcp-clb-8000", "", false}, {88, 8088, 0, "named", "", false}}
	if diff := cmp.Diff(want, in.Ports); diff != "" {
		t.Errorf("Ports (-want +got):\n%s", diff)
	}
	if got := in.ServingPorts(); !slices.Equal(got, []int{80, 8000, 88}) {
		t.Errorf("ServingPorts = %v: want all but the status port, UDP and 443", got)
	}
	if in.Asleep || in.Untranslated {
		t.Errorf("asleep %v, untranslated %v", in.Asleep, in.Untranslated)
	}
	svc.Labels = map[string]string{"experimental.istio.io/disable-gateway-port-translation": "true"}
	if in := ingress(svc, nil); !in.Asleep || !in.Untranslated {
		t.Errorf("without pods, and labelled as Knative's: asleep %v, untranslated %v", in.Asleep, in.Untranslated)
	}
}

// TestIngressesAsleep: a gateway that is scaled to 0 is known by its Service,
// and only AllIngresses tells of it.
func TestIngressesAsleep(t *testing.T) {
	svc := labService(t)
	app := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}}}
	pod := routerPod(svc.Spec.Selector, true)
	pod.Namespace = svc.Namespace
	for _, tc := range []struct {
		name     string
		objects  []runtime.Object
		all, any string
	}{
		{"scaled to 0", []runtime.Object{svc, app}, "istio-system/istio-ingressgateway", ""},
		{"awake", []runtime.Object{svc, app, &pod}, "istio-system/istio-ingressgateway", "istio-system/istio-ingressgateway"},
		{"an app's load balancer", []runtime.Object{app}, "", ""},
	} {
		m := over(fake.NewClientset(tc.objects...))
		names := func(ingresses []Ingress, err error) string {
			if err != nil {
				t.Fatal(err)
			}
			var s []string
			for _, in := range ingresses {
				s = append(s, in.String())
			}
			return strings.Join(s, " ")
		}
		if got := names(m.AllIngresses(t.Context())); got != tc.all {
			t.Errorf("%s: AllIngresses = %q, want %q", tc.name, got, tc.all)
		}
		if got := names(m.Ingresses(t.Context())); got != tc.any {
			t.Errorf("%s: Ingresses = %q, want %q", tc.name, got, tc.any)
		}
	}
}

func TestNodeAddress(t *testing.T) {
	node := func(name string, addresses ...string) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, a := range addresses {
			kind, address, _ := strings.Cut(a, "=")
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(kind), Address: address})
		}
		return n
	}
	on := func(names ...string) (pods []corev1.Pod) {
		for _, name := range names {
			pods = append(pods, corev1.Pod{Spec: corev1.PodSpec{NodeName: name}})
		}
		return pods
	}
	for _, tc := range []struct {
		name  string
		nodes []corev1.Node
		pods  []corev1.Pod
		want  string
	}{
		{"none", nil, nil, ""},
		{"a name alone", []corev1.Node{node("a", "Hostname=a")}, on("a"), ""},
		{"internal", []corev1.Node{node("a", "Hostname=a", "InternalIP=10.0.0.1")}, on("a"), "10.0.0.1"},
		{"external first", []corev1.Node{node("a", "InternalIP=10.0.0.1", "ExternalIP=203.0.113.1")}, on("a"), "203.0.113.1"},
		{"external first, of whatever node", []corev1.Node{node("a", "InternalIP=10.0.0.1"), node("b", "ExternalIP=203.0.113.2")}, on("a"), "203.0.113.2"},
		{"of a replica's node", []corev1.Node{node("a", "InternalIP=10.0.0.1"), node("b", "InternalIP=10.0.0.2")}, on("b"), "10.0.0.2"},
		{"no replica", []corev1.Node{node("a", "InternalIP=10.0.0.1"), node("b", "InternalIP=10.0.0.2")}, nil, "10.0.0.1"},
	} {
		if got := nodeAddress(tc.nodes, tc.pods); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	a := node("a", "InternalIP=10.0.0.1")
	core := fake.NewClientset(&a)
	m, port := over(core), IngressPort{Port: 8000, NodePort: 30080}
	ask := func(in Ingress, p IngressPort) string {
		t.Helper()
		got, err := m.NodeAddress(t.Context(), in, p)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	if got := ask(Ingress{}, port); got != "10.0.0.1" {
		t.Errorf("by a node port: %q", got)
	}
	if got := ask(Ingress{}, IngressPort{Port: 8000}); got != "" {
		t.Errorf("without a node port: %q", got)
	}
	if got := ask(Ingress{Addresses: []string{"203.0.113.9"}}, port); got != "" {
		t.Errorf("with an address of its own: %q", got)
	}
	core.PrependReactor("list", "nodes", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(corev1.Resource("nodes"), "", nil)
	})
	if got := ask(Ingress{}, port); got != "" {
		t.Errorf("by a user who may not list nodes: %q", got)
	}
}

func TestMayBeGateway(t *testing.T) {
	svc := func(typ corev1.ServiceType, selector map[string]string, ports ...int32) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: typ, Selector: selector}}
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: p})
		}
		return s
	}
	app := map[string]string{"app": "x"}
	for _, tc := range []struct {
		name string
		svc  *corev1.Service
		want bool
	}{
		{"the lab's", labService(t), true},
		{"AKS", svc("LoadBalancer", map[string]string{"istio": "aks-istio-ingressgateway-external"}, 15021, 80, 443), true},
		{"behind a CLB of its own, ClusterIP", svc("ClusterIP", map[string]string{"istio": "ingressgateway"}, 80), true},
		{"by its status port", svc("ClusterIP", app, 15021, 80), true},
		{"by its type", svc("NodePort", app, 80), true},
		{"an app", svc("ClusterIP", app, 8000), false},
		{"egress", svc("ClusterIP", map[string]string{"istio": "egressgateway"}, 80, 443), false},
		{"east-west", svc("LoadBalancer", map[string]string{"istio": "eastwestgateway"}, 15021, 15443, 15012, 15017), false},
		{"istiod", svc("ClusterIP", map[string]string{"istio": "pilot", "app": "istiod"}, 15010, 15012, 443), false},
		{"no selector", svc("LoadBalancer", nil, 80), false},
	} {
		if got := mayBeGateway(tc.svc); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if !isRouter(routerPod(nil, true)) {
		t.Error("a router is not seen")
	}
	sidecar := routerPod(nil, true)
	sidecar.Spec.Containers[0].Args = []string{"proxy", "sidecar"}
	if isRouter(sidecar) {
		t.Error("a sidecar is taken for a router")
	}
}

// over is a mesh of the objects that the core API has.
func over(core typed.Core) *Mesh {
	return &Mesh{core: core, reads: &k8s.Cluster{Core: core}}
}
