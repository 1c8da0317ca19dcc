package istio

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// theirs is a Gateway of grpcmesh's name with a server of each kind that may stay.
const theirs = `spec: {selector: {istio: ingressgateway}, servers: [
	{port: {number: 443, name: web-tls, protocol: HTTPS}, hosts: [w.com], tls: {mode: SIMPLE, credentialName: w, cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256]}},
	{port: {number: 80, name: web, protocol: HTTP}, hosts: ["./w.com", a.com]}]}`

// adopted is theirs as grpcmesh has taken it over, with the servers.
func adopted(t *testing.T, servers []manifest.Server) *clientnet.Gateway {
	t.Helper()
	gw := gateway(t, "test", manifest.GatewayName, theirs)
	after := Routes{Gateways: []*clientnet.Gateway{gw}}.With([]manifest.Object{manifest.GatewayObject("test", gw.Spec.Selector, servers)})
	return after.Gateways[0]
}

// lines are servers as JSON.
func lines(t *testing.T, servers []manifest.Server) string {
	t.Helper()
	var all []*networking.Server
	for _, s := range servers {
		all = append(all, s.Spec())
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAdoptedGateway: what someone else's Gateway listens on stays as it is written,
// in the run that adopts it, in those after, and once a route is gone.
func TestAdoptedGateway(t *testing.T) {
	t.Parallel()
	was := gateway(t, "test", manifest.GatewayName, theirs)
	r := Routes{Gateways: []*clientnet.Gateway{was}}
	have, foreign, err := r.OwnGateway("test", edge())
	if err != nil || !foreign || Adoptable(was) != nil {
		t.Fatal(foreign, err, Adoptable(was))
	}
	first := manifest.MergeServers(manifest.MergeServers(have, 80, manifest.TLS{}, "b.com"), 8000, manifest.TLS{}, "b.com")
	want := `[{"port":{"number":80,"protocol":"HTTP","name":"web"},"hosts":["./w.com","a.com","b.com"]},` +
		`{"port":{"number":443,"protocol":"HTTPS","name":"web-tls"},"hosts":["w.com"],"tls":{"mode":"SIMPLE","credentialName":"w","cipherSuites":["ECDHE-ECDSA-AES128-GCM-SHA256"]}},` +
		`{"port":{"number":8000,"protocol":"GRPC","name":"grpc-8000"},"hosts":["b.com"]}]`
	if diff := cmp.Diff(want, lines(t, first)); diff != "" {
		t.Errorf("adopting (-want +got):\n%s", diff)
	}
	gw := adopted(t, first)
	r.Gateways = []*clientnet.Gateway{gw}
	have, foreign, _ = r.OwnGateway("test", edge())
	if diff := cmp.Diff(want, lines(t, Keeping(gw, have))); diff != "" || foreign {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	vs := service(t, "test", "b", "spec: {gateways: [grpc], hosts: [b.com]}")
	vs.Labels, vs.Annotations = map[string]string{manifest.ManagedBy: manifest.FieldManager}, map[string]string{manifest.PortAnnotation: "8000"}
	r.VirtualServices = []*clientnet.VirtualService{vs, service(t, "test", "web", "spec: {gateways: [grpc], hosts: [a.com]}")}
	left, _ := r.Release(gw)
	if got := lines(t, left); strings.Contains(got, `"a.com","b.com"`) || !strings.Contains(got, `["./w.com","a.com"]`) || !strings.Contains(got, "cipherSuites") || !strings.Contains(got, "grpc-8000") {
		t.Errorf("released: %s", got)
	}
	if !r.OwnUsers(gw, nil) || r.OwnUsers(gw, []string{"b"}) {
		t.Error("whose routes need it is not told")
	}
	for name, body := range map[string]string{
		"TCP":          strings.Replace(theirs, "protocol: HTTP}", "protocol: TCP}", 1),
		"a redirect":   strings.Replace(theirs, `a.com]`, `a.com], tls: {httpsRedirect: true}`, 1),
		"pass-through": strings.Replace(theirs, "mode: SIMPLE", "mode: PASSTHROUGH", 1),
		"an address":   strings.Replace(theirs, `a.com]`, `a.com], bind: 10.0.0.1`, 1),
	} {
		if err := Adoptable(gateway(t, "test", manifest.GatewayName, body)); err == nil || !strings.Contains(err.Error(), "--adopt takes over no Gateway with a server like its") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
