package istio

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/typed/fake"
)

func TestDestinations(t *testing.T) {
	for _, tc := range []struct {
		name, routes string
		want         []Destination
	}{
		{"a bare name is of the route's namespace", "{destination: {host: server}}", []Destination{{"test", "server", 0, "", 1}}},
		{"one with a weight", "{destination: {host: server}, weight: 100}", []Destination{{"test", "server", 0, "", 1}}},
		{"a port and a subset", "{destination: {host: server, subset: v1, port: {number: 8000}}}", []Destination{{"test", "server", 8000, "v1", 1}}},
		{"half a name is no Service's", "{destination: {host: server.shop}}", []Destination{{"", "server.shop", 0, "", 1}}},
		{"nor with svc", "{destination: {host: server.shop.svc}}", []Destination{{"", "server.shop.svc", 0, "", 1}}},
		{"in full", "{destination: {host: server.shop.svc.cluster.local}}", []Destination{{"shop", "server", 0, "", 1}}},
		{"in a cluster of another domain", "{destination: {host: server.shop.svc.corp.example}}", []Destination{{"shop", "server", 0, "", 1}}},
		{"weights", "{destination: {host: a}, weight: 3}, {destination: {host: b}, weight: 1}", []Destination{{"test", "a", 0, "", 0.75}, {"test", "b", 0, "", 0.25}}},
		{"a weight of 0 gets nothing", "{destination: {host: a}, weight: 100}, {destination: {host: b}}", []Destination{{"test", "a", 0, "", 1}}},
		{"several without weights", "{destination: {host: a}}, {destination: {host: b}}", nil},
		{"none", "", nil},
	} {
		got, err := Destinations(ruleOf(t, tc.routes), "test")
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	for _, host := range []string{"api.example.com", "server.shop.svcs", "a.b.cluster.local"} {
		got, err := Destinations(ruleOf(t, "{destination: {host: "+host+"}}"), "test")
		if err == nil || len(got) != 0 || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v, %v; want an error that names it", host, got, err)
		}
	}
}

func TestAddressesOf(t *testing.T) {
	svc := labService(t)
	svc.Spec.ExternalIPs = []string{"198.51.100.7"}
	svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{Hostname: "lb.example.com"})
	got := addressesOf(svc)
	for _, a := range []string{"10.96.34.60", "198.51.100.7", "10.99.0.1", "lb.example.com", "istio-ingressgateway.istio-system",
		"istio-ingressgateway.istio-system.svc", "istio-ingressgateway.istio-system.svc.cluster.local"} {
		if !slices.Contains(got, a) {
			t.Errorf("%s is missing in %v", a, got)
		}
	}
	headless := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "n"}, Spec: corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}}}
	if got := addressesOf(headless); !slices.Equal(got, []string{"h.n", "h.n.svc", "h.n.svc.cluster.local"}) {
		t.Errorf("a headless Service: %v; want its names alone", got)
	}
}

func TestOwner(t *testing.T) {
	svc := labService(t)
	in := Ingress{Namespace: svc.Namespace, Service: svc.Name}
	o := owner([]Ingress{{Namespace: "other", Service: svc.Name}, in}, svc, svc.Spec.Ports[3])
	if o.Ingress == nil || o.Ingress.String() != in.String() || o.Service != nil || o.Number != 8000 {
		t.Errorf("the gateway's own port: %+v", o)
	}
	o = owner([]Ingress{{Namespace: "other", Service: svc.Name}}, svc, svc.Spec.Ports[3])
	if o.Ingress != nil || o.Service != svc || o.Port.Port != 8000 {
		t.Errorf("a Service that is no gateway: %+v", o)
	}
}

func TestResolveAddress(t *testing.T) {
	for _, ip := range []string{"203.0.113.10", "2001:db8::1"} {
		if got := Resolve(t.Context(), ip); !slices.Equal(got, []string{ip}) {
			t.Errorf("Resolve(%s) = %v", ip, got)
		}
	}
	got := Resolve(t.Context(), "localhost")
	if !slices.ContainsFunc(got, func(a string) bool { return net.ParseIP(a).IsLoopback() }) {
		t.Errorf("Resolve(localhost) = %v, want a loopback address", got)
	}
}

// An address where no calls can be balanced is told from one that nobody knows.
func TestWhose(t *testing.T) {
	svc := labService(t)
	in := Ingress{Namespace: svc.Namespace, Service: svc.Name, Selector: map[string]string{"istio": "ingressgateway"}}
	pod := func(namespace, name, ip string, node bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}}
		p.Status.PodIP, p.Spec.HostNetwork = ip, node
		return p
	}
	gateway := pod(svc.Namespace, "gateway", "10.42.0.9", false)
	gateway.Labels = in.Selector
	app := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.7"}, Ports: []corev1.ServicePort{{Port: 8000}}}}
	m := over(fake.NewClientset(svc, app, gateway, pod("shop", "app-1", "10.42.0.7", false), pod("shop", "agent", "192.0.2.1", true)))
	for _, tc := range []struct {
		host string
		port int
		want string // the gateway with its port, the Service, "" for nobody, or of the error
	}{
		{"127.0.0.1", 8000, ""},
		{"10.99.0.1", 8000, "istio-system/istio-ingressgateway 8000"},
		{"10.99.0.1", 9999, ""}, // a load balancer's address may be another's too
		{"10.42.0.9", 8080, "istio-system/istio-ingressgateway 8080"},
		{"10.42.0.7", 50051, "own address of pod shop/app-1"},
		{"192.0.2.1", 8000, ""},
		{"10.96.0.7", 8000, "shop/app"},
		{"10.96.0.7", 9999, "Service shop/app, which does not open port 9999"},
		{"app.shop.svc", 9999, "Service shop/app, which does not open port 9999"},
	} {
		var ips []string
		if net.ParseIP(tc.host) != nil {
			ips = []string{tc.host}
		}
		o, err := m.Whose(t.Context(), []Ingress{in}, tc.host, ips, tc.port)
		got := ""
		switch {
		case err != nil:
			if !errors.As(err, new(*manifest.TargetError)) {
				t.Errorf("%s:%d: %v is no error of the target", tc.host, tc.port, err)
			}
			got = err.Error()
		case o.Ingress != nil:
			got = fmt.Sprint(o.Ingress, " ", o.Number)
		case o.Service != nil:
			got = o.Service.Namespace + "/" + o.Service.Name
		}
		if !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s:%d: %q, want %q", tc.host, tc.port, got, tc.want)
		}
	}
}
