package istio

import (
	"slices"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
