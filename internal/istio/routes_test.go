package istio

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func gateway(t testing.TB, namespace, name, body string) *clientnet.Gateway {
	t.Helper()
	gw := &clientnet.Gateway{}
	if err := yaml.Unmarshal([]byte(body), gw); err != nil {
		t.Fatal(err)
	}
	gw.Namespace, gw.Name = namespace, name
	return gw
}

func service(t testing.TB, namespace, name, body string) *clientnet.VirtualService {
	t.Helper()
	vs := &clientnet.VirtualService{}
	if err := yaml.Unmarshal([]byte(body), vs); err != nil {
		t.Fatal(err)
	}
	vs.Namespace, vs.Name = namespace, name
	return vs
}

// edge is the gateway that the tests go through; its pods carry more labels
// than the Service selects by.
func edge() Ingress {
	selector := map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"}
	return Ingress{Namespace: "istio-system", Service: "istio-ingressgateway", Selector: selector,
		Ports: []IngressPort{{Port: 80, Target: 8080}, {Port: 8000, Target: 8000}},
		Pods:  []corev1.Pod{routerPod(map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway", "zone": "a"}, true)}}
}

// server is a Gateway of one gRPC port.
func server(selector string, port int, hosts string) string {
	return fmt.Sprintf("spec: {selector: {%s}, servers: [{port: {number: %d, name: grpc, protocol: GRPC}, hosts: [%s]}]}", selector, port, hosts)
}

func TestListeners(t *testing.T) {
	r := Routes{Gateways: []*clientnet.Gateway{
		gateway(t, "a", "eight", server("istio: ingressgateway", 8000, "'*'")),
		gateway(t, "b", "two", `spec: {selector: {app: istio-ingressgateway, istio: ingressgateway}, servers: [
			{port: {number: 80, name: web, protocol: HTTP}, hosts: ['*']}, {port: {number: 8000, name: grpc, protocol: GRPC}, hosts: ['*']}, {hosts: ['portless']}]}`),
		gateway(t, "c", "other", server("istio: egressgateway", 8000, "'*'")),
		gateway(t, "d", "by-pods", server("zone: a", 80, "'*'")),
		gateway(t, "e", "everywhere", server("", 80, "'*'")),
		gateway(t, "f", "behind", server("istio: ingressgateway", 8080, "'*'")),
	}}
	names := func(listeners []Listener) string {
		var s []string
		for _, l := range listeners {
			s = append(s, fmt.Sprintf("%s:%d", l.Gateway.Name, l.Server.Port.Number))
		}
		return strings.Join(s, " ")
	}
	for _, tc := range []struct {
		port int
		want string
	}{
		{8000, "eight:8000 two:8000"},
		// A number that the Service does not open is the pods' own: 80 leads to 8080.
		{80, "two:80 by-pods:80 everywhere:80 behind:8080"},
		{0, "eight:8000 two:80 two:8000 by-pods:80 everywhere:80 behind:8080"},
		{443, ""},
	} {
		if got := names(r.Listeners(edge(), tc.port)); got != tc.want {
			t.Errorf("Listeners(%d) = %s, want %s", tc.port, got, tc.want)
		}
	}
	podless := edge()
	podless.Pods = nil // then the Service's selector is all that is known
	if got, want := names(r.Listeners(podless, 0)), "eight:8000 two:80 two:8000 everywhere:80 behind:8080"; got != want {
		t.Errorf("Listeners without pods = %s, want %s", got, want)
	}
}

func TestBound(t *testing.T) {
	gw := gateway(t, "edge", "grpc", server("", 80, "'*'"))
	for _, tc := range []struct {
		namespace, gateways string
		want                bool
	}{
		{"shop", "edge/grpc", true},
		{"shop", "mesh, edge/grpc", true},
		{"shop", "grpc", false}, // means shop/grpc
		{"edge", "grpc", true},
		{"edge", "shop/grpc", false},
		{"shop", "edge/grpc2", false},
		{"shop", "mesh", false},
		{"shop", "", false},
	} {
		vs := service(t, tc.namespace, "s", "spec: {gateways: ["+tc.gateways+"]}")
		if got := Bound(vs, gw); got != tc.want {
			t.Errorf("a VirtualService of %s with gateways [%s]: %v", tc.namespace, tc.gateways, got)
		}
	}
}

func TestServing(t *testing.T) {
	type route struct{ namespace, gateways, hosts string }
	for _, tc := range []struct {
		name      string
		server    string // hosts of the Gateway edge/grpc
		routes    map[string]route
		authority string
		want      string // the routes that serve it, in order of their names
	}{
		{"any", "'*'", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "203.0.113.10", "a by *"},
		{"nobody", "'*'", map[string]route{"a": {"shop", "edge/grpc", "x.com"}}, "y.com", ""},
		{"exact beats suffix beats any", "'*'", map[string]route{
			"any": {"shop", "edge/grpc", "'*'"}, "exact": {"shop", "edge/grpc", "a.example.com"}, "suffix": {"shop", "edge/grpc", "'*.example.com'"}},
			"a.example.com", "exact by a.example.com"},
		{"suffix beats any", "'*'", map[string]route{
			"any": {"shop", "edge/grpc", "'*'"}, "exact": {"shop", "edge/grpc", "a.example.com"}, "suffix": {"shop", "edge/grpc", "'*.example.com'"}},
			"b.example.com", "suffix by *.example.com"},
		{"any takes the rest", "'*'", map[string]route{
			"any": {"shop", "edge/grpc", "'*'"}, "suffix": {"shop", "edge/grpc", "'*.example.com'"}}, "example.com", "any by *"},
		{"the longer suffix", "'*'", map[string]route{
			"long": {"shop", "edge/grpc", "'*.b.example.com'"}, "short": {"shop", "edge/grpc", "'*.example.com'"}}, "a.b.example.com", "long by *.b.example.com"},
		{"a short name beats a long suffix", "'*'", map[string]route{
			"suffix": {"shop", "edge/grpc", "'*.a-very-long-name.example.com'"}, "exact": {"shop", "edge/grpc", "a.a-very-long-name.example.com"}},
			"a.a-very-long-name.example.com", "exact by a.a-very-long-name.example.com"},
		{"several of one route", "'*'", map[string]route{"a": {"shop", "edge/grpc", "'*', a.com, '*.com'"}}, "a.com", "a by a.com"},
		{"two for one host", "'*'", map[string]route{
			"a": {"shop", "edge/grpc", "x.com"}, "b": {"other", "edge/grpc", "x.com"}, "c": {"other", "edge/grpc", "'*'"}}, "x.com", "a by x.com, b by x.com"},
		{"in any case", "'*'", map[string]route{"a": {"shop", "edge/grpc", "Greeter.example.com"}}, "greeter.EXAMPLE.com", "a by greeter.example.com"},
		{"the server takes another host", "x.com", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "y.com", ""},
		{"the server narrows any", "x.com", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "x.com", "a by x.com"},
		{"narrowed, it meets the exact one", "'*', x.com", map[string]route{"a": {"shop", "edge/grpc", "'*'"}, "b": {"shop", "edge/grpc", "x.com"}}, "x.com", "a by x.com, b by x.com"},
		{"the server narrows by suffix", "'*.com'", map[string]route{"a": {"shop", "edge/grpc", "x.com"}, "b": {"shop", "edge/grpc", "x.org"}}, "x.org", ""},
		{"the server is for the namespace", "shop/*", map[string]route{"a": {"shop", "edge/grpc", "'*'"}, "b": {"other", "edge/grpc", "'*'"}}, "x.com", "a by *"},
		{"the server is for any namespace", "'*/x.com'", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "x.com", "a by x.com"},
		{"the server is for its own namespace", "./*", map[string]route{"a": {"shop", "edge/grpc", "'*'"}, "b": {"edge", "edge/grpc", "'*'"}}, "x.com", "b by *"},
		{"a bare name means the own namespace", "'*'", map[string]route{"a": {"shop", "grpc", "'*'"}, "b": {"edge", "grpc", "'*'"}}, "x.com", "b by *"},
		{"mesh is no gateway", "'*'", map[string]route{"a": {"shop", "mesh", "'*'"}, "b": {"shop", "mesh, edge/grpc", "'*'"}}, "x.com", "b by *"},
		{"no gateways means mesh", "'*'", map[string]route{"a": {"shop", "", "'*'"}}, "x.com", ""},
	} {
		gw := gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, tc.server))
		r := Routes{Gateways: []*clientnet.Gateway{gw}}
		var names []string
		for name := range tc.routes {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			v := tc.routes[name]
			r.VirtualServices = append(r.VirtualServices, service(t, v.namespace, name, "spec: {gateways: ["+v.gateways+"], hosts: ["+v.hosts+"]}"))
		}
		var got []string
		for _, c := range r.Serving(r.Listeners(edge(), 8000), tc.authority) {
			got = append(got, c.VirtualService.Name+" by "+c.Host)
		}
		if s := strings.Join(got, ", "); s != tc.want {
			t.Errorf("%s: %q serve %s, want %q", tc.name, s, tc.authority, tc.want)
		}
	}
}
