package istio

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/k8s"
)

// Replicas lists the ready pods of the ingress that a Gateway with the selector
// is for, as they are now: they come and go while a run waits.
func (m *Mesh) Replicas(ctx context.Context, in Ingress, selector map[string]string) ([]corev1.Pod, error) {
	list, err := m.core.CoreV1().Pods(in.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: labels.SelectorFromSet(selector).String()})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of gateway %s: %w", in, err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || !k8s.Ready(&p) || !isRouter(p)
	}), nil
}
