package k8s

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
)

// Workload is a Deployment, StatefulSet or DaemonSet, as far as grpcmesh cares.
type Workload struct {
	Kind, Namespace, Name string
	UID                   types.UID
	Labels                map[string]string // its own, not its pods'
	ResourceVersion       string
	Selector              *metav1.LabelSelector
	Template              corev1.PodTemplateSpec
	Replicas              int32          // wanted; 1 for a DaemonSet, whose nodes decide
	Paused                bool           // a paused Deployment rolls nothing out
	OnDelete              bool           // the controller replaces no pod by itself
	Partition             int32          // of a StatefulSet: its first so many pods keep the older revision
	firstOrdinal          int32          // of a StatefulSet's pods
	Recreate              bool           // every pod stops before a new one starts
	MaxUnavailable        int32          // pods that a rollout may take away at once, rounded as its controller does
	observed              bool           // the controller has seen the newest template
	generation            int64          // of the object
	revision              string         // the newest: a Deployment's number, a StatefulSet's name for it; or ""
	from                  runtime.Object // what it was made of
}

// revisionAnnotation is on a Deployment and its ReplicaSets: their revision's number.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// String is "Kind/name".
func (w Workload) String() string { return w.Kind + "/" + w.Name }

// Arg is "kind/name", as an argument names it.
func (w Workload) Arg() string { return strings.ToLower(w.Kind) + "/" + w.Name }

// PodLabels are the labels that a Service selects this workload's pods by.
func (w Workload) PodLabels() map[string]string {
	if len(w.Selector.MatchLabels) > 0 {
		return w.Selector.MatchLabels
	}
	return w.Template.Labels
}

// Workloads lists what a namespace runs of the three kinds, by kind and name.
// Whoever asks for them must not change them.
func (c *Cluster) Workloads(ctx context.Context, namespace string) ([]Workload, error) {
	return Recall(c, "Workload", namespace, func() ([]Workload, error) {
		if c.memory != nil && c.memory.reach == Everywhere {
			all, err := Recall(c, "Workload", "everywhere", func() (map[string][]Workload, error) {
				all, err := c.workloadsOf(ctx, metav1.NamespaceAll)
				by := map[string][]Workload{}
				for i := range all {
					by[all[i].Namespace] = append(by[all[i].Namespace], all[i])
				}
				return by, err
			})
			if !apierrors.IsForbidden(err) {
				return all[namespace], err
			}
		}
		return c.workloadsOf(ctx, namespace)
	})
}

// Runs lists the namespace's CronJobs, and its Jobs that are yet to end and no
// CronJob's. Where this user may not list them, it has none.
func (c *Cluster) Runs(ctx context.Context, namespace string) ([]Workload, error) {
	batch := c.Core.BatchV1()
	crons, err := batch.CronJobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("listing CronJobs in namespace %s: %w", namespace, err)
	}
	jobs, err := batch.Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("listing Jobs in namespace %s: %w", namespace, err)
	}
	var runs []Workload
	if crons != nil {
		for i := range crons.Items {
			runs = append(runs, workload("CronJob", &crons.Items[i], nil, crons.Items[i].Spec.JobTemplate.Spec.Template, nil))
		}
	}
	if jobs != nil {
		for i := range jobs.Items {
			if j := &jobs.Items[i]; metav1.GetControllerOf(j) == nil && !ended(j) {
				runs = append(runs, workload("Job", j, nil, j.Spec.Template, nil))
			}
		}
	}
	return runs, nil
}

