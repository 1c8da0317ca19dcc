package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// exposure is the one that is to be made when the tests of Clash look around.
func exposure() manifest.Exposure {
	return manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: "*"}
}

// redirect is a server that sends all its calls to HTTPS.
func redirect(hosts string) string {
	return strings.Replace(server("istio: ingressgateway", 8000, hosts), "hosts:", "tls: {httpsRedirect: true}, hosts:", 1)
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
			`GM162: VirtualService/web in namespace shop: it already serves every call for host "*" on port 8000 of gateway istio-system/istio-ingressgateway`},
		{"our own, from a run before", grpc, service(t, "test", "server", catchAll), nil, ""},
		{"of our name, in another namespace", grpc, service(t, "shop", "server", catchAll), nil, "VirtualService/server in namespace shop"},
		{"another host", grpc, service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.Host = "a.com" }, ""},
		{"the same host", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "b.com, a.com", 1)), func(e *manifest.Exposure) { e.Host = "a.com" }, `host "a.com"`},
		{"another Gateway", grpc, service(t, "shop", "web", strings.Replace(catchAll, "edge/grpc", "edge/other", 1)), nil, ""},
		{"another port", server("istio: ingressgateway", 80, "'*'"), service(t, "shop", "web", catchAll), nil, ""},
		{"another ingress", server("istio: other", 8000, "'*'"), service(t, "shop", "web", catchAll), nil, ""},
		{"one service beside a catch-all", grpc, service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, ""},
		{"HTTP on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: http", 1), nil, nil, ""},
		{"HTTPS on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: HTTPS", 1), nil, nil,
			"GM160: Gateway/grpc in namespace edge: it already holds port 8000 of gateway istio-system/istio-ingressgateway for the protocol HTTPS"},
		{"TCP on the port", strings.Replace(grpc, "protocol: GRPC", "protocol: TCP", 1), nil, nil, "for the protocol TCP"},
		// What the server does not admit claims nothing.
		{"hosts of another namespace's routes", server("istio: ingressgateway", 8000, "shop/*"), service(t, "web", "web", catchAll), nil, ""},
		{"hosts of its own namespace's routes", server("istio: ingressgateway", 8000, "./*"), service(t, "shop", "web", catchAll), nil, ""},
		{"hosts of that namespace's routes", server("istio: ingressgateway", 8000, "shop/*"), service(t, "shop", "web", catchAll), nil, "VirtualService/web in namespace shop"},
		{"hosts of any namespace's routes", server("istio: ingressgateway", 8000, "'*/*'"), service(t, "shop", "web", catchAll), nil, "VirtualService/web in namespace shop"},
		{"another host of the server", server("istio: ingressgateway", 8000, "b.com"), service(t, "shop", "web", catchAll), nil, ""},
		// Envoy takes the most specific host, whatever else there is.
		{"any host beside ours", grpc, service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.Host = "a.com" }, ""},
		{"a wildcard beside ours", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "'*.a.com'", 1)), func(e *manifest.Exposure) { e.Host = "b.a.com" }, ""},
		{"a host below our wildcard", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "b.a.com", 1)), func(e *manifest.Exposure) { e.Host = "*.a.com" }, ""},
		{"a host beside any", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "a.com", 1)), nil, ""},
		{"the same host in capitals", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "A.Com", 1)), func(e *manifest.Exposure) { e.Host = "a.com" }, `host "a.com"`},
		{"the same wildcard", grpc, service(t, "shop", "web", strings.Replace(catchAll, "'*'", "'*.a.com'", 1)), func(e *manifest.Exposure) { e.Host = "*.a.com" }, `host "*.a.com"`},
		// Of server and route the narrower host counts.
		{"any host, of a server for ours", server("istio: ingressgateway", 8000, "a.com"), service(t, "shop", "web", catchAll), func(e *manifest.Exposure) { e.Host = "a.com" }, `host "a.com"`},
		{"redirected to HTTPS", redirect("'*'"), nil, nil, `GM161: Gateway/grpc in namespace edge: it redirects calls for host "*" on port 8000`},
		{"redirected to HTTPS for others", redirect("b.com"), nil, func(e *manifest.Exposure) { e.Host = "a.com" }, ""},
		{"any redirected but ours", redirect("'*'"), nil, func(e *manifest.Exposure) { e.Host = "a.com" }, ""},
		{"redirected to HTTPS by a route", redirect("'*'"), service(t, "shop", "web", strings.Replace(catchAll, "'*'", "a.com", 1)),
			func(e *manifest.Exposure) { e.Host = "a.com" }, `it redirects calls for host "a.com"`},
		{"redirected to HTTPS for another namespace", redirect("shop/*"), nil, nil, ""},
		{"on the pods' port", server("istio: ingressgateway", 9000, "'*'"), service(t, "shop", "web", catchAll), nil, "VirtualService/web in namespace shop"},
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
		in := edge() // whose pods listen on 9000 for its 8000
		in.Ports[1].Target = 9000
		err := r.Clash(in, 8000, e)
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
			ways = []string{"--gateway-port", "Open ports that can serve: 80"}
		}
		for _, way := range ways {
			if !strings.Contains(conflict.Hint, way) {
				t.Errorf("%s: the hint %q does not name %s", tc.name, conflict.Hint, way)
			}
		}
	}
}

