package k8s

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHeld: of a partitioned StatefulSet's pods, those below the partition that
// lack the sidecar stay so.
func TestHeld(t *testing.T) {
	t.Parallel()
	pod := func(name string, containers ...string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
		return p
	}
	set := func(partition int32, start int32) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "part"}, Spec: appsv1.StatefulSetSpec{
			Ordinals:       &appsv1.StatefulSetOrdinals{Start: start},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}}}}
	}
	onDelete := set(2, 0)
	onDelete.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	for _, c := range []struct {
		name string
		set  *appsv1.StatefulSet
		pods []corev1.Pod
		want []string
	}{
		{"no partition", set(0, 0), []corev1.Pod{pod("part-0", "app")}, nil},
		{"below and above", set(1, 0), []corev1.Pod{pod("part-0", "app"), pod("part-1", "app")}, []string{"part-0"}},
		{"above all", set(9, 0), []corev1.Pod{pod("part-0", "app"), pod("part-1", "app")}, []string{"part-0", "part-1"}},
		{"with its sidecar", set(1, 0), []corev1.Pod{pod("part-0", "app", "istio-proxy"), pod("part-1", "app")}, nil},
		{"ordinals that begin at 5", set(1, 5), []corev1.Pod{pod("part-5", "app"), pod("part-6", "app")}, []string{"part-5"}},
		{"OnDelete, refused for that", onDelete, []corev1.Pod{pod("part-0", "app")}, nil},
	} {
		if got := fromStatefulSet(c.set).Held(c.pods); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestInPlace: where a restart makes room before it makes a pod, a quota without
// room for one more is no obstacle.
func TestInPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		workload Workload
		want     bool
	}{
		{Workload{Kind: "Deployment"}, false},
		{Workload{Kind: "Deployment", Recreate: true}, true},
		{Workload{Kind: "StatefulSet"}, true},
		{Workload{Kind: "DaemonSet"}, true},
	} {
		if got := c.workload.InPlace(); got != c.want {
			t.Errorf("%+v: %v", c.workload, got)
		}
	}
}
