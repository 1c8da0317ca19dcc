package cmd

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
)

// TestTouched: what the injector passes by is not said to be reached.
func TestTouched(t *testing.T) {
	inject := func(v string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Labels: map[string]string{"sidecar.istio.io/inject": v}}
	}
	got := touched([]k8s.Workload{
		{Kind: "Deployment", Name: "plain"},
		{Kind: "Deployment", Name: "declines", Template: corev1.PodTemplateSpec{ObjectMeta: inject("false")}},
		{Kind: "DaemonSet", Name: "host", Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{HostNetwork: true}}},
		{Kind: "CronJob", Name: "nightly", Template: corev1.PodTemplateSpec{ObjectMeta: inject("true")}},
		{Kind: "Deployment", Name: "own", UID: "own"},
	}, "own")
	if want := []string{"Deployment/plain", "CronJob/nightly"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
