package istio

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
)

// TestVersion: the release of a gateway's proxies, as its pods say it.
func TestVersion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		image, revision string
		want            string // "": not known
		code            string // and how severe
		severity        finding.Severity
	}{
		{"docker.io/istio/proxyv2:1.31.0", "default", "1.31", "", ""},
		{"registry:5000/istio/proxyv2:1.15.7-distroless", "", "1.15", finding.OldMesh, finding.Warning},
		{"ccr.example.com/tcm/proxyv2:v1.8.1-tcm", "1-8-1", "1.8", finding.OldMesh, finding.Warning},
		{"docker.io/istio/proxyv2:1.7.3", "", "1.7", finding.OldMesh, finding.Error},
		{"docker.io/istio/proxyv2:1.16.0@sha256:00", "", "1.16", "", ""},
		{"docker.io/istio/proxyv2@sha256:1234", "asm-1-18", "1.18", "", ""},
		{"docker.io/istio/proxyv2@sha256:1234", "1-10-3", "1.10", finding.OldMesh, finding.Warning},
		{"docker.io/istio/proxyv2:latest", "canary", "", "", ""},
		{"docker.io/istio/proxyv2:2024.10.1", "", "", "", ""},
		{"registry:1.2/proxyv2", "prod-2-1", "", "", ""},
		{"auto", "", "", "", ""},
	} {
		pod := routerPod(map[string]string{revisionLabel: tc.revision}, true)
		pod.Spec.Containers[0].Image = tc.image
		in := edge()
		in.Pods = []corev1.Pod{pod}
		v, ok := in.Version()
		if got := v.String(); ok != (tc.want != "") || ok && got != tc.want {
			t.Errorf("%s, revision %s: %s, %v", tc.image, tc.revision, got, ok)
		}
		f, old := in.TooOld()
		if old != (tc.code != "") || old && (f.Code != tc.code || f.Severity != tc.severity) || (in.NotTooOld() != nil) != (tc.severity == finding.Error) {
			t.Errorf("%s, revision %s: %+v, %v", tc.image, tc.revision, f, in.NotTooOld())
		}
	}
	in := edge()
	young, old := routerPod(nil, true), routerPod(nil, true)
	young.Spec.Containers[0].Image, old.Spec.Containers[0].Image = "p:1.20.1", "p:1.9.1"
	if in.Pods = []corev1.Pod{young, old, routerPod(nil, true)}; func() bool { v, _ := in.Version(); return v != Version{1, 9} }() {
		t.Error("the oldest is not told")
	}
}
