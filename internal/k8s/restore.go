package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// restartedAt is the annotation of a pod template by which kubectl restarts.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// Restore takes a restart back: the workload gets the pod template that it had
// earlier, so that a Deployment's older pods, which are still there, go on
// instead of new ones. One whose template someone has changed since, beyond the
// restart, is a *plan.ConflictError and is left as it is.
func (c *Cluster) Restore(ctx context.Context, earlier Workload) error {
	id := manifest.ID{Kind: earlier.Kind, Namespace: earlier.Namespace, Name: earlier.Name}
	var err error
	for range tries {
		var now Workload
		if now, err = c.read(ctx, earlier); err != nil {
			return err
		}
		was, before := earlier.Template.Annotations[restartedAt]
		if is, ok := now.Template.Annotations[restartedAt]; ok == before && is == was {
			return nil
		}
		if !equality.Semantic.DeepEqual(unrestarted(now.Template), unrestarted(earlier.Template)) {
			return &plan.ConflictError{ID: id, Reason: "its pod template was changed since it was restarted, so it is not rolled back",
				Hint: fmt.Sprintf("See what it was: kubectl -n %s rollout history %s", earlier.Namespace, now)}
		}
		var value any // null removes the annotation
		if before {
			value = was
		}
		if err = c.annotate(ctx, now, value); !errors.As(err, new(*plan.ConflictError)) {
			return err
		}
	}
	return err
}

// unrestarted is the template without the mark of a restart.
func unrestarted(t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t.Annotations = maps.Clone(t.Annotations)
	delete(t.Annotations, restartedAt)
	if len(t.Annotations) == 0 {
		t.Annotations = nil
	}
	return t
}

// annotate sets the mark of a restart on the pod template. The write carries the
// version that the decision was made from: a workload that was changed meanwhile
// is a *plan.ConflictError.
func (c *Cluster) annotate(ctx context.Context, w Workload, value any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": w.ResourceVersion},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{
			restartedAt: value,
		}}}},
	})
	if err != nil {
		return err
	}
	opts := metav1.PatchOptions{FieldManager: manifest.FieldManager}
	apps := c.Core.AppsV1()
	var made metav1.Object
	switch w.Kind {
	case "Deployment":
		made, err = apps.Deployments(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, opts)
	case "StatefulSet":
		made, err = apps.StatefulSets(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, opts)
	case "DaemonSet":
		made, err = apps.DaemonSets(w.Namespace).Patch(ctx, w.Name, types.StrategicMergePatchType, patch, opts)
	}
	if err == nil && made != nil {
		c.wrote(made.GetUID(), made.GetGeneration())
	}
	if apierrors.IsConflict(err) {
		return &plan.ConflictError{ID: manifest.ID{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name},
			Reason: "it changed while grpcmesh was at work", Hint: "Run the same command again."}
	}
	return err
}
