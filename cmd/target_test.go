package cmd

import (
	"errors"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

// An address that no object knows, such as a forwarded port: the host's most
// specific rule on another port is not what its calls take.
func TestUnknownAddress(t *testing.T) {
	in := istio.Ingress{Namespace: "istio-system", Service: "gw", Selector: map[string]string{"istio": "ingressgateway"}}
	gateway := func(name string, port uint32) *clientnet.Gateway {
		gw := &clientnet.Gateway{}
		gw.Namespace, gw.Name = "edge", name
		gw.Spec.Selector = in.Selector
		gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: port, Name: "grpc", Protocol: "GRPC"}, Hosts: []string{"*"}}}
		return gw
	}
	to := func(gateways, host string) string {
		return "gateways: [" + gateways + "], hosts: ['" + host + "'], http: [{route: [{destination: {host: server}}]}]"
	}
	routes := istio.Routes{Gateways: []*clientnet.Gateway{gateway("gw80", 80), gateway("grpc", 8000)}, VirtualServices: []*clientnet.VirtualService{
		virtualService(t, "test", "y80", to("edge/gw80", "y.x")), virtualService(t, "test", "wild", to("edge/grpc", "*.x")),
		virtualService(t, "test", "both", to("edge/gw80, edge/grpc", "b.y")),
	}}
	for _, tc := range []struct {
		name  string
		o     verifyOptions
		want  string // the one chosen, or in the error
		cands int
	}{
		{"a gateway's number", verifyOptions{addr: "127.0.0.1:8000", port: 8000, authority: "y.x"}, "test/wild:8000", 0},
		{"another gateway's number", verifyOptions{addr: "127.0.0.1:80", port: 80, authority: "y.x"}, "test/y80:80", 0},
		{"nobody's number, and the ports differ", verifyOptions{addr: "127.0.0.1:9999", port: 9999, authority: "y.x"}, "no object of the cluster has the address 127.0.0.1:9999", 2},
		{"nobody's number, narrowed", verifyOptions{addr: "127.0.0.1:9999", port: 9999, authority: "y.x", virtualService: "wild"}, "test/wild:8000", 0},
		{"nobody's number, one VirtualService on both", verifyOptions{addr: "127.0.0.1:9999", port: 9999, authority: "b.y"}, "test/both:80", 0},
	} {
		listeners, via := tc.o.listeners(routes, []istio.Ingress{in}, istio.Owner{})
		if len(via) != 1 {
			t.Errorf("%s: via %v", tc.name, via)
		}
		c, err := tc.o.choose(routes, routes.ServingEach(listeners, tc.o.authorityHost()), listeners, via, istio.Owner{})
		if err == nil {
			found := &target{vs: c.VirtualService, gw: c.Listener}
			if got := found.vs.Namespace + "/" + found.vs.Name; !strings.HasPrefix(tc.want, got+":") || !strings.HasSuffix(found.describe(), "port "+tc.want[len(got)+1:]) {
				t.Errorf("%s: %s by %s, want %s", tc.name, got, found.describe(), tc.want)
			}
			continue
		}
		var target *manifest.TargetError
		if !errors.As(err, &target) || !strings.Contains(target.What, tc.want) || len(target.Candidates) != tc.cands || !strings.Contains(target.Candidates[0], "(port ") {
			t.Errorf("%s: %v; want %q and %d candidates", tc.name, err, tc.want, tc.cands)
		}
	}
}
