package istio

import (
	"slices"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// TestFitting: which Gateways of someone else's listen as an exposure of namespace
// test wants, and why the others do not.
func TestFitting(t *testing.T) {
	t.Parallel()
	in := edge()
	in.Ports = append(in.Ports, IngressPort{Port: 443, Target: 8443})
	own := gateway(t, "edge", "web", server("istio: ingressgateway", 8000, "'*'"))
	own.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager}
	const selector = "istio: ingressgateway"
	plain := func(hosts string) *clientnet.Gateway { return gateway(t, "edge", "web", server(selector, 8000, hosts)) }
	tls := func(mode, secret, hosts string) *clientnet.Gateway {
		gw := gateway(t, "edge", "web", secured(mode, secret, hosts))
		gw.Spec.Servers[0].Port.Number = 8000
		return gw
	}
	with := func(gw *clientnet.Gateway, set func(*clientnet.Gateway)) *clientnet.Gateway { set(gw); return gw }
	for _, tc := range []struct {
		name   string
		gw     *clientnet.Gateway
		secret string // of the exposure
		why    string // it does not; "": it fits
	}{
		{"any host", plain("'*'"), "", ""},
		{"any host of any namespace", plain("'*/*'"), "", ""},
		{"the host in another case", plain("A.com"), "", ""},
		{"hosts below", plain("'test/*.com'"), "", ""},
		{"another host", plain("b.com"), "", `does not listen in plaintext on port 8000 for host "a.com" of namespace test; it has 8000/GRPC for b.com`},
		{"a narrower host", plain("b.a.com"), "", "does not listen"},
		{"its own namespace alone", plain("./a.com"), "", "it has 8000/GRPC for ./a.com"},
		{"another namespace", plain("shop/*"), "", "does not listen"},
		{"another port", gateway(t, "edge", "web", server(selector, 80, "'*'")), "", "it has 80/GRPC for *"},
		{"the pods' port", with(plain("'*'"), func(gw *clientnet.Gateway) { gw.Spec.Servers[0].Port.Number = 8000 }), "", ""},
		{"another ingress", gateway(t, "edge", "web", server("istio: other", 8000, "'*'")), "", "it selects other pods (istio=other)"},
		{"HTTP", with(plain("'*'"), func(gw *clientnet.Gateway) { gw.Spec.Servers[0].Port.Protocol = "HTTP2" }), "", ""},
		{"TCP", with(plain("'*'"), func(gw *clientnet.Gateway) { gw.Spec.Servers[0].Port.Protocol = "TCP" }), "", "8000/TCP for * (nothing to expose by)"},
		{"an address of its own", with(plain("'*'"), func(gw *clientnet.Gateway) { gw.Spec.Servers[0].Bind = "10.0.0.1" }), "", "does not listen"},
		{"TLS for plaintext", tls("SIMPLE", "a", "'*'"), "", "with Secret a (simple TLS)"},
		{"TLS", tls("SIMPLE", "a", "'*'"), "a", ""},
		{"TLS with another Secret", tls("SIMPLE", "b", "'*'"), "a", "by simple TLS with Secret a"},
		{"mutual TLS", tls("MUTUAL", "a", "'*'"), "a", "(mutual TLS)"},
		{"plaintext for TLS", plain("'*'"), "a", "does not listen by simple TLS"},
	} {
		e := manifest.Exposure{Namespace: "test", WorkloadName: "server", Host: "a.com", TLS: manifest.TLS{Secret: tc.secret}}
		r := Routes{Gateways: []*clientnet.Gateway{tc.gw, own}}
		why := Serves(tc.gw, in, 8000, e)
		if (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) {
			t.Errorf("%s: %q, want %q", tc.name, why, tc.why)
		}
		fitting := r.Fitting(in, 8000, e)
		if got := len(fitting) == 1 && fitting[0] == tc.gw; got != (tc.why == "") || len(fitting) > 1 {
			t.Errorf("%s: fitting %v", tc.name, fitting)
		}
	}
	mine := gateway(t, "test", manifest.GatewayName, server(selector, 8000, "'*'"))
	r := Routes{Gateways: []*clientnet.Gateway{mine, plain("'*'"), gateway(t, "aaa", "web", server(selector, 8000, "'*'"))}}
	if got := r.Fitting(in, 8000, manifest.Exposure{Namespace: "test", Host: "a.com"}); len(got) != 2 || got[0].Namespace != "aaa" {
		t.Errorf("fitting: %v; want both, sorted, and not the one that is made", got)
	}
}

// TestOffers: the ports of the ingress that a Gateway serves on, by the Service's
// numbers.
func TestOffers(t *testing.T) {
	t.Parallel()
	gw := gateway(t, "edge", "web", `spec: {selector: {istio: ingressgateway}, servers: [
		{port: {number: 8080, name: a, protocol: HTTP}, hosts: ['*']}, {port: {number: 8000, name: b, protocol: GRPC}, hosts: ['*.com']},
		{port: {number: 8000, name: c, protocol: GRPC}, hosts: [a.com]}, {port: {number: 9, name: d, protocol: GRPC}, hosts: ['*']}]}`)
	if got := Offers(gw, edge(), manifest.Exposure{Namespace: "test", Host: "a.com"}); !slices.Equal(got, []int{80, 8000}) {
		t.Errorf("%v", got)
	}
	if got := Offers(gw, edge(), manifest.Exposure{Namespace: "test", Host: "a.org"}); !slices.Equal(got, []int{80}) {
		t.Errorf("%v", got)
	}
	e := manifest.Exposure{Namespace: "test", Host: "a.com", GatewayPort: 80, UseGateway: "edge/web", Servers: ServersOf(gw, "test")}
	if got := AlsoOn(edge(), e); got != "9, 8000" {
		t.Errorf("also on %q", got)
	}
}
