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
