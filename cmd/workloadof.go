package cmd

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
)

// workloadOf names the one workload whose pods the route's Service selects, as
// kubectl takes it, or nothing where that isn't known.
func (r *run) workloadOf(ctx context.Context) string {
	if len(r.t.destinations) != 1 || r.t.vs != nil && r.t.vs.Namespace != r.t.namespace {
		return ""
	}
	svc, _, err := r.t.servicePort(ctx, r.t.destinations[0])
	if err != nil || svc == nil || len(svc.Spec.Selector) == 0 {
		return ""
	}
	all, err := r.t.cluster.Workloads(ctx, svc.Namespace)
	if err != nil {
		return ""
	}
	found := ""
	for _, w := range all {
		if !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(w.Template.Labels)) {
			continue
		}
		if found != "" || w.Kind != "Deployment" && w.Kind != "StatefulSet" {
			return ""
		}
		found = w.Arg()
	}
	return found
}
