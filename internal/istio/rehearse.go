package istio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// NoRoom is why no pod could be rehearsed where a quota forbids one more.
const NoRoom = "the namespace's quota has no room for one more pod"

// Rehearse asks the API server, by a dry run, to make one pod of the
// workload's template as it will be made after the label is set: all admission
// is passed through, the injector's, Pod Security's and quota's included, and
// nothing is persisted. notYet is why it could not be asked, or "" where it
// was: no injector can be reached that way before the namespace has its label,
// or, where due says that no pod is to be made beside those there are, a quota
// has no room for one more (NoRoom). Any other refusal, or a pod that comes back without its
// sidecar, is a *k8s.NotReadyError.
func (m *Mesh) Rehearse(ctx context.Context, injectors []Injector, ns *corev1.Namespace, w k8s.Workload, inj Injection, due bool) (notYet string, err error) {
	labels := maps.Clone(w.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if rev, ok := inj.Set[revisionLabel]; ok {
		labels[revisionLabel] = rev
	} else if inj.Set != nil {
		labels[podInjectLabel] = "true"
	}
	maps.Copy(labels, inj.Pod)
	if _, ok := injects(injectors, ns.Labels, labels); !ok {
		return "no injector answers before the label is set", nil
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: w.Name + "-rehearsal-",
			Namespace:    w.Namespace,
			Labels:       labels,
			Annotations:  w.Template.Annotations,
		},
		Spec: w.Template.Spec,
	}
	made, err := m.core.CoreV1().Pods(w.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil && k8s.HasSidecar(made.Spec):
		return "", nil
	case err == nil:
		hint := "Nothing was written. See the injector's reasons: kubectl -n istio-system logs deploy/istiod | grep inject"
		if w.Template.Labels[podInjectLabel] == "" && w.Template.Annotations[podInjectLabel] == "" {
			hint += "\nA mesh whose injector waits for each pod's own word (OpenShift Service Mesh 2) wants the pod template labelled sidecar.istio.io/inject: \"true\"."
		}
		return "", &k8s.NotReadyError{
			Code:      finding.NoSidecarMade,
			Namespace: w.Namespace, Subject: w.String(),
			Cause: "the injector answered but added no sidecar to a pod of this template",
			Hint:  hint,
		}
	case apierrors.IsUnauthorized(err) || forbiddenByRole(err) || !errors.As(err, new(apierrors.APIStatus)) || ctx.Err() != nil:
		return "", fmt.Errorf("rehearsing a pod of %s: %w", w, err) // nobody has refused the pod
	case !due && overQuota(err):
		return NoRoom, nil
	}
	code := finding.PodRefused
	if overQuota(err) {
		code = finding.QuotaFull
	}
	return "", &k8s.NotReadyError{
		Code:      code,
		Namespace: w.Namespace, Subject: w.String(),
		Cause: "a pod with the sidecar would be refused: " + err.Error(),
		Hint:  "Nothing was written. Mend that first; the running pods were left alone.",
	}
}

// forbiddenByRole tells a missing permission from an admission plug-in's
// refusal: both are 403, but only the first says who may not do what.
func forbiddenByRole(err error) bool { return forbids(err, "cannot create resource") }

// overQuota tells a quota's refusal from the other plug-ins'.
func overQuota(err error) bool { return forbids(err, "exceeded quota: ") }

func forbids(err error, word string) bool {
	var status apierrors.APIStatus
	return apierrors.IsForbidden(err) && errors.As(err, &status) && strings.Contains(status.Status().Message, word)
}
