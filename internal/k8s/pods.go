package k8s

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Pods lists the workload's pods that are not on their way out, oldest first.
// One that has the labels only, and is another's or nobody's, is not among them.
func (c *Cluster) Pods(ctx context.Context, w Workload) ([]corev1.Pod, error) {
	if c.live != nil && c.memory == nil {
		if pods, known := c.live.pods(w); known {
			return pods, nil
		}
	}
	pods, err := c.selected(ctx, w)
	if err != nil || len(pods) == 0 {
		return nil, err
	}
	owners, err := c.owners(ctx, w)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return !controlled(&p, owners) }), nil
}

// owners are what the workload's pods are controlled by: a Deployment's
// ReplicaSets, else the workload itself. It is to be asked after the pods were
// listed: a ReplicaSet is there before its pods.
func (c *Cluster) owners(ctx context.Context, w Workload) ([]types.UID, error) {
	if w.Kind != "Deployment" {
		return []types.UID{w.UID}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return nil, fmt.Errorf("%s: its selector: %w", w, err)
	}
	sets, err := c.replicaSets(ctx, w.Namespace, selector)
	if err != nil {
		return nil, err
	}
	var owners []types.UID
	for i := range sets {
		if metav1.IsControlledBy(&sets[i], &metav1.ObjectMeta{UID: w.UID}) {
			owners = append(owners, sets[i].UID)
		}
	}
	return owners, nil
}

func controlled(p *corev1.Pod, owners []types.UID) bool {
	ref := metav1.GetControllerOf(p)
	return ref != nil && slices.Contains(owners, ref.UID)
}

func (c *Cluster) selected(ctx context.Context, w Workload) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return nil, fmt.Errorf("%s: its selector: %w", w, err)
	}
	return c.podsBy(ctx, w.Namespace, selector)
}

// Leaving counts the pods with the workload's labels that are on their way out.
func (c *Cluster) Leaving(ctx context.Context, w Workload) (int, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return 0, fmt.Errorf("%s: its selector: %w", w, err)
	}
	list, err := c.Core.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return 0, fmt.Errorf("listing pods in namespace %s: %w", w.Namespace, err)
	}
	n := 0
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			n++
		}
	}
	return n, nil
}

func (c *Cluster) podsBy(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	pods, err := c.PodsBy(ctx, namespace, selector)
	if err != nil {
		return nil, err
	}
	return lasting(pods), nil
}

// lasting are the pods without those that have ended or are on their way out,
// oldest first.
func lasting(pods []corev1.Pod) []corev1.Pod {
	pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		if d := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return pods
}

// Strangers names what a Service with the selector leads to, or will, beside
// the workload's own pods: others of the namespace's workloads (all may name the
// workload itself), by the labels of their template or of a pod that they still
// have, and pods of no workload.
func (c *Cluster) Strangers(ctx context.Context, w Workload, all []Workload, selector map[string]string) ([]string, error) {
	pods, err := c.podsBy(ctx, w.Namespace, labels.SelectorFromSet(selector))
	if err != nil {
		return nil, err
	}
	var owners []types.UID
	if len(pods) > 0 {
		if owners, err = c.owners(ctx, w); err != nil {
			return nil, err
		}
	}
	return strangers(slices.DeleteFunc(pods, func(p corev1.Pod) bool { return controlled(&p, owners) }), w.UID, all, selector)
}

// strangers names who else has pods that the selector takes, or will have, and
// whose the pods are.
func strangers(pods []corev1.Pod, own types.UID, all []Workload, selector map[string]string) ([]string, error) {
	var names []string
	takes := labels.SelectorFromSet(selector)
	for i := range all {
		if o := &all[i]; o.UID != own && takes.Matches(labels.Set(o.Template.Labels)) {
			names = append(names, o.String())
		}
	}
	for i := range pods {
		owner := "Pod/" + pods[i].Name
		for j := range all {
			o := &all[j]
			if o.UID == own {
				continue
			}
			s, err := metav1.LabelSelectorAsSelector(o.Selector)
			if err != nil {
				return nil, fmt.Errorf("%s: its selector: %w", o, err)
			}
			if metav1.GetControllerOf(&pods[i]) != nil && s.Matches(labels.Set(pods[i].Labels)) {
				owner = o.String()
			}
		}
		names = append(names, owner)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// NewestPods lists the pods of the workload's newest revision only: those that
// an older revision still runs in the middle of a rollout are left out.
func (c *Cluster) NewestPods(ctx context.Context, w Workload) ([]corev1.Pod, error) {
	pods, err := c.selected(ctx, w)
	if err != nil || len(pods) == 0 {
		return nil, err
	}
	label, value, err := c.newestRevision(ctx, w)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Labels[label] != value }), nil
}

// newestRevision is the label and its value that the newest revision's pods
// carry. Before the controller made any revision, no pod carries it.
func (c *Cluster) newestRevision(ctx context.Context, w Workload) (label, value string, err error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return "", "", fmt.Errorf("%s: its selector: %w", w, err)
	}
	newest := int64(-1)
	if w.Kind == "Deployment" {
		sets, err := c.replicaSets(ctx, w.Namespace, selector)
		if err != nil {
			return "", "", err
		}
		for i := range sets {
			rs := &sets[i]
			if n := revisionOf(rs.Annotations); n > newest && metav1.IsControlledBy(rs, &metav1.ObjectMeta{UID: w.UID}) {
				newest, value = n, rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
			}
		}
		return appsv1.DefaultDeploymentUniqueLabelKey, value, nil
	}
	revisions, err := c.controllerRevisions(ctx, w.Namespace, selector)
	if err != nil {
		return "", "", err
	}
	for i := range revisions {
		r := &revisions[i]
		if r.Revision > newest && metav1.IsControlledBy(r, &metav1.ObjectMeta{UID: w.UID}) {
			newest, value = r.Revision, r.Name // a StatefulSet's pods carry the revision's name,
			if w.Kind == "DaemonSet" {         // a DaemonSet's its hash
				value = r.Labels[appsv1.ControllerRevisionHashLabelKey]
			}
		}
	}
	return appsv1.ControllerRevisionHashLabelKey, value, nil
}

// HasSidecar says whether the proxy runs beside the app, as a container or, as
// Kubernetes 1.29 and later allow, as an init container that keeps running.
func HasSidecar(spec corev1.PodSpec) bool {
	isProxy := func(c corev1.Container) bool { return c.Name == "istio-proxy" }
	return slices.ContainsFunc(spec.Containers, isProxy) || slices.ContainsFunc(spec.InitContainers, isProxy)
}

// Ready says whether the pod's Ready condition is true.
func Ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
