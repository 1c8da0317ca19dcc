package istio

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
)

// PassedBy says whether every injector leaves the namespace alone by its name,
// whatever its labels: Istio's own list (inject.IgnoredNamespaces).
func PassedBy(namespace string) bool {
	return slices.Contains([]string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"}, namespace)
}

// PassesBy is why every injector leaves pods of the template alone, whatever the
// namespace's labels, with its code, and what to do about it; or "".
func PassesBy(t corev1.PodTemplateSpec) (code, cause, hint string) {
	switch {
	case declines(t):
		return finding.Declines,
			"its pod template says sidecar.istio.io/inject: \"false\", so no label of the namespace gives it a sidecar",
			"Remove that label or annotation from the pod template."
	case t.Spec.HostNetwork:
		return finding.HostNetwork, "its pods use the host's network; the injector passes such pods by", "Set hostNetwork: false in the pod template."
	}
	return "", "", ""
}

func declines(t corev1.PodTemplateSpec) bool {
	if v, ok := t.Labels[podInjectLabel]; ok { // the label beats the annotation
		return v == "false"
	}
	return t.Annotations[podInjectLabel] == "false"
}
