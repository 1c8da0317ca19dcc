package cmd

import (
	"slices"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

// listening is a Gateway for a host on port 8000.
func listening(t *testing.T, namespace, name, host string, ours bool) *clientnet.Gateway {
	t.Helper()
	gw := &clientnet.Gateway{}
	body := "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8000, name: web, protocol: HTTP}, hosts: ['" + host + "']}]}"
	if err := yaml.Unmarshal([]byte(body), gw); err != nil {
		t.Fatal(err)
	}
	if gw.Namespace, gw.Name = namespace, name; ours {
		gw.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager}
	}
	return gw
}

// TestBind: which Gateway the route is bound to, and whether it is made.
func TestBind(t *testing.T) {
	t.Parallel()
	own, web, shop := listening(t, "test", "grpc", "b.com", true), listening(t, "edge", "web", "*", false), listening(t, "shop", "web", "a.com", false)
	theirs, narrow := listening(t, "test", "grpc", "*", false), listening(t, "edge", "narrow", "b.com", false)
	bound := func(to string) *clientnet.VirtualService {
		vs := virtualService(t, "test", "server", "gateways: ['"+to+"'], hosts: [a.com], http: [{route: [{destination: {host: server}}]}]")
		vs.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.server"}
		return vs
	}
	for _, tc := range []struct {
		name     string
		gateways []*clientnet.Gateway
		bound    string // what a run before has bound the route to
		asked    string
		uses     string
		code     string
	}{
		{"none", nil, "", "", "", ""},
		{"one of another name that serves", []*clientnet.Gateway{web}, "", "", "edge/web", ""},
		{"one that does not", []*clientnet.Gateway{narrow}, "", "", "", ""},
		{"one beside our own", []*clientnet.Gateway{own, web}, "", "", "", ""},
		{"one that a run before has taken, beside our own", []*clientnet.Gateway{own, web}, "edge/web", "", "edge/web", ""},
		{"one that a run before has taken, of two", []*clientnet.Gateway{shop, web}, "shop/web", "", "shop/web", ""},
		{"one that a run before has taken, and serves no more", []*clientnet.Gateway{narrow}, "edge/narrow", "", "", ""},
		{"one that came after our own", []*clientnet.Gateway{own, web}, "test/grpc", "", "", ""},
		{"several", []*clientnet.Gateway{shop, web}, "", "", "", ""},
		{"one of several, asked for", []*clientnet.Gateway{shop, web}, "", "edge/web", "edge/web", ""},
		{"another than before", []*clientnet.Gateway{own, web}, "test/grpc", "edge/web", "edge/web", ""},
		{"our own, asked for", []*clientnet.Gateway{web}, "edge/web", "grpc", "", ""},
		{"one that is not there", []*clientnet.Gateway{web}, "", "web", "test/web", finding.Unbound},
		{"one that does not serve", []*clientnet.Gateway{web, narrow}, "", "edge/narrow", "edge/narrow", finding.HostUnheard},
		{"theirs of our name", []*clientnet.Gateway{theirs}, "", "", "test/grpc", ""},
		{"theirs of our name, beside another", []*clientnet.Gateway{theirs, web}, "", "", "test/grpc", ""},
	} {
		x := exposing()
		x.ingress = newWorld().ingress
		x.open, _ = x.ingress.Port(8000)
		x.intent.Namespace, x.intent.Gateway = "test", tc.asked
		x.exposure = manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: "a.com", GatewayPort: 8000, GatewaySelector: x.ingress.Selector}
		r := istio.Routes{Gateways: tc.gateways}
		if tc.bound != "" {
			r.VirtualServices = append(r.VirtualServices, bound(tc.bound))
		}
		_, err := x.bind(r)
		if found, rest := findingsIn(err); (tc.code == "") != (err == nil) || len(rest) > 0 || err != nil && found[0].Code != tc.code {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.code)
		}
		var kinds []string
		for _, obj := range x.exposure.Objects() {
			kinds = append(kinds, obj.Kind)
		}
		if e := x.exposure; e.UseGateway != tc.uses || slices.Contains(kinds, "Gateway") != (tc.uses == "") || len(e.Servers) == 0 && err == nil {
			t.Errorf("%s: uses %q, want %q; makes %v; servers %v", tc.name, e.UseGateway, tc.uses, kinds, e.Servers)
		}
	}
}

// TestOffered: the port comes from the Gateway that is asked for.
func TestOffered(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		port, want int
		host, why  string
	}{
		{0, 8000, "a.com", ""},
		{80, 80, "a.com", ""}, // whether it serves there is found out with the route
		{0, 0, "b.org", `does not listen in plaintext on port 80 for host "b.org"`},
	} {
		x := exposing()
		x.ingress = newWorld().ingress
		x.intent.Host, x.intent.GatewayPort = tc.host, tc.port
		x.exposure.Port = 9000 // so that by itself it would take 80
		err := x.offered(listening(t, "edge", "web", "*.com", false))
		if (err == nil) != (tc.why == "") || err != nil && !strings.Contains(err.Error(), tc.why) || x.intent.GatewayPort != tc.want {
			t.Errorf("%+v: port %d, %v", tc, x.intent.GatewayPort, err)
		}
	}
}

// TestFindTwoGateways: what listens beside the Gateway that is made is told, with
// the flag that takes it instead.
func TestFindTwoGateways(t *testing.T) {
	t.Parallel()
	web, shop := listening(t, "edge", "web", "*", false), listening(t, "shop", "web", "a.com", false)
	for _, tc := range []struct {
		name     string
		uses     string
		gateways []*clientnet.Gateway
		found    string
		said     string
	}{
		{"none", "", nil, "", ""},
		{"two, one of them for the very host", "", []*clientnet.Gateway{web, shop}, `GM173 Gateway shop/web listens for host "a.com" on port 8000 of the same pods too`, ""},
		{"two for more", "", []*clientnet.Gateway{web, listening(t, "shop", "web", "*.com", false)}, "", "to use what is there: --gateway edge/web, or --gateway shop/web."},
		{"one in use", "shop/web", []*clientnet.Gateway{web, shop}, "", ""},
	} {
		x := exposing()
		x.ingress = newWorld().ingress
		x.open, _ = x.ingress.Port(8000)
		x.routes = istio.Routes{Gateways: tc.gateways}
		x.exposure = manifest.Exposure{Namespace: "test", WorkloadName: "server", Host: "a.com", GatewayPort: 8000, UseGateway: tc.uses, Servers: manifest.MergeServers(nil, 8000, manifest.TLS{}, "a.com")}
		if err := x.findTwoGateways(t.Context()); err != nil {
			t.Error(err)
		}
		got := ""
		for _, f := range x.findings {
			got += f.Code + " " + f.Reason
			if !strings.Contains(f.Next, "--gateway shop/web") {
				t.Errorf("%s: next %q", tc.name, f.Next)
			}
		}
		said := x.o.Err.(*strings.Builder).String()
		if !strings.HasPrefix(got, tc.found) || (got == "") != (tc.found == "") || !strings.Contains(said, tc.said) || (said == "") != (tc.said == "") {
			t.Errorf("%s: found %q, said %q", tc.name, got, said)
		}
	}
}
