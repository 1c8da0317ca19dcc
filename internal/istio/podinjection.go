package istio

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// DecidePodInjection says which label the pod template needs so that its pods,
// and no others, get a sidecar. It fails as DecideInjection does.
func DecidePodInjection(injectors []Injector, ns *corev1.Namespace, workload string, template corev1.PodTemplateSpec, revision string) (Injection, error) {
	if inj, settled, err := asItIs(injectors, ns, workload, template, revision); settled || err != nil {
		return inj, err
	}
	if rev, ok := template.Labels[revisionLabel]; ok {
		return Injection{}, &plan.ConflictError{Code: finding.Stale, ID: manifest.ID{Kind: "Namespace", Name: ns.Name},
			Reason: fmt.Sprintf("the pod template of %s carries %s=%s, which no live injector answers to", workload, revisionLabel, rev),
			Hint:   "Nothing was written. Remove it from the pod template if it is not meant.\nLive revisions: " + strings.Join(allRevisions(injectors), ", ")}
	}
	fit := fitting(injectors, template.Labels, podInjectLabel, "true", revision,
		func(with map[string]string) bool { _, ok := injects(injectors, ns.Labels, with); return ok },
		func(key, value string) Injection {
			return Injection{Pod: map[string]string{key: value}, Label: "the pod's own label " + key + "=" + value}
		})
	if len(fit) == 1 {
		return fit[0], nil
	}
	e := &manifest.TargetError{Code: finding.WhichRevision, What: "the mesh has several revisions; which one are the pods of " + workload + " to follow?"}
	switch {
	case revision != "":
		e.Code, e.What = finding.NoRevision, "no live injector takes pods by a label of their own for the revision "+revision+"; there are"
	case len(fit) == 0:
		e.Code, e.What = finding.NoRevision, "no live injector takes pods by a label of their own; try --inject namespace, by a revision"
	}
	for _, rev := range allRevisions(injectors) {
		e.Candidates = append(e.Candidates, "--revision "+rev)
	}
	return Injection{}, e
}

// PodLabels are those of a template by which a pod asks for its sidecar, as the
// keys that DecidePodInjection may set.
func PodLabels() []string { return []string{podInjectLabel, revisionLabel} }

// InjectedBy is the label by which pods of the template get a sidecar in the
// namespace, or "".
func InjectedBy(injectors []Injector, ns *corev1.Namespace, template corev1.PodTemplateSpec) string {
	inj, settled, err := asItIs(injectors, ns, "", template, "")
	if err != nil || !settled {
		return ""
	}
	return inj.Label
}
