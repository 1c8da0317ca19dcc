package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// tlsListener is a Gateway's server on a port; mode < 0: without tls.
func tlsListener(name, protocol string, mode networking.ServerTLSSettings_TLSmode, hosts ...string) Listener {
	l := Listener{Gateway: &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}},
		Server: &networking.Server{Port: &networking.Port{Number: 443, Protocol: protocol}, Hosts: hosts}}
	if mode >= 0 {
		l.Server.Tls = &networking.ServerTLSSettings{Mode: mode}
	}
	return l
}

func TestMet(t *testing.T) {
	t.Parallel()
	const simple, mutual, passed = networking.ServerTLSSettings_SIMPLE, networking.ServerTLSSettings_MUTUAL, networking.ServerTLSSettings_PASSTHROUGH
	redirect := tlsListener("redirect", "HTTP", simple, "*")
	redirect.Server.Tls.HttpsRedirect = true
	all := []Listener{
		tlsListener("any", "HTTPS", simple, "*"),
		tlsListener("wild", "HTTPS", mutual, "team/*.Example.com"),
		tlsListener("one", "HTTPS", simple, "./a.example.com"),
		tlsListener("passed", "HTTPS", passed, "b.example.com"),
		tlsListener("grpc", "GRPC", simple, "a.example.com"), // Istio takes it for plaintext
		tlsListener("plain", "GRPC", -1, "*"),
		redirect,
	}
	for _, tc := range []struct {
		secured bool
		name    string
		want    []string
	}{
		{true, "a.example.com", []string{"one"}},
		{true, "A.EXAMPLE.COM", []string{"one"}},
		{true, "b.example.com", []string{"wild"}},
		{true, "elsewhere.org", []string{"any"}},
		{true, "203.0.113.1", []string{"any"}},
		{true, "::1", []string{"any"}},
		{false, "a.example.com", []string{"grpc", "plain", "redirect"}},
	} {
		var got []string
		for _, l := range Met(all, tc.secured, tc.name) {
			got = append(got, l.Gateway.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("TLS %v, %s: %q, want %q", tc.secured, tc.name, got, tc.want)
		}
	}
	if got := Met(all[1:3], true, "elsewhere.org"); len(got) != 0 {
		t.Errorf("a name that no server has meets %v", got)
	}
}

// secured is a Gateway's spec with one TLS server on port 443.
func secured(mode, secret, hosts string) string {
	return strings.Replace(strings.Replace(server("istio: ingressgateway", 443, hosts), "protocol: GRPC", "protocol: HTTPS", 1),
		"hosts:", "tls: {mode: "+mode+", credentialName: "+secret+"}, hosts:", 1)
}

// TestClashByTLS: what can't stand beside an exposure by TLS on port 443, in
// another's Gateway and in its own.
func TestClashByTLS(t *testing.T) {
	t.Parallel()
	in := edge()
	in.Ports = append(in.Ports, IngressPort{Port: 443, Target: 8443})
	plain := server("istio: ingressgateway", 443, "'*'")
	route := service(t, "edge", "web", "spec: {gateways: [grpc], hosts: [a.com], http: [{match: [{uri: {prefix: /b.C/}}], route: [{destination: {host: x}}]}]}")
	for _, tc := range []struct {
		name, gateway, ns string
		host              string
		plaintext         bool // of the exposure
		code              string
	}{
		{"TLS of another host", secured("SIMPLE", "b", "b.com"), "edge", "a.com", false, ""},
		{"TLS of the same host", secured("SIMPLE", "b", "a.com"), "edge", "a.com", false, finding.TwoCertificates},
		{"TLS of the same host for one namespace", secured("SIMPLE", "a", "edge/A.com"), "edge", "a.com", false, finding.TwoCertificates},
		{"TLS of any host beside one", secured("SIMPLE", "b", "'*'"), "edge", "a.com", false, ""},
		{"TLS passed through", secured("PASSTHROUGH", "''", "a.com"), "edge", "a.com", false, finding.TwoCertificates},
		{"TLS passed through for another", secured("PASSTHROUGH", "''", "b.com"), "edge", "a.com", false, ""},
		{"plaintext", plain, "edge", "a.com", false, finding.PortHeld},
		{"TCP", strings.Replace(plain, "GRPC", "TCP", 1), "edge", "a.com", false, finding.PortHeld},
		{"TLS before plaintext", secured("SIMPLE", "b", "b.com"), "edge", "a.com", true, finding.PortHeld},
		{"our own, from a run before", secured("SIMPLE", "a", "a.com"), "test", "a.com", false, ""},
		{"our own, with another certificate", secured("SIMPLE", "b", "a.com"), "test", "a.com", false, finding.TwoCertificates},
		{"our own, mutual", secured("MUTUAL", "a", "a.com"), "test", "a.com", false, finding.TwoCertificates},
		{"our own, in plaintext", plain, "test", "a.com", false, finding.PortHeld},
	} {
		r := Routes{Gateways: []*clientnet.Gateway{gateway(t, tc.ns, "grpc", tc.gateway)}, VirtualServices: []*clientnet.VirtualService{route}}
		e := exposure()
		e.Host, e.MatchServices, e.GatewayPort = tc.host, []string{"a.B"}, 443
		if !tc.plaintext {
			e.TLS = manifest.TLS{Secret: "a"}
		}
		var err error
		if e.Servers, _, err = r.OwnGateway("test", in); err != nil {
			t.Fatal(err)
		}
		e.Servers = manifest.MergeServers(e.Servers, 443, e.TLS, e.Host)
		err = r.Clash(in, 443, e)
		var conflict *plan.ConflictError
		if got := errors.As(err, &conflict); got != (tc.code != "") || got && conflict.Code != tc.code {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.code)
		}
	}
}

