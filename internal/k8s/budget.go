package k8s

import (
	"context"
	"fmt"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Budgets lists the PodDisruptionBudgets of a namespace.
func (c *Cluster) Budgets(ctx context.Context, namespace string) ([]policyv1.PodDisruptionBudget, error) {
	return Recall(c, "PodDisruptionBudget", namespace, func() ([]policyv1.PodDisruptionBudget, error) {
		list, err := c.Core.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing PodDisruptionBudgets in namespace %s: %w", namespace, err)
		}
		return list.Items, nil
	})
}

// takes is how many of its pods a restart may take away at once.
func (w Workload) takes() int32 {
	if w.Recreate {
		return w.Replicas
	}
	return min(w.MaxUnavailable, w.Replicas)
}

// OverBudget is why a restart of the workload may take away more of its pods at
// once than a budget allows, with the numbers, or "". Budgets don't bind a
// rollout, only evictions. others are what runs beside it: a budget may be for
// all of them.
func (w Workload) OverBudget(budgets []policyv1.PodDisruptionBudget, others []Workload) string {
	var over []string
	for i := range budgets {
		b := &budgets[i]
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(w.Template.Labels)) {
			continue
		}
		pods := w.Replicas
		for _, o := range others {
			if selector.Matches(labels.Set(o.Template.Labels)) {
				pods += o.Replicas
			}
		}
		if allowed, of := allows(b.Spec, pods); w.takes() > allowed {
			over = append(over, fmt.Sprintf("PodDisruptionBudget %s allows %d of %d (%s)", b.Name, allowed, pods, of))
		}
	}
	if len(over) == 0 {
		return ""
	}
	return fmt.Sprintf("its strategy lets a restart take %d of its %d pods away at once, and %s", w.takes(), w.Replicas, strings.Join(over, " and "))
}

// allows is how many of so many pods a budget lets be away, and by which field.
// Shares are rounded up, as the disruption controller does.
func allows(b policyv1.PodDisruptionBudgetSpec, pods int32) (n int32, of string) {
	share := func(v *intstr.IntOrString) int32 { return scaled(v, pods, true) }
	switch {
	case b.MaxUnavailable != nil:
		return share(b.MaxUnavailable), "maxUnavailable: " + b.MaxUnavailable.String()
	case b.MinAvailable != nil:
		return max(0, pods-share(b.MinAvailable)), "minAvailable: " + b.MinAvailable.String()
	}
	return pods, "" // it asks for nothing
}
