package istio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
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
		{80, "two:80 by-pods:80 everywhere:80"},
		{0, "eight:8000 two:80 two:8000 by-pods:80 everywhere:80"},
		{443, ""},
	} {
		if got := names(r.Listeners(edge(), tc.port)); got != tc.want {
			t.Errorf("Listeners(%d) = %s, want %s", tc.port, got, tc.want)
		}
	}
	podless := edge()
	podless.Pods = nil // then the Service's selector is all that is known
	if got, want := names(r.Listeners(podless, 0)), "eight:8000 two:80 two:8000 everywhere:80"; got != want {
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
		{"in any case", "'*'", map[string]route{"a": {"shop", "edge/grpc", "Greeter.example.com"}}, "greeter.EXAMPLE.com", "a by Greeter.example.com"},
		{"the server takes another host", "x.com", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "y.com", ""},
		{"the server narrows any", "x.com", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "x.com", "a by *"},
		{"the server narrows by suffix", "'*.com'", map[string]route{"a": {"shop", "edge/grpc", "x.com"}, "b": {"shop", "edge/grpc", "x.org"}}, "x.org", ""},
		{"the server is for the namespace", "shop/*", map[string]route{"a": {"shop", "edge/grpc", "'*'"}, "b": {"other", "edge/grpc", "'*'"}}, "x.com", "a by *"},
		{"the server is for any namespace", "'*/x.com'", map[string]route{"a": {"shop", "edge/grpc", "'*'"}}, "x.com", "a by *"},
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

// exposure is the one that is to be made when the tests of Clash look around.
func exposure() manifest.Exposure {
	return manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: "*"}
}

func TestClash(t *testing.T) {
	grpc := server("istio: ingressgateway", 8000, "'*'")
	catchAll := "spec: {gateways: [edge/grpc], hosts: ['*'], http: [{route: [{destination: {host: x}}]}]}"
	for _, tc := range []struct {
		name    string
		gateway string
		vs      *clientnet.VirtualService
		set     func(*manifest.Exposure)
		want    string // in the conflict; empty: none
	}{
		{"nobody there", grpc, nil, nil, ""},
		{"another serves any host", grpc, service(t, "shop", "web", catchAll), nil,
			`VirtualService/web in namespace shop: it already serves every call for host "*" on port 8000 of gateway istio-system/istio-ingressgateway`},
		{"our own, from a run before", grpc, service(t, "test", "server", catchAll), nil, ""},
		{"of our name, in another namespace", grpc, service(t, "shop", "server", catchAll), nil, "VirtualService/server in namespace shop"},
		{"another host", grpc, service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.Host = "a.com" }, ""},
		{"the same host", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "b.com, a.com", 1)), func(e *manifest.Exposure) { e.Host = "a.com" }, `host "a.com"`},
		{"another Gateway", grpc, service(t, "shop", "web", strings.Replace(catchAll, "edge/grpc", "edge/other", 1)), nil, ""},
		{"another port", server("istio: ingressgateway", 80, "'*'"), service(t, "shop", "web", catchAll), nil, ""},
		{"another ingress", server("istio: other", 8000, "'*'"), service(t, "shop", "web", catchAll), nil, ""},
		{"one service beside a catch-all", grpc, service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.MatchService = "a.B" }, ""},
		{"HTTP on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: http", 1), nil, nil, ""},
		{"HTTPS on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: HTTPS", 1), nil, nil,
			"Gateway/grpc in namespace edge: it already holds port 8000 of gateway istio-system/istio-ingressgateway for the protocol HTTPS"},
		{"TCP on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: TCP", 1), nil, nil, "for the protocol TCP"},
		{"TCP on another port", strings.Replace(server("istio: ingressgateway", 80, "'*'"), "protocol: GRPC", "protocol: TCP", 1), nil, nil, ""},
	} {
		r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "edge", "grpc", tc.gateway)}}
		if tc.vs != nil {
			r.VirtualServices = append(r.VirtualServices, tc.vs)
		}
		e := exposure()
		if tc.set != nil {
			tc.set(&e)
		}
		err := r.Clash(edge(), 8000, e)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v; want no conflict", tc.name, err)
			}
			continue
		}
		var conflict *plan.ConflictError
		if !errors.As(err, &conflict) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want a conflict: %s", tc.name, err, tc.want)
			continue
		}
		ways := []string{"--host", "--match-service"}
		if conflict.ID.Kind == "Gateway" {
			ways = []string{"--gateway-port", "Open ports that can serve: 80, 8000"}
		}
		for _, way := range ways {
			if !strings.Contains(conflict.Hint, way) {
				t.Errorf("%s: the hint %q does not name %s", tc.name, conflict.Hint, way)
			}
		}
	}
}

