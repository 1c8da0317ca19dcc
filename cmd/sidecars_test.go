package cmd

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
)

// TestLeavingRestartable: what a restart could not take the sidecars from is
// refused before anything is written.
func TestLeavingRestartable(t *testing.T) {
	for _, tc := range []struct {
		name     string
		workload k8s.Workload
		cause    string
		hint     string
	}{
		{"plain", k8s.Workload{Kind: "Deployment", Name: "x"}, "", ""},
		{"Recreate is asked about instead", k8s.Workload{Kind: "Deployment", Name: "x", Recreate: true}, "", ""},
		{"OnDelete", k8s.Workload{Kind: "StatefulSet", Name: "x", OnDelete: true}, "a restart replaces no pod", "without --restart"},
		{"paused", k8s.Workload{Kind: "Deployment", Name: "x", Paused: true}, "can't lose the sidecar", "rollout resume deployment/x"},
	} {
		err := (&leaving{Workload: tc.workload}).restartable(called{})
		var not *k8s.NotReadyError
		if refused := errors.As(err, &not); refused != (tc.cause != "") || refused && (!strings.Contains(not.Cause, tc.cause) || !strings.Contains(not.Hint, tc.hint) || !strings.Contains(not.Hint, "Nothing was written")) {
			t.Errorf("%s: %v; want %q, %q", tc.name, err, tc.cause, tc.hint)
		}
	}
}

// TestRestartees: with nothing exposed, the workload that is named or the only
// one may still have sidecars.
func TestRestartees(t *testing.T) {
	a, b := k8s.Workload{Kind: "Deployment", Name: "a"}, k8s.Workload{Kind: "StatefulSet", Name: "b"}
	for _, tc := range []struct {
		name         string
		exposed, arg string
		all          []k8s.Workload
		want         string
		warned       bool
	}{
		{"the exposed one", "deployment/a", "", []k8s.Workload{a, b}, "Deployment/a", false},
		{"it is gone", "deployment/c", "", []k8s.Workload{a}, "", false},
		{"the named one", "", "b", []k8s.Workload{a, b}, "StatefulSet/b", false},
		{"the only one", "", "", []k8s.Workload{b}, "StatefulSet/b", false},
		{"one of two", "", "", []k8s.Workload{a, b}, "", true},
		{"none", "", "", nil, "", false},
		{"one that goes, and one that had gone", "deployment/a", "a b", []k8s.Workload{a, b}, "Deployment/a StatefulSet/b", false},
	} {
		u := undoing(tc.arg)
		u.o.restart, u.workloads, u.going = true, tc.all, strings.Fields(tc.exposed)
		own := u.restartees()
		u.tellNoRestart(own)
		var got []string
		for _, w := range own {
			got = append(got, w.String())
		}
		if strings.Join(got, " ") != tc.want || (len(u.doc.Warnings) > 0) != tc.warned {
			t.Errorf("%s: %q, warnings %q; want %q", tc.name, got, u.doc.Warnings, tc.want)
		}
	}
}

// TestWearsSidecar: a workload is touched by the label's end if a pod of its
// has a sidecar.
func TestWearsSidecar(t *testing.T) {
	w := k8s.Workload{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}}
	pod := func(app, container string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: container}}}}
	}
	if wearsSidecar(w, []corev1.Pod{pod("x", "app"), pod("y", "istio-proxy")}) {
		t.Error("none of its pods has one")
	}
	if !wearsSidecar(w, []corev1.Pod{pod("x", "app"), pod("x", "istio-proxy")}) {
		t.Error("one of its pods has one")
	}
}
