package k8s

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestArrivals: each change is told once, with the pods that came; pods that go
// and workloads that are scaled count too.
func TestArrivals(t *testing.T) {
	t.Parallel()
	pod := func(name string, ready, sidecar bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
		if sidecar {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy"})
		}
		if ready {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		return p
	}
	var told []string
	a := newArrivals(Workload{Replicas: 2}, func(c Coming) {
		told = append(told, fmt.Sprintf("%d/%d ready, %d sidecars, came %v, %q", c.Ready, c.Wanted, c.Sidecars, c.Came, c.Condition))
	})
	a.condition("Updated: 0/2", 2)
	a.condition("Updated: 0/2", 2)
	a.pods([]corev1.Pod{pod("a", false, true), pod("b", false, true)})
	a.pods([]corev1.Pod{pod("a", true, true), pod("b", false, true)})
	a.pods([]corev1.Pod{pod("a", true, true), pod("b", false, true)})
	a.condition("Updated: 1/3", 3)
	a.pods([]corev1.Pod{pod("a", true, true), pod("b", true, false), pod("c", true, true)})
	a.pods([]corev1.Pod{pod("b", true, false), pod("c", true, true)})
	want := []string{
		`0/2 ready, 0 sidecars, came [], "Updated: 0/2"`,
		`1/2 ready, 1 sidecars, came [a], "Updated: 0/2"`,
		`1/3 ready, 1 sidecars, came [], "Updated: 1/3"`,
		`3/3 ready, 2 sidecars, came [b c], "Updated: 1/3"`,
		`2/3 ready, 1 sidecars, came [], "Updated: 1/3"`,
	}
	if !slices.Equal(told, want) || a.wanted() != 3 {
		t.Errorf("told %q, want %q", told, want)
	}
}