func ended(j *batchv1.Job) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// read gets the workload as it is now. One that is gone, or that another of its
// name has replaced, is a *NotReadyError.
func (c *Cluster) read(ctx context.Context, w Workload) (now Workload, err error) {
	apps := c.Core.AppsV1()
	switch w.Kind {
	case "Deployment":
		d, e := apps.Deployments(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		now, err = fromDeployment(d), e
	case "StatefulSet":
		s, e := apps.StatefulSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		now, err = fromStatefulSet(s), e
	case "DaemonSet":
		d, e := apps.DaemonSets(w.Namespace).Get(ctx, w.Name, metav1.GetOptions{})
		now, err = fromDaemonSet(d), e
	}
	if apierrors.IsNotFound(err) || err == nil && now.UID != w.UID {
		return w, &NotReadyError{Subject: w.String(), Cause: "it was deleted meanwhile"}
	}
	if err != nil {
		return w, fmt.Errorf("reading %s in namespace %s: %w", w, w.Namespace, err)
	}
	return now, nil
}

// workloadOf is the workload of an object of the three kinds.
func workloadOf(obj runtime.Object) Workload {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return fromDeployment(o)
	case *appsv1.StatefulSet:
		return fromStatefulSet(o)
	case *appsv1.DaemonSet:
		return fromDaemonSet(o)
	}
	return Workload{}
}

func fromDeployment(d *appsv1.Deployment) Workload {
	w := workload("Deployment", d, d.Spec.Selector, d.Spec.Template, d.Spec.Replicas)
	w.from = d
	w.Paused = d.Spec.Paused
	w.Recreate = d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		w.MaxUnavailable = scaled(r.MaxUnavailable, w.Replicas, false)
		if w.MaxUnavailable == 0 && scaled(r.MaxSurge, w.Replicas, true) == 0 {
			w.MaxUnavailable = 1 // lest no rollout ever moved: ResolveFenceposts of the Deployment controller
		}
	}
	w.observed = d.Status.ObservedGeneration >= d.Generation
	w.revision = d.Annotations[revisionAnnotation]
	return w
}

func fromStatefulSet(s *appsv1.StatefulSet) Workload {
	w := workload("StatefulSet", s, s.Spec.Selector, s.Spec.Template, s.Spec.Replicas)
	w.from = s
	w.OnDelete = s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil && !w.OnDelete {
		w.Partition = *r.Partition
	}
	if s.Spec.Ordinals != nil {
		w.firstOrdinal = s.Spec.Ordinals.Start
	}
	w.MaxUnavailable = 1 // one after another
	// Its pods get a volume for each claim; a pod rehearsed without them
	// would be refused.
	for _, claim := range s.Spec.VolumeClaimTemplates {
		w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + s.Name + "-0"},
		}})
	}
	w.observed = s.Status.ObservedGeneration >= s.Generation
	w.revision = s.Status.UpdateRevision
	return w
}

func fromDaemonSet(d *appsv1.DaemonSet) Workload {
	w := workload("DaemonSet", d, d.Spec.Selector, d.Spec.Template, nil)
	w.from = d
	w.OnDelete = d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	w.Replicas = d.Status.DesiredNumberScheduled
	if r := d.Spec.UpdateStrategy.RollingUpdate; r != nil && w.Replicas > 0 {
		w.MaxUnavailable = scaled(r.MaxUnavailable, w.Replicas, true)
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
		UID: obj.GetUID(), Labels: obj.GetLabels(), ResourceVersion: obj.GetResourceVersion(), generation: obj.GetGeneration(),
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
	for i := range all {
		if w := &all[i]; (name == "" || w.Name == name) && (kind == "" || w.Kind == kind) {
			found = append(found, *w)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	e := &manifest.TargetError{Code: finding.WhichWorkload}
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
		e.Candidates = append(e.Candidates, w.Arg())
	}
	e.Hint = "Name one: " + e.Candidates[0]
	return Workload{}, e
}

// InPlace says whether a restart takes each pod away before it makes the next,
// as far as the strategy alone tells.
func (w Workload) InPlace() bool { return w.Kind != "Deployment" || w.Recreate }

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

// Held names those of the workload's pods that have no sidecar and that a
// restart leaves as they are, because the StatefulSet's partition is above them.
func (w Workload) Held(pods []corev1.Pod) []string {
	var held []string
	for i := range pods {
		ordinal, err := strconv.ParseInt(pods[i].Name[strings.LastIndex(pods[i].Name, "-")+1:], 10, 32)
		if err == nil && int32(ordinal)-w.firstOrdinal < w.Partition && !HasSidecar(pods[i].Spec) {
			held = append(held, pods[i].Name)
		}
	}
	return held
}
