package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// findCanary finds the pods that are to get a part of the calls: of other
// workloads of the namespace, by their version.
func (x *exposer) findCanary(ctx context.Context) error {
	route := x.intent.Route
	subsets, err := route.Split(x.workload.Template.Labels)
	if err != nil || len(subsets) == 0 {
		return err
	}
	x.exposure.Subsets = subsets
	x.exposure.Selector = route.Shared(x.workload.PodLabels())
	var wrong []error
	for _, s := range subsets[1:] {
		wrong = append(wrong, x.findVersion(ctx, s))
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	x.say("canary     %s", shares(subsets))
	return nil
}

// findVersion refuses a version that no workload has beside this one, and one
// that is to get calls and has no ready pod.
func (x *exposer) findVersion(ctx context.Context, s manifest.Subset) error {
	want := labels.SelectorFromSet(labels.Merge(x.exposure.Selector, s.Labels))
	ready, lacking := 0, 0
	found := false
	for _, w := range x.others() {
		if !want.Matches(labels.Set(w.Template.Labels)) {
			continue
		}
		found = true
		pods, err := x.cluster.Pods(ctx, w)
		if err != nil {
			return err
		}
		for i := range pods {
			if k8s.Ready(&pods[i]) {
				ready++
			}
			if !k8s.HasSidecar(pods[i].Spec) {
				lacking++
			}
		}
	}
	switch {
	case !found:
		return &manifest.TargetError{Code: finding.NoCanary, What: fmt.Sprintf("no other workload of namespace %s has pods with the labels %s; there are", x.workload.Namespace, istio.FormatSelector(labels.Merge(x.exposure.Selector, s.Labels))),
			Candidates: x.versions(), Hint: "A canary's pods have all labels of the workload's own selector, but for the version."}
	case ready == 0 && s.Percent > 0:
		return &k8s.NotReadyError{Code: finding.NoCanary, Subject: "the canary " + istio.FormatSelector(s.Labels), Cause: fmt.Sprintf("none of its pods is ready, so %d %% of the calls would fail", s.Percent),
			Hint: "Nothing was written. Wait for its rollout, or give it 0 percent for now."}
	case lacking > 0:
		x.warn("%s of the canary %s %s not restarted", plural(lacking, "pod"), istio.FormatSelector(s.Labels), oneOrMore(lacking, "lacks the sidecar; it is", "lack the sidecar; they are"))
	}
	return nil
}

// versions are the other workloads that differ by their version alone.
func (x *exposer) versions() []string {
	var all []string
	label, shared := x.intent.Route.CanaryLabel(), labels.SelectorFromSet(x.exposure.Selector)
	for _, w := range x.others() {
		if shared.Matches(labels.Set(w.Template.Labels)) {
			all = append(all, fmt.Sprintf("%s, %s=%s", w, label, w.Template.Labels[label]))
		}
	}
	return all
}

// shares are the parts of the calls, in words.
func shares(subsets []manifest.Subset) string {
	var all []string
	for _, s := range subsets {
		all = append(all, fmt.Sprintf("%d %% to %s", s.Percent, istio.FormatSelector(s.Labels)))
	}
	return strings.Join(all, ", ")
}

// selectsVersions says whether a Service leads to the pods of every version.
func (x *exposer) selectsVersions(selector map[string]string) bool {
	for _, s := range x.exposure.Subsets {
		want := labels.SelectorFromSet(labels.Merge(x.intent.Route.Shared(x.workload.PodLabels()), s.Labels))
		all := append(x.others(), x.workload)
		if !slices.ContainsFunc(all, func(w k8s.Workload) bool {
			return want.Matches(labels.Set(w.Template.Labels)) && labels.SelectorFromSet(selector).Matches(labels.Set(w.Template.Labels))
		}) {
			return false
		}
	}
	return true
}

// behindService are the pods that the exposure's Service may rightly lead to: the
// workload's, and with a canary those of every workload that it selects, or did
// select where the end of that is yet to come.
func (x *exposer) behindService(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := x.cluster.Pods(ctx, x.workload)
	if len(x.exposure.Subsets) == 0 && !x.again.held || err != nil {
		return pods, err
	}
	selected := x.selected
	if x.again.held {
		selected = labels.SelectorFromSet(x.selectedBefore())
	}
	for _, w := range x.others() {
		if !selected.Matches(labels.Set(w.Template.Labels)) {
			continue
		}
		more, err := x.cluster.Pods(ctx, w)
		if err != nil {
			return nil, err
		}
		pods = append(pods, more...)
	}
	return pods, nil
}
