package istio

import (
	"errors"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/plan"
)

// Replacement is the other value of the namespace's own label by which its pods
// would get a sidecar, where DecideInjection refused because of that label: an
// opt-out, or a revision that is gone. was is what it would replace. It is not ok
// where another value would not help, or several would.
func Replacement(refused error, injectors []Injector, ns *corev1.Namespace, template corev1.PodTemplateSpec, revision string) (inj Injection, was string, ok bool) {
	var conflict *plan.ConflictError
	if !errors.As(refused, &conflict) || conflict.Code != finding.OptedOut && conflict.Code != finding.Stale {
		return Injection{}, "", false
	}
	var fit []Injection
	for key, values := range map[string][]string{injectionLabel: {"enabled"}, revisionLabel: allRevisions(injectors)} {
		old, there := ns.Labels[key]
		for _, value := range values {
			with := maps.Clone(ns.Labels)
			with[key] = value
			revs, injected := injects(injectors, with, template.Labels)
			if there && injected && (revision == "" || slices.Contains(revs, revision)) {
				fit, was = append(fit, Injection{Set: map[string]string{key: value}, Label: key + "=" + value}), key+"="+old
			}
		}
	}
	if len(fit) != 1 {
		return Injection{}, "", false
	}
	return fit[0], was, true
}
