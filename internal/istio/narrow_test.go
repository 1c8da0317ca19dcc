package istio

import (
	"fmt"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// TestWithout: exposed again under another host or port, an exposure lets go of
// what it alone had put on the Gateway.
func TestWithout(t *testing.T) {
	vs := func(name, host, port string) *clientnet.VirtualService {
		v := service(t, "test", name, "spec: {hosts: ['"+host+"'], gateways: [test/grpc], http: [{route: [{destination: {host: x}}]}]}")
		if port != "" {
			v.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment." + name}
			v.Annotations = map[string]string{manifest.PortAnnotation: port}
		}
		return v
	}
	forged := vs("server", "a.com", "80")
	forged.Labels[manifest.WorkloadLabel] = "statefulset.server"
	for _, tc := range []struct {
		name    string
		servers string // as "port:host,host port:host"
		own     *clientnet.VirtualService
		rest    []*clientnet.VirtualService
		want    string
	}{
		{"there is none yet", "80:a.com", nil, nil, "80:a.com"},
		{"it alone had that host", "80:a.com", vs("server", "a.com", "80"), nil, ""},
		{"beside another's", "80:a.com,b.com", vs("server", "a.com", "80"), []*clientnet.VirtualService{vs("other", "b.com", "80")}, "80:b.com"},
		{"beside one whose route is yet to be written", "80:a.com,b.com", vs("server", "a.com", "80"), nil, "80:b.com"},
		{"another has the same host", "80:a.com", vs("server", "a.com", "80"), []*clientnet.VirtualService{vs("other", "a.com", "80")}, "80:a.com"},
		{"another has it on another port", "80:a.com 8000:a.com", vs("server", "a.com", "80"), []*clientnet.VirtualService{vs("other", "a.com", "8000")}, "8000:a.com"},
		{"someone else's route has it", "80:a.com", vs("server", "a.com", "80"), []*clientnet.VirtualService{vs("other", "a.com", "")}, "80:a.com"},
		{"others are below its wildcard", "80:*", vs("server", "*", "80"), []*clientnet.VirtualService{vs("other", "b.com", "80"), vs("third", "*.c.com", "80"), vs("fourth", "d.c.com", "80")}, "80:*.c.com,b.com"},
		{"it is below another's wildcard", "80:*", vs("server", "a.com", "80"), []*clientnet.VirtualService{vs("other", "*", "80")}, "80:*"},
		{"it still needs it", "80:new.com", vs("server", "new.com", "8000"), nil, "80:new.com"},
		{"another's of its name", "80:a.com", forged, nil, "80:a.com"},
		{"not made by grpcmesh", "80:a.com", vs("server", "a.com", ""), nil, "80:a.com"},
	} {
		var servers []manifest.Server
		body := "spec: {selector: {istio: ingressgateway}, servers: ["
		for _, part := range strings.Fields(tc.servers) {
			var s manifest.Server
			port, hosts, _ := strings.Cut(part, ":")
			_, _ = fmt.Sscan(port, &s.Port)
			s.Hosts = strings.Split(hosts, ",")
			servers = append(servers, s)
			body += fmt.Sprintf("{port: {number: %d, name: grpc-%d, protocol: GRPC}, hosts: ['%s']},", s.Port, s.Port, strings.Join(s.Hosts, "','"))
		}
		r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "test", "grpc", body+"]}")}, VirtualServices: tc.rest}
		if tc.own != nil {
			r.VirtualServices = append(r.VirtualServices, tc.own)
		}
		var got []string
		for _, s := range r.Without(servers, manifest.Exposure{Namespace: "test", WorkloadKind: "Deployment", WorkloadName: "server", Host: "new.com", GatewayPort: 8000}) {
			got = append(got, fmt.Sprintf("%d:%s", s.Port, strings.Join(s.Hosts, ",")))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s; want %s", tc.name, got, tc.want)
		}
	}
}