// TestClashAll: all that is in the way is told, and each of them once.
func TestClashAll(t *testing.T) {
	t.Parallel()
	route := func(name, gateways string) *clientnet.VirtualService {
		return service(t, "shop", name, "spec: {gateways: ["+gateways+"], hosts: ['*'], http: [{route: [{destination: {host: x}}]}]}")
	}
	r := Routes{
		Gateways: []*clientnet.Gateway{
			gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, "'*'")),
			gateway(t, "edge", "more", server("istio: ingressgateway", 8000, "'*'")),
			gateway(t, "edge", "tls", strings.Replace(server("istio: ingressgateway", 8000, "'*'"), "protocol: GRPC", "protocol: HTTPS", 1)),
		},
		VirtualServices: []*clientnet.VirtualService{route("first", "edge/grpc, edge/more"), route("second", "edge/more"), route("behind", "edge/tls")},
	}
	err := r.Clash(edge(), 8000, exposure())
	var told []string
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range all.Unwrap() {
			line, _, _ := strings.Cut(err.Error(), ":")
			of, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), line+": "), " ")
			told = append(told, line+" "+of)
		}
	}
	slices.Sort(told)
	if want := []string{"GM160 Gateway/tls", "GM162 VirtualService/first", "GM162 VirtualService/second"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q: %v", told, want, err)
	}
}

// TestClashAfterwards: what counts is what the Gateway of the exposure will be,
// not what it is.
func TestClashAfterwards(t *testing.T) {
	anyHost := "spec: {gateways: [test/grpc], hosts: ['*'], http: [{route: [{destination: {host: x}}]}]}"
	neighbour := service(t, "test", "other", anyHost)
	own := gateway(t, "test", "grpc", server("istio: ingressgateway", 8000, "b.com"))
	for _, tc := range []struct {
		name    string
		set     func(*manifest.Exposure)
		gateway []*clientnet.Gateway
		want    bool
	}{
		{"our server will take a host that a neighbour claims", func(e *manifest.Exposure) {
			e.Host, e.Servers = "a.com", []manifest.Server{{Port: 8000, Hosts: []string{"b.com"}}}
		}, []*clientnet.Gateway{own}, true},
		{"our server takes any: the neighbour's host is another", func(e *manifest.Exposure) {
			e.Host, e.Servers = "a.com", []manifest.Server{{Port: 8000, Hosts: []string{"*"}}}
		}, []*clientnet.Gateway{gateway(t, "test", "grpc", server("istio: ingressgateway", 8000, "'*'"))}, false},
		{"the Gateway is not there yet, its route is", nil, nil, true},
		{"theirs, used as it is", func(e *manifest.Exposure) { e.UseGateway = "test/grpc" },
			[]*clientnet.Gateway{gateway(t, "test", "grpc", server("istio: ingressgateway", 8000, "./*"))}, true},
	} {
		r := Routes{Gateways: tc.gateway, VirtualServices: []*clientnet.VirtualService{neighbour}}
		e := exposure()
		if tc.set != nil {
			tc.set(&e)
		}
		if err := r.Clash(edge(), 8000, e); (err != nil) != tc.want {
			t.Errorf("%s: %v; want a conflict: %v", tc.name, err, tc.want)
		}
		if got := r.Shared(edge(), 8000, e); got != tc.want {
			t.Errorf("%s: shared %v", tc.name, got)
		}
	}
}

