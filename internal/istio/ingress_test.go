package istio

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
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
	want := []IngressPort{{15021, 15021, 30598, "status-port"}, {80, 8080, 30416, "http2"}, {443, 8443, 31942, "https"},
		{8000, 8000, 31731, "tcp-clb-8000"}, {88, 8088, 0, "named"}}
	if diff := cmp.Diff(want, in.Ports); diff != "" {
		t.Errorf("Ports (-want +got):\n%s", diff)
	}
	if got := in.OpenPorts(); !slices.Equal(got, []int{80, 443, 8000, 88}) {
		t.Errorf("OpenPorts = %v: want all but the status port and UDP", got)
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

func TestChooseIngress(t *testing.T) {
	one := Ingress{Namespace: "istio-system", Service: "istio-ingressgateway", Selector: map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"}}
	two := Ingress{Namespace: "edge", Service: "gw-1", Selector: map[string]string{"app": "istio-ingressgateway-1", "istio": "ingressgateway"}}
	for _, tc := range []struct {
		name     string
		all      []Ingress
		selector map[string]string
		want     string // the one chosen, or how the error begins
		cands    []string
	}{
		{"the only one", []Ingress{one}, nil, "istio-system/istio-ingressgateway", nil},
		{"the only one, by part of its labels", []Ingress{one}, map[string]string{"istio": "ingressgateway"}, "istio-system/istio-ingressgateway", nil},
		{"one of two, by what tells them apart", []Ingress{one, two}, map[string]string{"app": "istio-ingressgateway-1"}, "edge/gw-1", nil},
		{"two", []Ingress{one, two}, nil, "2 ingress gateways fit; which one?", []string{
			"istio-system/istio-ingressgateway: --gateway-selector app=istio-ingressgateway,istio=ingressgateway",
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"a label that Tencent's gateways share", []Ingress{one, two}, map[string]string{"istio": "ingressgateway"}, "2 ingress gateways fit", []string{
			"istio-system/istio-ingressgateway: --gateway-selector app=istio-ingressgateway,istio=ingressgateway",
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"none fits", []Ingress{two}, map[string]string{"app": "nosuch"}, "no ingress gateway has the labels app=nosuch; there are", []string{
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"none", nil, nil, "no ingress gateway in this cluster", nil},
	} {
		got, err := ChooseIngress(tc.all, tc.selector)
		if err == nil {
			if got.String() != tc.want {
				t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
			}
			continue
		}
		var target *manifest.TargetError
		if !errors.As(err, &target) || !strings.HasPrefix(target.What, tc.want) || !slices.Equal(target.Candidates, tc.cands) {
			t.Errorf("%s: %v; want %q and the candidates %v", tc.name, err, tc.want, tc.cands)
		}
	}
}

func TestChoosePort(t *testing.T) {
	in := Ingress{Namespace: "istio-system", Service: "gw", Ports: []IngressPort{
		{Port: 15021, Target: 15021}, {Port: 8443, Target: 15021}, {Port: 80, Target: 8080}, {Port: 443, Target: 8443},
		{Port: 8000, Target: 8000}, {Port: 88, Target: 88}, {Port: 9443, Target: 443}, {Port: 1024, Target: 1024},
	}}
	without := func(ports ...int) Ingress {
		c := in
		c.Ports = slices.DeleteFunc(slices.Clone(in.Ports), func(p IngressPort) bool { return slices.Contains(ports, p.Port) })
		return c
	}
	for _, tc := range []struct {
		name           string
		in             Ingress
		asked, service int
		want           int    // the Service's port; 0: refused
		cause          string // in the refusal
	}{
		{"the Service's own", in, 0, 8000, 8000, ""},
		{"the Service's is not open", in, 0, 9999, 80, ""},
		{"asked for", in, 80, 8000, 80, ""},
		{"asked for, the least that a pod may open", in, 1024, 8000, 1024, ""},
		{"asked for, not open", in, 9999, 8000, 0, "does not open port 9999"},
		{"asked for, status", in, 15021, 8000, 0, "answers its own health"},
		{"asked for, leads to status", in, 8443, 8000, 0, "answers its own health"},
		{"asked for, TLS", in, 443, 8000, 0, "for TLS"},
		{"asked for, below 1024", in, 88, 8000, 0, "below 1024"},
		{"asked for, leads below 1024", in, 9443, 8000, 0, "below 1024"},
		{"the Service's is the status port", in, 0, 15021, 80, ""},
		{"the Service's is 443", in, 0, 443, 80, ""},
		{"the Service's is below 1024", in, 0, 88, 80, ""},
		{"neither is open", without(80), 0, 9999, 0, "neither port 9999 nor port 80"},
		{"only what can't serve is open", without(80, 8000, 1024), 0, 8000, 0, "neither port 8000 nor port 80"},
	} {
		got, err := ChoosePort(tc.in, tc.asked, tc.service)
		if tc.want != 0 {
			if err != nil || got.Port != tc.want {
				t.Errorf("%s: port %d, %v; want %d", tc.name, got.Port, err, tc.want)
			}
			continue
		}
		var not *k8s.NotReadyError
		if !errors.As(err, &not) || !strings.Contains(not.Cause, tc.cause) {
			t.Errorf("%s: %v; want a refusal: %s", tc.name, err, tc.cause)
			continue
		}
		if open := k8s.JoinInts(tc.in.OpenPorts()); !strings.Contains(not.Hint, "Open ports: "+open+".") || strings.Contains(open, "15021") {
			t.Errorf("%s: the hint is %q; want the open ports %s", tc.name, not.Hint, open)
		}
	}
}
