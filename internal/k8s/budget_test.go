package k8s

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestOverBudget holds a restart's appetite against what budgets allow, each
// rounded as its controller does.
func TestOverBudget(t *testing.T) {
	t.Parallel()
	labelled := func(name string, replicas, away int32, labels map[string]string) Workload {
		return Workload{Kind: "Deployment", Name: name, Replicas: replicas, MaxUnavailable: away,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}
	}
	app := map[string]string{"app": "server", "tier": "back"}
	server := func(replicas, away int32) Workload { return labelled("server", replicas, away, app) }
	budget := func(field, value string, selector *metav1.LabelSelector) policyv1.PodDisruptionBudget {
		b := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "pdb"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector}}
		v := intstr.Parse(value)
		switch field {
		case "min":
			b.Spec.MinAvailable = &v
		case "max":
			b.Spec.MaxUnavailable = &v
		}
		return b
	}
	of := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	mine := of("app", "server")
	recreate := server(3, 0)
	recreate.Recreate = true
	cart := labelled("cart", 5, 0, map[string]string{"app": "cart", "tier": "back"})
	for _, tc := range []struct {
		name   string
		w      Workload
		budget policyv1.PodDisruptionBudget
		others []Workload
		want   string
	}{
		{"the default strategy takes none", server(1, 0), budget("min", "1", mine), nil, ""},
		{"within", server(3, 1), budget("min", "2", mine), nil, ""},
		{"more than minAvailable leaves", server(3, 2), budget("min", "2", mine), nil,
			"its strategy lets a restart take 2 of its 3 pods away at once, and PodDisruptionBudget pdb allows 1 of 3 (minAvailable: 2)"},
		{"Recreate takes all", recreate, budget("max", "1", mine), nil,
			"its strategy lets a restart take 3 of its 3 pods away at once, and PodDisruptionBudget pdb allows 1 of 3 (maxUnavailable: 1)"},
		{"a share of maxUnavailable is rounded up", server(3, 2), budget("max", "34%", mine), nil, ""},
		{"a share of minAvailable is too", server(3, 1), budget("min", "67%", mine), nil,
			"its strategy lets a restart take 1 of its 3 pods away at once, and PodDisruptionBudget pdb allows 0 of 3 (minAvailable: 67%)"},
		{"more wanted than there are", server(2, 1), budget("min", "5", mine), nil,
			"its strategy lets a restart take 1 of its 2 pods away at once, and PodDisruptionBudget pdb allows 0 of 2 (minAvailable: 5)"},
		{"another's budget", server(3, 3), budget("min", "3", of("app", "cart")), nil, ""},
		{"one for nobody", server(3, 3), budget("min", "3", nil), nil, ""},
		{"one for the whole namespace", server(3, 2), budget("max", "1", &metav1.LabelSelector{}), nil,
			"its strategy lets a restart take 2 of its 3 pods away at once, and PodDisruptionBudget pdb allows 1 of 3 (maxUnavailable: 1)"},
		{"one for its neighbour too", server(3, 2), budget("min", "6", of("tier", "back")), []Workload{cart}, ""},
		{"one that asks for nothing", server(3, 3), budget("", "0", mine), nil, ""},
	} {
		if got := tc.w.OverBudget([]policyv1.PodDisruptionBudget{tc.budget}, tc.others); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