func TestContested(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rules   string // of the other's VirtualService
		service string // ours
		want    string
	}{
		{"no rules", "", "", ""},
		{"a catch-all against every call", "{route: []}", "", "every call"},
		{"a catch-all against one service: it goes behind", "{route: []}", "a.B", ""},
		{"a match against every call", "{match: [{uri: {prefix: /x}}]}", "", "some calls"},
		{"another service", "{match: [{uri: {prefix: /a.C/}}]}", "a.B", ""},
		{"a service whose name begins the same", "{match: [{uri: {prefix: /a.Bee/}}]}", "a.B", ""},
		{"the same service", "{match: [{uri: {prefix: /a.B/}}]}", "a.B", "/a.B/"},
		{"the same, without its slash", "{match: [{uri: {prefix: /a.B}}]}", "a.B", "/a.B"},
		{"its whole package", "{match: [{uri: {prefix: /a.}}]}", "a.B", "/a."},
		{"a method of it", "{match: [{uri: {exact: /a.B/Get}}]}", "a.B", "/a.B/Get"},
		{"methods of it by prefix", "{match: [{uri: {prefix: /a.B/G}}]}", "a.B", "/a.B/G"},
		{"a method of another", "{match: [{uri: {exact: /a.C/Get}}]}", "a.B", ""},
		{"everything by prefix: it goes behind", "{match: [{uri: {prefix: /}}]}", "a.B", ""},
		{"paths that can't be told", "{match: [{uri: {regex: '.*B.*'}}]}", "a.B", "the paths .*B.*"},
		{"by a header alone", "{match: [{headers: {x-a: {exact: b}}}]}", "a.B", ""},
		{"the second match", "{match: [{uri: {exact: /c}}, {uri: {prefix: /a.B/}}]}", "a.B", "/a.B/"},
		{"the second rule", "{match: [{uri: {exact: /c}}]}, {match: [{uri: {prefix: /a.B/}}]}", "a.B", "/a.B/"},
		{"a rule behind a catch-all", "{route: []}, {match: [{uri: {prefix: /a.B/}}]}", "a.B", "/a.B/"},
	} {
		vs := service(t, "shop", "web", "spec: {http: ["+tc.rules+"]}")
		if got := contested(vs, tc.service); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestOwnGateway(t *testing.T) {
	ours := "metadata: {labels: {app.kubernetes.io/managed-by: grpcmesh}}\n"
	two := `spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: GRPC}, hosts: [a.com, b.com]},
		{port: {number: 443, name: b, protocol: HTTPS}, hosts: ['*']}, {port: {number: 8000, name: c, protocol: HTTP2}, hosts: ['*']}]}`
	want := []manifest.Server{{Port: 80, Hosts: []string{"a.com", "b.com"}}, {Port: 8000, Hosts: []string{"*"}}}
	for _, tc := range []struct {
		name     string
		gateways []*clientnet.Gateway
		servers  []manifest.Server
		foreign  bool
	}{
		{"none", nil, nil, false},
		{"ours", []*clientnet.Gateway{gateway(t, "test", "grpc", ours+two)}, want, false},
		{"theirs", []*clientnet.Gateway{gateway(t, "test", "grpc", two)}, want, true},
		{"of another name", []*clientnet.Gateway{gateway(t, "test", "web", ours+two)}, nil, false},
		{"of another namespace", []*clientnet.Gateway{gateway(t, "shop", "grpc", ours+two)}, nil, false},
	} {
		servers, foreign, err := Routes{Gateways: tc.gateways}.OwnGateway("test", edge())
		if err != nil || foreign != tc.foreign {
			t.Errorf("%s: foreign %v, %v; want foreign %v", tc.name, foreign, err, tc.foreign)
		}
		if diff := cmp.Diff(tc.servers, servers); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", tc.name, diff)
		}
	}
	// Changing its selector would take from that ingress what it serves.
	for _, labels := range []string{"", ours} {
		elsewhere := gateway(t, "test", "grpc", labels+server("app: gw-2, istio: other", 80, "'*'"))
		_, _, err := Routes{Gateways: []*clientnet.Gateway{elsewhere}}.OwnGateway("test", edge())
		var conflict *plan.ConflictError
		if !errors.As(err, &conflict) || !strings.Contains(conflict.Hint, "--gateway-selector app=gw-2,istio=other") {
			t.Errorf("a Gateway for another ingress: %v; want a conflict that names its selector", err)
		}
	}
}

func TestCovers(t *testing.T) {
	servers := []manifest.Server{{Port: 80, Hosts: []string{"*"}}, {Port: 8000, Hosts: []string{"a.com"}}}
	for _, tc := range []struct {
		port int
		host string
		want bool
	}{{80, "*", true}, {80, "a.com", true}, {8000, "a.com", true}, {8000, "b.com", false}, {8000, "*", false}, {443, "*", false}} {
		if got := Covers(servers, tc.port, tc.host); got != tc.want {
			t.Errorf("Covers(%d, %s) = %v", tc.port, tc.host, got)
		}
	}
	if Covers(nil, 80, "*") {
		t.Error("no server covers a host")
	}
}
