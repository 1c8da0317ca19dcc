package k8s

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"

	"grpcmesh/internal/manifest"
)

// Workload is a Deployment, StatefulSet or DaemonSet, as far as grpcmesh cares.
type Workload struct {
	Kind, Namespace, Name string
	UID                   types.UID
	ResourceVersion       string
	Selector              *metav1.LabelSelector
	Template              corev1.PodTemplateSpec
	Replicas              int32 // wanted; 1 for a DaemonSet, whose nodes decide
	Paused                bool  // a paused Deployment rolls nothing out
	OnDelete              bool  // the controller replaces no pod by itself
	Recreate              bool  // every pod stops before a new one starts
	MaxUnavailable        int32 // pods that a rollout may take away at once, rounded as its controller does
	observed              bool  // the controller has seen the newest template
}

// String is "Kind/name".
func (w Workload) String() string { return w.Kind + "/" + w.Name }

// PodLabels are the labels that a Service selects this workload's pods by.
func (w Workload) PodLabels() map[string]string {
	if len(w.Selector.MatchLabels) > 0 {
		return w.Selector.MatchLabels
	}
	return w.Template.Labels
}

// Workloads lists what a namespace runs of the three kinds, by kind and name.
func (c *Cluster) Workloads(ctx context.Context, namespace string) ([]Workload, error) {
	apps := c.Core.AppsV1()
	deployments, err := apps.Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Deployments in namespace %s: %w", namespace, err)
	}
	sets, err := apps.StatefulSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing StatefulSets in namespace %s: %w", namespace, err)
	}
	daemons, err := apps.DaemonSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing DaemonSets in namespace %s: %w", namespace, err)
	}
	var all []Workload
	for i := range deployments.Items {
		all = append(all, fromDeployment(&deployments.Items[i]))
	}
	for i := range sets.Items {
		s := &sets.Items[i]
		w := workload("StatefulSet", s, s.Spec.Selector, s.Spec.Template, s.Spec.Replicas)
		w.OnDelete = s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
		w.MaxUnavailable = 1 // one after another
		// Its pods get a volume for each claim; a pod rehearsed without them
		// would be refused.
		for _, claim := range s.Spec.VolumeClaimTemplates {
			w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + s.Name + "-0"},
			}})
		}
		w.observed = s.Status.ObservedGeneration >= s.Generation
		all = append(all, w)
	}
	for i := range daemons.Items {
		d := &daemons.Items[i]
		w := workload("DaemonSet", d, d.Spec.Selector, d.Spec.Template, nil)
		w.OnDelete = d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
		w.Replicas = d.Status.DesiredNumberScheduled
		if r := d.Spec.UpdateStrategy.RollingUpdate; r != nil && w.Replicas > 0 {
			w.MaxUnavailable = scaled(r.MaxUnavailable, w.Replicas, true)
		}
		w.observed = d.Status.ObservedGeneration >= d.Generation
		all = append(all, w)
	}
	return all, nil
}

func fromDeployment(d *appsv1.Deployment) Workload {
	w := workload("Deployment", d, d.Spec.Selector, d.Spec.Template, d.Spec.Replicas)
	w.Paused = d.Spec.Paused
	w.Recreate = d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		w.MaxUnavailable = scaled(r.MaxUnavailable, w.Replicas, false)
		if w.MaxUnavailable == 0 && scaled(r.MaxSurge, w.Replicas, true) == 0 {
			w.MaxUnavailable = 1 // lest no rollout ever moved: ResolveFenceposts of the Deployment controller
		}
	}
	w.observed = d.Status.ObservedGeneration >= d.Generation
	return w
}

// scaled is a number or a share of the replicas; a Deployment's controller
// rounds shares down, a DaemonSet's up.
func scaled(v *intstr.IntOrString, replicas int32, up bool) int32 {
	if v == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(v, int(replicas), up)
	if err != nil { // the API server takes no other form
		return 0
	}
	return int32(n)
}

func workload(kind string, obj metav1.Object, selector *metav1.LabelSelector, template corev1.PodTemplateSpec, replicas *int32) Workload {
	w := Workload{
		Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName(),
		UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
		Selector: selector, Template: template, Replicas: 1,
	}
	if replicas != nil {
		w.Replicas = *replicas
	}
	return w
}

