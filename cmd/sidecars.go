package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// leaving is the workload whose sidecars are left over once the exposure is
// undone.
type leaving struct {
	k8s.Workload
	with, pods int // of its newest pods: those with a sidecar, and all
}

func (l *leaving) change() plan.Change {
	return plan.Change{ID: manifest.ID{Kind: l.Kind, Namespace: l.Namespace, Name: l.Name}, Action: plan.Restart,
		Reason: fmt.Sprintf("%d of %s had a sidecar", l.with, plural(l.pods, "pod"))}
}

// count looks at the newest pods, once the controller has taken notice of the
// newest template.
func (l *leaving) count(ctx context.Context, c *k8s.Cluster) error {
	w, err := c.Observed(ctx, l.Workload)
	if err != nil {
		return err
	}
	pods, err := c.NewestPods(ctx, w)
	if err != nil {
		return err
	}
	l.Workload, l.pods, l.with = w, len(pods), 0
	for i := range pods {
		if k8s.HasSidecar(pods[i].Spec) {
			l.with++
		}
	}
	return nil
}

// restartable refuses what a restart could not bring about.
func (l *leaving) restartable(as called) error {
	return rollable(as, l.Workload, "lose the sidecar", "Run the same command without --restart, and delete its pods yourself")
}

// findSidecars finds out which sidecars the end of the exposure leaves over, and
// sees to it that a restart that was asked for can take them away. after are the
// namespace's labels once the plan is carried out; losing says that it takes the
// injection label away.
func (u *undoer) findSidecars(ctx context.Context, after map[string]string, losing bool) error {
	injectors, err := u.mesh.Injectors(ctx)
	if err != nil {
		return err
	}
	by := func(w k8s.Workload) string { return injectedBy(injectors, u.namespace, after, w.Template) }
	own := u.restartees()
	if losing {
		if err := u.findTouched(ctx, own, by); err != nil {
			return err
		}
	}
	u.tellNoRestart(own)
	for _, w := range own {
		if err := u.findLeaving(ctx, w, by); err != nil {
			return err
		}
	}
	return nil
}

// tellNoRestart warns where a restart was asked for and no workload named.
func (u *undoer) tellNoRestart(own []k8s.Workload) {
	if len(own) == 0 && len(u.going) == 0 && len(u.named) == 0 && u.o.restart && len(u.workloads) > 1 {
		u.warn("nothing is restarted: no exposure goes, and namespace %s has %d workloads. Name one: %s", u.namespace, len(u.workloads),
			u.o.called.grpcmesh("unexpose", u.workloads[0].Arg(), "-n", u.namespace, "--restart"))
	}
}

// findLeaving finds out whether the workload has sidecars that are left over.
func (u *undoer) findLeaving(ctx context.Context, w k8s.Workload, by func(k8s.Workload) string) error {
	l := &leaving{Workload: w}
	if err := l.count(ctx, u.cluster); err != nil || l.with == 0 {
		return err
	}
	label := by(l.Workload)
	relabelled, anew := u.relabel[l.UID]
	if anew {
		label = by(relabelled)
	}
	switch {
	case label != "" && anew:
		return nil // its template's label goes all the same
	case label != "" && u.o.restart && !u.last:
		u.warn("%s is not restarted: its namespace goes on injecting (%s), for the other exposures", w, label)
		return nil
	case label != "" && u.o.restart:
		u.warn("%s is not restarted: its pods would get a sidecar again (%s), which is not grpcmesh's to take away", w, label)
		return nil
	case label != "":
		return nil
	case !u.o.restart:
		u.o.say("           %s of %s %s until restarted (--restart)", plural(l.with, "pod"), w, oneOrMore(l.with, "keeps its sidecar", "keep their sidecar"))
		return nil
	}
	u.leaving = append(u.leaving, l)
	if err := l.restartable(u.o.called); err != nil {
		return err
	}
	if u.o.yes || u.o.dryRun != "none" {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(u.workloads), func(o k8s.Workload) bool { return o.UID == l.UID })
	over, unchecked, err := overBudget(ctx, u.cluster, l.Workload, others)
	if err != nil {
		return err
	}
	if unchecked != nil {
		u.warn("%s", unchecked.Reason)
	}
	return confirm(ctx, u.o.IO, l.Workload, risksOf(l.Workload, over), u.o.timeout)
}

// restartees are the workloads whose exposures go, and those that are named;
// where neither, the only one there is. A workload may be gone, and its pods
// with it.
func (u *undoer) restartees() []k8s.Workload {
	args := slices.Concat(u.going, u.named)
	if len(args) == 0 {
		args = []string{""}
	}
	var found []k8s.Workload
	for _, arg := range args {
		w, err := k8s.Choose(u.workloads, u.namespace, arg)
		if err == nil && !slices.ContainsFunc(found, func(o k8s.Workload) bool { return o.String() == w.String() }) {
			found = append(found, w)
		}
	}
	return found
}

// findTouched names the other workloads that lose their sidecar with the label.
func (u *undoer) findTouched(ctx context.Context, own []k8s.Workload, by func(k8s.Workload) string) error {
	pods, err := u.cluster.Core.CoreV1().Pods(u.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing pods in namespace %s: %w", u.namespace, err)
	}
	for _, w := range u.workloads {
		goes := slices.ContainsFunc(own, func(o k8s.Workload) bool { return o.UID == w.UID })
		if !goes && by(w) == "" && wearsSidecar(w, pods.Items) {
			u.doc.Touches = append(u.doc.Touches, w.String())
		}
	}
	if len(u.doc.Touches) > 0 {
		u.o.say("           without the label these too lose their sidecar, at their next restart: %s", strings.Join(u.doc.Touches, ", "))
	}
	return nil
}

// wearsSidecar says whether one of the workload's pods has a sidecar.
func wearsSidecar(w k8s.Workload, pods []corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return false // the API server takes no such selector
	}
	for i := range pods {
		if k8s.HasSidecar(pods[i].Spec) && selector.Matches(labels.Set(pods[i].Labels)) {
			return true
		}
	}
	return false
}

// injectedBy is the label by which pods of the template get a sidecar in a
// namespace with the labels, or "" where they get none.
func injectedBy(injectors []istio.Injector, namespace string, with map[string]string, template corev1.PodTemplateSpec) string {
	return istio.InjectedBy(injectors, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: with}}, template)
}

// restart takes the sidecars away, of several workloads at a time. What fails
// for one stops no other.
func (u *undoer) restart(ctx context.Context) error {
	errs := make([]error, len(u.leaving))
	k8s.AtOnce(len(u.leaving), atOnce, func(i int) { errs[i] = u.restartOne(ctx, u.leaving[i]) }, nil)
	return errors.Join(errs...)
}

// restartOne judges anew, now that the label is gone.
func (u *undoer) restartOne(ctx context.Context, l *leaving) error {
	if _, anew := u.relabel[l.UID]; anew { // that has restarted it
		return u.rolledOut(ctx, l)
	}
	if err := l.count(ctx, u.cluster); err != nil || l.with == 0 {
		return err
	}
	if err := u.cluster.Restart(ctx, l.Workload, time.Now()); err != nil {
		return err
	}
	u.change(l.change())
	return u.rolledOut(ctx, l)
}

func (u *undoer) rolledOut(ctx context.Context, l *leaving) error {
	defer u.o.board.done(u.o.Err, l.Workload)
	_, err := u.cluster.WaitRolledOut(ctx, l.Workload, func(c k8s.Coming) { u.o.board.coming(u.o.Err, l.Workload, c, without) },
		func(s string) { u.o.say("waiting    %s: %s", l.Workload, s) })
	return err
}
