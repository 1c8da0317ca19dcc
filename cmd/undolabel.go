package cmd

import (
	"context"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// enter reads the namespace, and sees to it that this user may do the rest: a
// refusal is told with all that is missing.
func (u *undoer) enter(ctx context.Context) (*plan.State, error) {
	ns, err := u.appliers["Namespace"].Get(ctx, manifest.ID{Kind: "Namespace", Name: u.namespace})
	if err != nil && !anyOf(err, apierrors.IsForbidden) {
		return nil, fmt.Errorf("reading namespace %s: %w", u.namespace, err)
	}
	if err == nil && ns == nil {
		return nil, &manifest.TargetError{What: "no namespace " + u.namespace + " in this cluster", Hint: "Name the one that the workload runs in with -n."}
	}
	missing, missingErr := u.cluster.Missing(ctx, toUndo(u.namespace, ns == nil || plan.Applied(*ns), u.o.restart))
	switch {
	case missingErr != nil:
		return nil, missingErr
	case len(missing) > 0:
		return nil, &k8s.DeniedError{Purpose: "unexpose", Missing: missing,
			Hint: "Nothing was written. The role grpcmesh-expose of docs/rbac.yaml has all of it; or choose another --context or --user."}
	}
	return ns, err
}

// podLabels gives up the labels of pod templates that expose had set. That makes
// the pods anew, so it is done only where a restart was asked for.
func (u *undoer) podLabels(ctx context.Context) ([]plan.Change, error) {
	u.relabel = map[types.UID]k8s.Workload{}
	var changes []plan.Change
	for _, w := range u.restartees() {
		own, err := u.podLabel(ctx, w)
		if err != nil {
			return nil, err
		}
		changes = append(changes, own...)
	}
	return changes, nil
}

func (u *undoer) podLabel(ctx context.Context, w k8s.Workload) ([]plan.Change, error) {
	obj := manifest.WorkloadObject(w.Kind, w.Namespace, w.Name, w.UID, nil)
	live, err := u.appliers[w.Kind].Get(ctx, obj.ID)
	if err != nil || live == nil || !plan.Applied(*live) {
		return nil, err
	}
	if !u.o.restart {
		u.o.say("           the pod template of %s keeps the label that expose had set; without it the pods are made anew (--restart)", w)
		return nil, nil
	}
	steps, err := k8s.Propose(ctx, u.appliers, []manifest.Object{obj})
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(steps)
	if err != nil || p.Writes() == 0 {
		return p.Changes, err
	}
	w.Template.Labels = maps.Clone(w.Template.Labels)
	left, _, _ := unstructured.NestedStringMap(steps[0].Dry.Object, "spec", "template", "metadata", "labels")
	for _, key := range istio.PodLabels() {
		if _, stays := left[key]; !stays {
			delete(w.Template.Labels, key)
		}
	}
	u.relabel[w.UID] = w
	return p.Changes, nil
}

// givenBack gives the namespace back the label's value that expose replaced.
func (u *undoer) givenBack(ctx context.Context, id manifest.ID, ns *plan.State, record string) ([]plan.Change, map[string]string, error) {
	obj, err := manifest.Restored(id, record)
	if err != nil {
		return nil, nil, err
	}
	opts := metav1.ApplyOptions{FieldManager: manifest.FieldManager, DryRun: []string{metav1.DryRunAll}}
	dry, err := u.appliers["Namespace"].Apply(ctx, obj, ns.ResourceVersion, opts)
	if err != nil {
		return nil, nil, fmt.Errorf("giving back the label of %s: %w", id, err)
	}
	back := plan.Change{ID: id, Action: plan.Update, ResourceVersion: ns.ResourceVersion, Reason: "given back as it was before expose"}
	if back.Object, err = manifest.Restored(id, record); err != nil {
		return nil, nil, err
	}
	back.Object.Adopt, back.Object.Manager = true, manifest.GivenBack
	last := plan.Change{ID: id, Action: plan.Update, Object: manifest.NamespaceObject(u.namespace, types.UID(ns.UID)), Reason: "the note of what it was"}
	for _, f := range plan.Diff(ns.Object, dry.Object) {
		if strings.HasPrefix(f.Path, "metadata.labels") {
			back.Diff = append(back.Diff, f)
		} else {
			last.Diff = append(last.Diff, f)
		}
	}
	return []plan.Change{back, last}, dry.Labels, nil
}
