package k8s

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// deployment has the strategy given by its two numbers; an empty one is unset.
func deployment(replicas int32, surge, unavailable string) *appsv1.Deployment {
	value := func(s string) *intstr.IntOrString {
		if s == "" {
			return nil
		}
		v := intstr.Parse(s)
		return &v
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "server", Namespace: "test", UID: "u", ResourceVersion: "7", Generation: 2},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Strategy: appsv1.DeploymentStrategy{
			Type:          appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: value(surge), MaxUnavailable: value(unavailable)}}},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1},
	}
}

// TestGapOfDeployments: the numbers are rounded as the Deployment controller
// does: shares of pods to be away down, of pods to be added up, and where both
// come to nothing one pod may be away after all, lest no rollout ever moves
// (kubernetes pkg/controller/deployment/util, ResolveFenceposts).
func TestGapOfDeployments(t *testing.T) {
	for _, tc := range []struct {
		replicas           int32
		surge, unavailable string
		away               int32
		gap                bool
	}{
		{1, "25%", "25%", 0, false}, // kubectl's default strategy
		{3, "25%", "25%", 0, false},
		{4, "25%", "25%", 1, false},
		{10, "25%", "25%", 2, false},
		{1, "1", "0", 0, false},
		{1, "0", "1", 1, true},
		{2, "0", "1", 1, false},
		{2, "0", "2", 2, true},
		{2, "0", "5", 5, true},
		{3, "0", "100%", 3, true},
		{3, "0", "99%", 2, false},
		{1, "0", "25%", 1, true}, // rounds to 0 and 0
		{3, "0%", "25%", 1, false},
		{1, "1%", "25%", 0, false}, // rounds to 1 more
		{0, "25%", "25%", 1, false},
	} {
		w := fromDeployment(deployment(tc.replicas, tc.surge, tc.unavailable))
		if got := w.Gap(); w.MaxUnavailable != tc.away || (got != "") != tc.gap {
			t.Errorf("%d replicas, surge %s, unavailable %s: %d may be away, gap %q; want %d, gap %v",
				tc.replicas, tc.surge, tc.unavailable, w.MaxUnavailable, got, tc.away, tc.gap)
		}
	}
	d := deployment(3, "", "")
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	if got := fromDeployment(d).Gap(); !strings.Contains(got, "Recreate") {
		t.Errorf("Recreate: gap %q, want one that names it", got)
	}
	if got := (Workload{Kind: "StatefulSet", Replicas: 1, MaxUnavailable: 1}).Gap(); !strings.Contains(got, "1 of 1 pods") {
		t.Errorf("a StatefulSet of one: gap %q, want one with the numbers", got)
	}
	if got := (Workload{Kind: "StatefulSet", Replicas: 3, MaxUnavailable: 1}).Gap(); got != "" {
		t.Errorf("a StatefulSet of three: gap %q, want none", got)
	}
	if got := (Workload{Kind: "DaemonSet", Replicas: 0, MaxUnavailable: 1}).Gap(); got != "" {
		t.Errorf("a DaemonSet without nodes: gap %q, want none", got)
	}
}

func TestScaled(t *testing.T) {
	for _, tc := range []struct {
		value    string
		replicas int32
		up       bool
		want     int32
	}{
		{"25%", 3, false, 0}, {"25%", 3, true, 1}, {"100%", 3, false, 3}, {"0%", 3, true, 0}, {"2", 3, true, 2}, {"10%", 1, true, 1},
	} {
		v := intstr.Parse(tc.value)
		if got := scaled(&v, tc.replicas, tc.up); got != tc.want {
			t.Errorf("scaled(%s of %d, up %v) = %d, want %d", tc.value, tc.replicas, tc.up, got, tc.want)
		}
	}
	if got := scaled(nil, 3, true); got != 0 {
		t.Errorf("scaled(unset) = %d, want 0", got)
	}
}

func TestFromDeployment(t *testing.T) {
	d := deployment(5, "1", "0")
	d.Spec.Paused = true
	w := fromDeployment(d)
	if w.String() != "Deployment/server" || w.Namespace != "test" || w.UID != "u" || w.ResourceVersion != "7" || w.Replicas != 5 || !w.Paused || w.OnDelete || w.Recreate {
		t.Errorf("workload = %+v", w)
	}
	if w.observed {
		t.Error("its controller has seen generation 1 of 2, and that counts as seen")
	}
	d.Status.ObservedGeneration, d.Spec.Replicas = 2, nil
	if w = fromDeployment(d); !w.observed || w.Replicas != 1 {
		t.Errorf("observed %v, %d replicas; want true and the API's default of 1", w.observed, w.Replicas)
	}
}

// TestCompute: what a rollout's own status says, by kstatus, for objects as
// the typed client hands them over (without apiVersion and kind).
func TestCompute(t *testing.T) {
	d := deployment(2, "1", "0")
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}}}
	for _, tc := range []struct {
		name string
		set  func()
		want string
	}{
		{"done", func() {}, "Current"},
		{"one to be updated", func() { d.Status.UpdatedReplicas = 1 }, "InProgress"},
		{"stuck", func() { d.Status.Conditions[1].Reason = "ProgressDeadlineExceeded" }, "Failed"},
		{"not taken notice of", func() { d.Generation = 3 }, "InProgress"},
	} {
		tc.set()
		got, err := compute("Deployment", d)
		if err != nil || got.Status.String() != tc.want {
			t.Errorf("%s: %v, %v; want %s", tc.name, got, err, tc.want)
		}
	}
}