// TestReleaseKeepsTLS: what others need of a Gateway is left as it is secured,
// and an exposure that is secured otherwise lets go of what it had.
func TestReleaseKeepsTLS(t *testing.T) {
	t.Parallel()
	gw := gateway(t, "test", "grpc", secured("SIMPLE", "a", "a.com, b.com"))
	own := service(t, "test", "server", "spec: {gateways: [test/grpc], hosts: [a.com], http: [{route: [{destination: {host: x}}]}]}")
	own.Annotations = map[string]string{manifest.PortAnnotation: "443"}
	own.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.server"}
	other := own.DeepCopy()
	other.Name, other.Spec.Hosts = "other", []string{"b.com"}
	r := Routes{Gateways: []*clientnet.Gateway{gw}, VirtualServices: []*clientnet.VirtualService{own, other}}
	a := manifest.TLS{Secret: "a"}
	left, _ := r.Release(gw, "server")
	if len(left) != 1 || left[0].TLS != a || !slices.Equal(left[0].Hosts, []string{"b.com"}) {
		t.Errorf("released: %+v", left)
	}
	e := exposure()
	e.Host, e.GatewayPort, e.TLS = "a.com", 443, a
	have := []manifest.Server{{Port: 443, TLS: a, Hosts: []string{"a.com", "b.com"}}}
	if got := r.Without(have, e); !slices.Equal(got[0].Hosts, []string{"a.com", "b.com"}) {
		t.Errorf("as it was: %+v", got)
	}
	e.TLS.Mutual = true
	if got := r.Without(have, e); len(got) != 1 || got[0].TLS != a || !slices.Equal(got[0].Hosts, []string{"b.com"}) {
		t.Errorf("mutual from now on: %+v", got)
	}
}

func TestChoosePortForTLS(t *testing.T) {
	t.Parallel()
	open := func(ports ...int) Ingress {
		in := Ingress{Namespace: "istio-system", Service: "gw"}
		for _, p := range ports {
			in.Ports = append(in.Ports, IngressPort{Port: p, Target: p + 8000})
		}
		return Securing([]Ingress{in})[0]
	}
	for _, tc := range []struct {
		in          Ingress
		asked, want int // 0: refused
	}{
		{open(80, 443, 8000), 0, 443},
		{open(80, 8000), 0, 8000},
		{open(80), 0, 0},
		{open(80, 443), 80, 80},
		{open(80, 443), 8443, 0},
		{open(15021, 443), 15021, 0},
	} {
		if got, err := ChoosePort(tc.in, tc.asked, 8000); got.Port != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("of %v, asked for %d: %d, %v; want %d", tc.in.ServingPorts(), tc.asked, got.Port, err, tc.want)
		}
	}
}
