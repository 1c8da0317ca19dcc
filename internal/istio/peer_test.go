package istio

import (
	"testing"
	"time"

	security "istio.io/api/security/v1beta1"
	clientsec "istio.io/client-go/pkg/apis/security/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// peer is a PeerAuthentication, a day old, or older by its name.
func peer(t *testing.T, namespace, name, spec string) *clientsec.PeerAuthentication {
	t.Helper()
	pa := &clientsec.PeerAuthentication{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))}}
	if name == "old" {
		pa.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	if err := yaml.Unmarshal([]byte("{"+spec+"}"), &pa.Spec); err != nil {
		t.Fatal(err)
	}
	return pa
}

// What pods take is what istiod would have them take.
func TestPeerMode(t *testing.T) {
	const strict, disable, own = "mtls: {mode: STRICT}", "mtls: {mode: DISABLE}", "selector: {matchLabels: {app: server}}, "
	type all []*clientsec.PeerAuthentication
	for name, tc := range map[string]struct {
		all  all
		want security.PeerAuthentication_MutualTLS_Mode
		by   string
	}{
		"nothing is said":               {nil, security.PeerAuthentication_MutualTLS_PERMISSIVE, ""},
		"by the mesh":                   {all{peer(t, "mesh", "a", strict)}, security.PeerAuthentication_MutualTLS_STRICT, "mesh/a"},
		"the namespace's goes first":    {all{peer(t, "mesh", "a", strict), peer(t, "shop", "b", disable)}, security.PeerAuthentication_MutualTLS_DISABLE, "shop/b"},
		"the pods' own before that":     {all{peer(t, "shop", "b", disable), peer(t, "shop", "c", own+strict)}, security.PeerAuthentication_MutualTLS_STRICT, "shop/c"},
		"other pods' is not theirs":     {all{peer(t, "shop", "c", "selector: {matchLabels: {app: other}}, "+strict)}, security.PeerAuthentication_MutualTLS_PERMISSIVE, ""},
		"the root's is for its own":     {all{peer(t, "mesh", "c", own+strict)}, security.PeerAuthentication_MutualTLS_PERMISSIVE, ""},
		"unset takes the next":          {all{peer(t, "shop", "c", own+"mtls: {mode: UNSET}"), peer(t, "shop", "b", strict)}, security.PeerAuthentication_MutualTLS_STRICT, "shop/b"},
		"the older of two":              {all{peer(t, "shop", "b", disable), peer(t, "shop", "old", strict)}, security.PeerAuthentication_MutualTLS_STRICT, "shop/old"},
		"for one port":                  {all{peer(t, "shop", "c", own+disable+", portLevelMtls: {50051: {mode: STRICT}}")}, security.PeerAuthentication_MutualTLS_STRICT, "shop/c"},
		"for another port":              {all{peer(t, "shop", "c", own+disable+", portLevelMtls: {80: {mode: STRICT}}")}, security.PeerAuthentication_MutualTLS_DISABLE, "shop/c"},
		"a namespace that is no one's":  {all{peer(t, "other", "b", strict)}, security.PeerAuthentication_MutualTLS_PERMISSIVE, ""},
		"for a port, and else the next": {all{peer(t, "shop", "c", own+"portLevelMtls: {80: {mode: STRICT}}"), peer(t, "mesh", "a", disable)}, security.PeerAuthentication_MutualTLS_DISABLE, "mesh/a"},
	} {
		mode, by := peerMode(tc.all, "shop", "mesh", map[string]string{"app": "server", "x": "y"}, 50051)
		if mode != tc.want || by != tc.by {
			t.Errorf("%s: %s by %q, want %s by %q", name, mode, by, tc.want, tc.by)
		}
	}
}

// The gateway's side is the rule's, for the port and the subset.
func TestEffectiveTLS(t *testing.T) {
	const subset = "subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE}}}]"
	for spec, want := range map[string]string{
		"host: server": "",
		"host: server, trafficPolicy: {loadBalancer: {simple: RANDOM}}":                                                                  "",
		"host: server, trafficPolicy: {tls: {mode: DISABLE}}":                                                                            "DISABLE",
		"host: server, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}":      "ISTIO_MUTUAL",
		"host: server, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}": "",
		"host: server, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL}}]}":     "DISABLE",
		"host: server, trafficPolicy: {tls: {mode: DISABLE}}, " + subset:                                                                 "SIMPLE",
	} {
		p := policyOf(&rule(t, "shop", "a", spec).Spec, parseMeshConfig(""), &corev1.Service{}, 80, Destination{Subset: "v1"})
		if p.TLS != want {
			t.Errorf("%s: %q, want %q", spec, p.TLS, want)
		}
	}
}

// TestPutsOut: Envoy's own default where a rule says nothing, and never where
// only gateway errors count.
func TestPutsOut(t *testing.T) {
	for spec, want := range map[string]int{
		"host: server": 0,
		"host: server, trafficPolicy: {outlierDetection: {}}":                                                                                                                5,
		"host: server, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 2}}":                                                                                         2,
		"host: server, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3}}":                                                            0,
		"host: server, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 2}, portLevelSettings: [{port: {number: 80}, outlierDetection: {consecutive5xxErrors: 9}}]}": 9,
	} {
		if got := policyOf(&rule(t, "shop", "a", spec).Spec, parseMeshConfig(""), &corev1.Service{}, 80, Destination{}).PutsOut; got != want {
			t.Errorf("%s: %d, want %d", spec, got, want)
		}
	}
}
