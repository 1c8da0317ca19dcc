package istio

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestStaleOffersAdopt: --adopt replaces a label that no injector answers to, but
// not ambient mode's.
func TestStaleOffersAdopt(t *testing.T) {
	t.Parallel()
	for label, offered := range map[string]bool{"istio.io/rev": true, "istio.io/dataplane-mode": false} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: map[string]string{label: "stale"}}}
		never, err := selector(&metav1.LabelSelector{MatchLabels: map[string]string{revisionLabel: "live"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecideInjection([]Injector{{Name: "i", Revisions: []string{"live"}, namespace: never, pod: never}}, ns, "Deployment/server", corev1.PodTemplateSpec{}, "")
		if err == nil || strings.Contains(err.Error(), "unexpose: --adopt") != offered {
			t.Errorf("%s: %v; want --adopt offered: %v", label, err, offered)
		}
	}
}
