package istio

import (
	"strings"
	"testing"
	"time"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// TestRouted: which routes of someone else's already do what an exposure's would.
func TestRouted(t *testing.T) {
	t.Parallel()
	const to = "route: [{destination: {host: greeter, port: {number: 8000}}}]"
	const elsewhere = "route: [{destination: {host: other}}]"
	one := func(rules string) []string {
		return []string{"spec: {gateways: [edge/web], hosts: [a.com], http: [" + rules + "]}"}
	}
	match := func(what, then string) string { return "{match: [" + what + "], " + then + "}" }
	host := func(h string) []string {
		return []string{strings.Replace(one("{" + to + "}")[0], "hosts: [a.com]", "hosts: ['"+h+"']", 1)}
	}
	for _, tc := range []struct {
		name   string
		routes []string // of namespace test; the first is the oldest
		set    func(*manifest.Exposure)
		want   string // the routes that lead there, or ""
	}{
		{"none", nil, nil, ""},
		{"every call", one("{" + to + "}"), nil, "r0"},
		{"every call by the only port", one("{" + strings.Replace(to, ", port: {number: 8000}", "", 1) + "}"), nil, "r0"},
		{"every call, by one of several ports", one("{" + strings.Replace(to, ", port: {number: 8000}", "", 1) + "}"), func(e *manifest.Exposure) { e.ReusePort = 8000 }, ""},
		{"every call by the whole name", one("{" + strings.Replace(to, "greeter", "greeter.test.svc.cluster.local", 1) + "}"), nil, "r0"},
		{"every call by a short name", one("{" + strings.Replace(to, "greeter", "greeter.test", 1) + "}"), nil, "r0"},
		{"of another namespace", one("{" + strings.Replace(to, "greeter", "greeter.shop", 1) + "}"), nil, ""},
		{"to another port", one("{" + strings.Replace(to, "8000", "8001", 1) + "}"), nil, ""},
		{"to another Service", one("{" + elsewhere + "}"), nil, ""},
		{"to a subset", one("{" + strings.Replace(to, "host: greeter", "host: greeter, subset: v1", 1) + "}"), nil, ""},
		{"to two", one("{route: [{destination: {host: greeter}, weight: 90}, {destination: {host: other}, weight: 10}]}"), nil, ""},
		{"by another path", one("{rewrite: {uri: /x}, " + to + "}"), nil, ""},
		{"answered by itself", one("{directResponse: {status: 200}}"), nil, ""},
		{"another host", host("b.com"), nil, ""},
		{"a wider host", host("*"), nil, ""},
		{"the host in another case", host("A.com"), nil, "r0"},
		{"some of them elsewhere", one(match("{uri: {prefix: /x.Y/}}", elsewhere) + ", {" + to + "}"), nil, ""},
		{"what is left of an older one", []string{one(match("{uri: {prefix: /x.Y/}}", elsewhere))[0], one("{" + to + "}")[0]}, nil, ""},
		{"some of them first, then all", one(match("{uri: {prefix: /x.Y/}}", to) + ", {" + to + "}"), nil, "r0"},
		{"only some", one(match("{uri: {prefix: /x.Y/}}", to)), nil, ""},
		{"only those of a header", one(match("{headers: {u: {exact: a}}}", to)), nil, ""},
		{"the service", one(match("{uri: {prefix: /a.B/}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, "r0"},
		{"the service's package", one(match("{uri: {prefix: /a.}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, "r0"},
		{"the service, and others elsewhere", one(match("{uri: {prefix: /c.D/}}", elsewhere) + "," + match("{uri: {prefix: /a.B/}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, "r0"},
		{"a method of it", one(match("{uri: {prefix: /a.B/C}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, ""},
		{"a method of it elsewhere", one(match("{uri: {exact: /a.B/C}}", elsewhere) + "," + match("{uri: {prefix: /a.B/}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, ""},
		{"the service for a header", one(match("{uri: {prefix: /a.B/}, headers: {u: {exact: a}}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, ""},
		{"a header's calls elsewhere, then the service", one(match("{headers: {u: {exact: a}}}", elsewhere) + "," + match("{uri: {prefix: /a.B/}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B"} }, ""},
		{"each service by its own route", []string{one(match("{uri: {prefix: /a.B/}}", to))[0], one(match("{uri: {prefix: /c.D/}}", to))[0]},
			func(e *manifest.Exposure) { e.MatchServices = []string{"a.B", "c.D"} }, "r0 r1"},
		{"one of two services", one(match("{uri: {prefix: /a.B/}}", to)), func(e *manifest.Exposure) { e.MatchServices = []string{"a.B", "c.D"} }, ""},
		{"more is asked for", one("{" + to + "}"), func(e *manifest.Exposure) { e.Route.Timeout = time.Second }, ""},
		{"TLS is asked for", one("{" + to + "}"), func(e *manifest.Exposure) { e.TLS = manifest.TLS{Secret: "a"} }, ""},
		{"for another gateway", []string{strings.Replace(one("{" + to + "}")[0], "edge/web", "mesh", 1)}, nil, ""},
	} {
		r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "edge", "web", server("istio: ingressgateway", 8000, "'*'"))}}
		for i, body := range tc.routes {
			vs := service(t, "test", "r"+string(rune('0'+i)), body)
			vs.CreationTimestamp.Time = time.Unix(int64(1000+i), 0)
			r.VirtualServices = append(r.VirtualServices, vs)
		}
		e := manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Reuse: "greeter", Port: 8000, Host: "a.com"}
		if tc.set != nil {
			tc.set(&e)
		}
		names := func() string {
			var got []string
			routes, gw := r.Routed(edge(), 8000, e, "a.com")
			for _, vs := range routes {
				if got = append(got, vs.Name); gw != r.Gateways[0] {
					t.Errorf("%s: by %v", tc.name, gw)
				}
			}
			return strings.Join(got, " ")
		}
		if got := names(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		own := service(t, "test", "server", one("{" + to + "}")[0])
		own.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.server"}
		r.VirtualServices = append(r.VirtualServices, own)
		if got := names(); got != "" {
			t.Errorf("%s: beside our own: %q", tc.name, got)
		}
	}
}

// TestRoutedAsTheProcedure: its documents serve as they are, by any name.
func TestRoutedAsTheProcedure(t *testing.T) {
	t.Parallel()
	r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "test", "grpc", server("app: istio-ingressgateway, istio: ingressgateway", 8000, "'*'"))},
		VirtualServices: []*clientnet.VirtualService{service(t, "test", "server", "spec: {gateways: [test/grpc], hosts: ['*'], http: [{route: [{destination: {host: server}}]}]}")}}
	e := manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Reuse: "server", Port: 8000, Host: "*"}
	if routes, gw := r.Routed(edge(), 8000, e, "203.0.113.10"); len(routes) != 1 || gw != r.Gateways[0] {
		t.Errorf("%v, %v", routes, gw)
	}
}