// TestClashElsewhere: a VirtualService serves every port of its Gateway, those
// of its neighbours too.
func TestClashElsewhere(t *testing.T) {
	rule := "{route: [{destination: {host: x}}]}"
	for _, tc := range []struct {
		name, host, rule string
		set              func(*manifest.Exposure)
		want             bool
	}{
		{"our wildcard takes a neighbour's host on its port", "b.v", rule, func(e *manifest.Exposure) { e.Host = "*.v" }, true},
		{"one service of it too", "b.v", rule, func(e *manifest.Exposure) { e.Host, e.MatchServices = "*.v", []string{"a.B"} }, true},
		{"any host", "b.v", rule, nil, true},
		{"another host", "b.v", rule, func(e *manifest.Exposure) { e.Host = "a.v" }, false},
		{"services side by side on one host", "b.v", "{match: [{uri: {prefix: /a.C/}}]}", func(e *manifest.Exposure) { e.Host, e.MatchServices = "b.v", []string{"a.B"} }, false},
	} {
		r := Routes{VirtualServices: []*clientnet.VirtualService{
			service(t, "test", "b", "spec: {gateways: [test/grpc], hosts: ["+tc.host+"], http: ["+tc.rule+"]}")}}
		e := exposure()
		if tc.set != nil {
			tc.set(&e)
		}
		e.Servers = []manifest.Server{{Port: 80, Hosts: []string{tc.host}}, {Port: 8000, Hosts: []string{e.Host}}}
		r.Gateways = []*clientnet.Gateway{gateway(t, "test", "grpc", server("istio: ingressgateway", 80, tc.host))}
		err := r.Clash(edge(), 8000, e)
		var conflict *plan.ConflictError
		if !tc.want {
			if err != nil {
				t.Errorf("%s: %v; want no conflict", tc.name, err)
			}
		} else if !errors.As(err, &conflict) || conflict.Code != "GM163" || !strings.Contains(conflict.Reason, `host "b.v" on port 80 of`) ||
			!strings.Contains(conflict.Hint, "--host") || strings.Contains(conflict.Hint, "--match-service") {
			t.Errorf("%s: %v; want a conflict on port 80 that names a way out", tc.name, err)
		}
	}
}

