package istio

import (
	"fmt"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	"pgregory.net/rapid"

	"grpcmesh/internal/manifest"
)

// TestAround: what is left of the routes around a host judges an exposure of it
// as all of them do, and the rest is not looked at.
func TestAround(t *testing.T) {
	hosts := []string{"*", "*.com", "*.a.com", "a.com", "b.a.com", "B.a.com", "b.com", "*.b.com"}
	left, all := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		host := func(name string) string { return rapid.SampledFrom(hosts).Draw(rt, name) }
		port := func(name string) int { return rapid.SampledFrom([]int{80, 8000}).Draw(rt, name) }
		var r Routes
		for i := range rapid.IntRange(0, 3).Draw(rt, "gateways") {
			r.Gateways = append(r.Gateways, gateway(t, rapid.SampledFrom([]string{"test", "edge"}).Draw(rt, "in"), []string{"grpc", "web", "more"}[i],
				server("istio: ingressgateway", port("port"), "'"+host("server")+"', '"+host("server too")+"'")))
		}
		for i := range rapid.IntRange(0, 4).Draw(rt, "routes") {
			match := rapid.SampledFrom([]string{"", "match: [{uri: {prefix: /a.B/}}], ", "match: [{uri: {prefix: /}}], "}).Draw(rt, "match")
			r.VirtualServices = append(r.VirtualServices, service(t, rapid.SampledFrom([]string{"test", "shop"}).Draw(rt, "of"), fmt.Sprintf("web-%d", i),
				fmt.Sprintf("spec: {gateways: [%s], hosts: ['%s', '%s'], http: [{%sroute: [{destination: {host: x}}]}]}",
					rapid.SampledFrom([]string{"edge/grpc", "test/grpc", "edge/web", "'edge/grpc', 'test/grpc'"}).Draw(rt, "gateway"), host("route"), host("route too"), match)))
		}
		e := manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: host("exposed"),
			MatchServices: rapid.SampledFrom([][]string{nil, {"a.B"}}).Draw(rt, "services"), GatewaySelector: map[string]string{"istio": "ingressgateway"}, GatewayPort: 8000}
		e.Servers = manifest.MergeServers(nil, port("exposed on"), manifest.TLS{}, e.Host)
		call := Call{Path: "/a.B/C", Authority: strings.Replace(e.Host, "*", "x", 1)}
		near := r.Around(e.Host)
		judge := func(r Routes) string {
			return fmt.Sprint(r.Clash(edge(), 8000, e), r.Overtaken(edge(), 8000, e, call), r.Shared(edge(), 8000, e))
		}
		if got, want := judge(near), judge(r); got != want {
			rt.Fatalf("around %s: %s, of all: %s", e.Host, got, want)
		}
		left, all = left+len(near.VirtualServices), all+len(r.VirtualServices)
	})
	if left == all {
		t.Error("nothing was ever left out")
	}
}

// TestAroundDelegates: a delegate has no host, and is behind those that have.
func TestAroundDelegates(t *testing.T) {
	r := Routes{VirtualServices: []*clientnet.VirtualService{
		service(t, "shop", "delegate", "spec: {http: [{route: [{destination: {host: x}}]}]}"),
		service(t, "shop", "other", "spec: {hosts: [b.com]}"),
	}}
	if near := r.Around("a.com"); len(near.VirtualServices) != 1 || near.VirtualServices[0].Name != "delegate" {
		t.Errorf("%v", near.VirtualServices)
	}
}
