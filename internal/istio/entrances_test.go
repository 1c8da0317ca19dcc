package istio

import (
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
)

// TestBehind: a route that no call reaches, as an older one for the host takes
// them all.
func TestBehind(t *testing.T) {
	vs := func(second int, name, host, rule string) *clientnet.VirtualService {
		return at(second, service(t, "test", name, "spec: {hosts: ['"+host+"'], gateways: [edge/grpc], http: ["+rule+"]}"))
	}
	greeter := "{uri: {prefix: /helloworld.Greeter/}}"
	for _, tc := range []struct {
		name   string
		mine   *clientnet.VirtualService
		other  *clientnet.VirtualService
		behind string // the host; empty: calls reach it
	}{
		{"the older one", vs(1, "a", "a.com", to("a", "")), vs(2, "b", "a.com", to("b", "")), ""},
		{"the younger one", vs(2, "a", "a.com", to("a", "")), vs(1, "b", "a.com", to("b", "")), "a.com"},
		{"the younger one, any host", vs(2, "a", "*", to("a", "")), vs(1, "b", "*", to("b", "")), "*"},
		{"the younger one, a wildcard", vs(2, "a", "*.w", to("a", "")), vs(1, "b", "*.w", to("b", "")), "*.w"},
		{"a service of its own", vs(2, "a", "a.com", to("a", greeter)), vs(1, "b", "a.com", to("b", "")), ""},
		{"the other has a service of its own", vs(2, "a", "a.com", to("a", "")), vs(1, "b", "a.com", to("b", greeter)), ""},
		{"another host", vs(2, "a", "a.com", to("a", "")), vs(1, "b", "b.com", to("b", "")), ""},
		{"a name below", vs(2, "a", "b.w", to("a", "")), vs(1, "b", "*.w", to("b", "")), ""},
	} {
		r := Routes{VirtualServices: []*clientnet.VirtualService{tc.mine, tc.other},
			Gateways: []*clientnet.Gateway{gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, "'*'"))}}
		host, other := r.Behind(tc.mine, []Ingress{edge()})
		if host != tc.behind || (other == tc.other) != (tc.behind != "") {
			t.Errorf("%s: host %q, behind %v; want %q", tc.name, host, other, tc.behind)
		}
	}
}