// Choose picks the workload that the argument names: "" for the only one,
// "NAME" or "KIND/NAME". Anything but exactly one is a *manifest.TargetError
// with the candidates.
func Choose(all []Workload, namespace, arg string) (Workload, error) {
	var kind, name string
	if arg != "" {
		var err error
		if kind, name, err = manifest.ParseWorkload(arg); err != nil {
			return Workload{}, err
		}
	}
	var found []Workload
	for _, w := range all {
		if (name == "" || w.Name == name) && (kind == "" || w.Kind == kind) {
			found = append(found, w)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	e := &manifest.TargetError{}
	switch {
	case len(all) == 0:
		e.What = "no Deployment, StatefulSet or DaemonSet in namespace " + namespace
		e.Hint = "Deploy the gRPC server first, or name another namespace with -n."
		return Workload{}, e
	case len(found) == 0:
		e.What = fmt.Sprintf("no workload %s in namespace %s; there are", arg, namespace)
		found = all
	default:
		e.What = fmt.Sprintf("%d workloads in namespace %s fit; which one?", len(found), namespace)
	}
	for _, w := range found {
		e.Candidates = append(e.Candidates, strings.ToLower(w.Kind)+"/"+w.Name)
	}
	e.Hint = "Name one: grpcmesh expose " + e.Candidates[0] + " -n " + namespace
	return Workload{}, e
}

// Pods lists the workload's pods that are not on their way out, oldest first.
func (c *Cluster) Pods(ctx context.Context, w Workload) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return nil, fmt.Errorf("%s: its selector: %w", w, err)
	}
	return c.podsBy(ctx, w.Namespace, selector)
}

func (c *Cluster) podsBy(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	list, err := c.Core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("listing pods in namespace %s: %w", namespace, err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		if d := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return pods, nil
}

// NewestPods lists the pods of the workload's newest revision only: those that
// an older revision still runs in the middle of a rollout are left out.
func (c *Cluster) NewestPods(ctx context.Context, w Workload) ([]corev1.Pod, error) {
	pods, err := c.Pods(ctx, w)
	if err != nil {
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
	opts := metav1.ListOptions{LabelSelector: selector.String()}
	newest := int64(-1)
	if w.Kind == "Deployment" {
		sets, err := c.Core.AppsV1().ReplicaSets(w.Namespace).List(ctx, opts)
		if err != nil {
			return "", "", fmt.Errorf("listing ReplicaSets in namespace %s: %w", w.Namespace, err)
		}
		for i := range sets.Items {
			rs := &sets.Items[i]
			n, err := strconv.ParseInt(rs.Annotations["deployment.kubernetes.io/revision"], 10, 64)
			if err == nil && n > newest && metav1.IsControlledBy(rs, &metav1.ObjectMeta{UID: w.UID}) {
				newest, value = n, rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
			}
		}
		return appsv1.DefaultDeploymentUniqueLabelKey, value, nil
	}
	revisions, err := c.Core.AppsV1().ControllerRevisions(w.Namespace).List(ctx, opts)
	if err != nil {
		return "", "", fmt.Errorf("listing ControllerRevisions in namespace %s: %w", w.Namespace, err)
	}
	for i := range revisions.Items {
		r := &revisions.Items[i]
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

// Gap is why a restart of the workload leaves no pod in service for a while, or
// "": kubectl's own default strategy leaves none.
func (w Workload) Gap() string {
	if w.Recreate {
		return "its strategy is Recreate, so a restart stops every pod before the first new one starts"
	}
	if w.Replicas > 0 && w.MaxUnavailable >= w.Replicas {
		return fmt.Sprintf("its strategy lets %d of %d pods be away at once, so a restart may leave none in service", w.MaxUnavailable, w.Replicas)
	}
	return ""
}

// Observed reads the workload anew, until its controller has taken notice of
// its newest template: only then are there pods, or a revision, to judge.
func (c *Cluster) Observed(ctx context.Context, w Workload) (Workload, error) {
	var latest Workload
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		all, err := c.Workloads(ctx, w.Namespace)
		if err != nil {
			return false, err
		}
		for _, now := range all {
			if now.UID == w.UID {
				latest = now
				return now.observed, nil
			}
		}
		return false, &NotReadyError{Subject: w.String(), Cause: "it was deleted meanwhile"}
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return w, &NotReadyError{Subject: w.String(), Cause: "its controller takes no notice of it",
			Hint: "Is the cluster's controller manager running?"}
	}
	return latest, err
}
