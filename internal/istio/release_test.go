package istio

import (
	"fmt"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// TestRelease: a Gateway lets go of what only the one that goes had needed.
func TestRelease(t *testing.T) {
	gw := gateway(t, "test", "grpc", `spec: {selector: {istio: ingressgateway}, servers: [
		{port: {number: 80, name: a, protocol: GRPC}, hosts: [a.com, b.com]}, {port: {number: 8000, name: b, protocol: GRPC}, hosts: ['*']}]}`)
	vs := func(namespace, name, host, port string) *clientnet.VirtualService {
		v := service(t, namespace, name, "spec: {hosts: ['"+host+"'], gateways: [test/grpc], http: [{route: [{destination: {host: x}}]}]}")
		if port != "" {
			v.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager}
			v.Annotations = map[string]string{manifest.PortAnnotation: port}
		}
		return v
	}
	gone := vs("test", "gone", "*", "8000")
	for _, tc := range []struct {
		name  string
		rest  []*clientnet.VirtualService
		want  string
		users int
	}{
		{"nobody is left", nil, "", 0},
		{"another on another port", []*clientnet.VirtualService{vs("test", "a", "a.com", "80")}, "80:a.com", 1},
		{"another on the same port", []*clientnet.VirtualService{vs("test", "c", "c.com", "8000")}, "8000:c.com", 1},
		{"someone else's, on whatever admits it", []*clientnet.VirtualService{vs("test", "a", "a.com", "")}, "80:a.com 8000:a.com", 1},
		{"of another namespace", []*clientnet.VirtualService{vs("team", "c", "c.com", "")}, "8000:c.com", 1},
		{"a wildcard and a name below it", []*clientnet.VirtualService{vs("test", "a", "*.w", "8000"), vs("test", "b", "b.w", "8000"), vs("test", "c", "c.v", "8000")}, "8000:*.w,c.v", 3},
		{"wildcards one below the other", []*clientnet.VirtualService{vs("test", "a", "*.x.w", "8000"), vs("test", "b", "*.w", "8000"), vs("test", "c", "a.x.w", "8000")}, "8000:*.w", 3},
		{"a name that ends alike", []*clientnet.VirtualService{vs("test", "a", "*.w", "8000"), vs("test", "b", "bw", "8000")}, "8000:*.w,bw", 2},
		{"any host", []*clientnet.VirtualService{vs("test", "b", "*", "80"), vs("test", "c", "*", "8000")}, "80:a.com,b.com 8000:*", 2},
		{"bound, but admitted nowhere", []*clientnet.VirtualService{vs("test", "c", "c.com", "80")}, "", 1},
		{"of its name in another namespace", []*clientnet.VirtualService{vs("team", "gone", "a.com", "80")}, "80:a.com", 1},
	} {
		r := Routes{Gateways: []*clientnet.Gateway{gw}, VirtualServices: append([]*clientnet.VirtualService{gone}, tc.rest...)}
		servers, users := r.Release(gw, "gone")
		var got []string
		for _, s := range servers {
			got = append(got, fmt.Sprintf("%d:%s", s.Port, strings.Join(s.Hosts, ",")))
		}
		if s := strings.Join(got, " "); s != tc.want || len(users) != tc.users {
			t.Errorf("%s: %s, used by %v; want %s, %d", tc.name, s, users, tc.want, tc.users)
		}
	}
}

// TestWith: what is to be applied stands in for what is there of its name.
func TestWith(t *testing.T) {
	e := manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: "a.com", Port: 8000, TargetPort: 50051,
		GatewaySelector: map[string]string{"istio": "ingressgateway"}, GatewayPort: 8000, Servers: []manifest.Server{{Port: 8000, Hosts: []string{"a.com"}}}}
	before := Routes{Gateways: []*clientnet.Gateway{gateway(t, "test", "grpc", server("istio: old", 80, "'*'")), gateway(t, "shop", "grpc", server("istio: other", 80, "'*'"))},
		VirtualServices: []*clientnet.VirtualService{service(t, "test", "cart", rules(to("cart", "")))}}
	after := before.With(e.Objects())
	if len(before.Gateways) != 2 || len(before.VirtualServices) != 1 {
		t.Fatal("what is there was altered")
	}
	if len(after.Gateways) != 2 || len(after.VirtualServices) != 2 {
		t.Fatalf("%d Gateways, %d VirtualServices", len(after.Gateways), len(after.VirtualServices))
	}
	listeners := after.Listeners(edge(), 8000)
	serving := after.Serving(listeners, "a.com")
	if len(serving) != 1 || serving[0].VirtualService.Name != "server" || !manifest.Owned(serving[0].VirtualService.Labels) {
		t.Errorf("a.com is served by %v", serving)
	}
}
