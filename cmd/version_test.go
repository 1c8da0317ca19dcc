package cmd

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
)

// TestFindAge: an old gateway is told, and lent no probe route; one that is too old
// is refused; of one that says nothing nothing is said.
func TestFindAge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ image, code, refused string }{
		{"proxyv2:1.31.0", "", ""},
		{"proxyv2:latest", "", ""},
		{"proxyv2:1.14.3", finding.OldMesh, ""},
		{"proxyv2:1.7.0", "", "GM109: gateway istio-system/gw is not ready: its proxies are of Istio 1.7, and what grpcmesh writes needs 1.8"},
	} {
		x := exposing()
		x.ingress = newWorld().ingress
		x.ingress.Pods[0].Spec.Containers = []corev1.Container{{Name: "istio-proxy", Image: tc.image}}
		err := x.findAge()
		if (err == nil) != (tc.refused == "") || err != nil && !strings.HasPrefix(err.Error(), tc.refused) {
			t.Errorf("%s: %v", tc.image, err)
		}
		if (len(x.findings) == 1) != (tc.code != "") || tc.code != "" && x.findings[0].Code != tc.code {
			t.Errorf("%s: %v", tc.image, x.findings)
		}
		if tc.code != "" { // it has no cluster to ask
			if _, err := (&liveCheck{x: x}).addProbe(t.Context()); err != nil {
				t.Errorf("%s: %v", tc.image, err)
			}
		}
	}
}

// TestHiddenByAge: verify lends an old gateway no probe route either.
func TestHiddenByAge(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{"proxyv2:1.31.0": "", "proxyv2:1.15.0": "the proxies of gateway istio-system/gw are of Istio 1.15, and before 1.16 they refuse a probe route"} {
		r := &run{o: &verifyOptions{}, t: targetOf(t, "route: []")}
		r.t.gw.Gateway.Spec.Servers = []*networking.Server{r.t.gw.Server}
		in := newWorld().ingress
		in.Pods[0].Spec.Containers = []corev1.Container{{Name: "istio-proxy", Image: image}}
		r.t.via = []istio.Ingress{in}
		if got := r.hidden(); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q", image, got)
		}
	}
}

// TestDiagnoseAge: doctor tells of an old gateway where a Gateway selects it.
func TestDiagnoseAge(t *testing.T) {
	t.Parallel()
	in := newWorld().ingress
	in.Pods[0].Spec.Containers = []corev1.Container{{Name: "istio-proxy", Image: "proxyv2:1.12.1"}}
	d := sick()
	d.gateways, d.ingresses = []istio.Ingress{in}, []istio.Ingress{in}
	d.routes.Gateways = []*clientnet.Gateway{listening(t, "test", "grpc", "*", true), listening(t, "edge", "web", "b.com", false)}
	if err := d.diagnoseGateways(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.found) != 1 || d.found[0].Code != finding.OldMesh || !strings.Contains(d.found[0].Reason, "of Istio 1.12") {
		t.Errorf("%+v", d.found)
	}
}