// TestShared: routes that share a host without a call in common are no clash,
// but verify can't tell them apart by the host.
func TestShared(t *testing.T) {
	r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, "'*'"))}}
	for _, tc := range []struct {
		name, hosts, rule, host string
		want                    bool
	}{
		{"another service of the host", "'*'", "{match: [{uri: {prefix: /a.C/}}]}", "*", true},
		{"a catch-all of the host", "a.com", "{route: []}", "a.com", true},
		{"another host", "b.com", "{route: []}", "a.com", false},
		{"any host, and ours is one", "'*'", "{route: []}", "a.com", false},
	} {
		r.VirtualServices = []*clientnet.VirtualService{service(t, "shop", "web", "spec: {gateways: [edge/grpc], hosts: ["+tc.hosts+"], http: ["+tc.rule+"]}")}
		e := exposure()
		e.Host, e.MatchServices = tc.host, []string{"a.B"}
		if err := r.Clash(edge(), 8000, e); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := r.Shared(edge(), 8000, e); got != tc.want {
			t.Errorf("%s: shared %v", tc.name, got)
		}
	}
	r.VirtualServices[0].Namespace, r.VirtualServices[0].Name = "test", "server"
	if r.Shared(edge(), 8000, exposure()) {
		t.Error("ours is shared with itself")
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
		e := exposure()
		if tc.service != "" {
			e.MatchServices = []string{tc.service}
		}
		if got := (Routes{}).contested(vs, e); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestOwnGateway(t *testing.T) {
	ours := "metadata: {labels: {app.kubernetes.io/managed-by: grpcmesh}}\n"
	two := `spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: GRPC}, hosts: [a.com, b.com]},
		{port: {number: 443, name: b, protocol: HTTPS}, hosts: ['*']}, {port: {number: 81, name: d, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}, {port: {number: 8000, name: c, protocol: HTTP2}, hosts: ['*']}]}`
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
		for i := range servers {
			if (servers[i].As != nil) != tc.foreign {
				t.Errorf("%s: %v is kept as it is: %v", tc.name, servers[i], !tc.foreign)
			}
			servers[i].As = nil
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
		if !errors.As(err, &conflict) || conflict.Code != "GM165" || !strings.Contains(conflict.Hint, "--gateway-selector app=gw-2,istio=other") {
			t.Errorf("a Gateway for another ingress: %v; want a conflict that names its selector", err)
		}
	}
}

func TestCovers(t *testing.T) {
	servers := []manifest.Server{{Port: 80, Hosts: []string{"*"}}, {Port: 8000, Hosts: []string{"A.com", "*.b.com"}},
		{Port: 81, Hosts: []string{"shop/*"}}, {Port: 82, Hosts: []string{"test/*"}}, {Port: 83, Hosts: []string{"./*"}}, {Port: 84, Hosts: []string{"*/*"}}}
	for _, tc := range []struct {
		port int
		host string
		want bool
	}{
		{80, "*", true}, {80, "a.com", true}, {8000, "a.com", true}, {8000, "b.com", false}, {8000, "*", false}, {443, "*", false},
		{8000, "a.b.com", true}, {8000, "*.b.com", true}, {8000, "*.com", false},
		// Only what is for the routes of the namespace is for ours.
		{81, "*", false}, {82, "*", true}, {83, "*", true}, {84, "a.com", true},
	} {
		if got := Covers(servers, "test", tc.port, manifest.TLS{}, tc.host); got != tc.want {
			t.Errorf("Covers(%d, %s) = %v", tc.port, tc.host, got)
		}
	}
	if Covers(nil, "test", 80, manifest.TLS{}, "*") {
		t.Error("no server covers a host")
	}
}

func TestClaims(t *testing.T) {
	for _, tc := range []struct{ server, hosts, want string }{
		{"'*'", "a.com '*'", "a.com *"},
		{"a.com, b.com", "'*'", "a.com b.com"},
		{"'*.a.com'", "b.a.com a.com '*.c.a.com'", "b.a.com *.c.a.com"},
		// A server's own host below a wildcard is the wildcard's too.
		{"'*.a.com', b.a.com", "'*.a.com'", "*.a.com b.a.com"},
		{"A.com", "a.COM", "a.com"},
		{"shop/a.com, other/b.com, ./c.com, '*/d.com'", "'*'", "a.com d.com"},
		{"a.com", "b.com", ""},
	} {
		l := Listener{Gateway: gateway(t, "edge", "grpc", server("", 80, tc.server))}
		l.Server = l.Gateway.Spec.Servers[0]
		hosts := strings.Fields(strings.ReplaceAll(tc.hosts, "'", ""))
		if got := strings.Join(claims(l, "shop", hosts), " "); got != tc.want {
			t.Errorf("a server of [%s], a route of [%s]: %q, want %q", tc.server, tc.hosts, got, tc.want)
		}
	}
}
