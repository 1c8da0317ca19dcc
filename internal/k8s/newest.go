package k8s

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// workload is the workload as it is now, and the object that it is made from;
// nil, where it was not listed yet, or not as this run has last made it. One that
// is gone, or that another of its name has replaced, is a *NotReadyError.
func (l *watching) workload(w Workload) (Workload, runtime.Object, error) {
	apps, opts := l.cluster.Core.AppsV1(), metav1.ListOptions{}
	if l.narrow {
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", w.Name).String()
	}
	from := sourceOf(apps.Deployments(w.Namespace))
	switch w.Kind {
	case "StatefulSet":
		from = sourceOf(apps.StatefulSets(w.Namespace))
	case "DaemonSet":
		from = sourceOf(apps.DaemonSets(w.Namespace))
	}
	all, known, err := l.mirror(w.Kind, w.Namespace, from, opts).all()
	if err != nil || !known {
		return w, nil, err
	}
	l.mu.Lock()
	newest := l.written[w.UID]
	l.mu.Unlock()
	for _, o := range all {
		if now := workloadOf(o); now.UID == w.UID {
			if now.generation < newest {
				return now, nil, nil
			}
			return now, o, nil
		}
	}
	return w, nil, &NotReadyError{Subject: w.String(), Cause: "it was deleted meanwhile"}
}

// newestPods are the pods of the newest revision of a workload that was just
// looked at; not known, where its controller is yet to make the revision, or
// something is yet to be listed.
func (l *watching) newestPods(now Workload) (pods []corev1.Pod, known bool) {
	label, value := l.newestRevision(now)
	selector, err := metav1.LabelSelectorAsSelector(now.Selector)
	if err != nil || value == "" || !now.observed {
		return nil, false
	}
	return l.podsWith(now, func(p *corev1.Pod) bool { return p.Labels[label] == value && selector.Matches(labels.Set(p.Labels)) })
}

// podsWith are those of the workload's namespace that are as wanted; known, if
// they were listed.
func (l *watching) podsWith(w Workload, wanted func(*corev1.Pod) bool) (pods []corev1.Pod, known bool) {
	all, known, _ := l.mirror("Pod", w.Namespace, sourceOf(l.cluster.Core.CoreV1().Pods(w.Namespace)), l.selected(w)).all()
	for _, o := range all {
		if p, ok := o.(*corev1.Pod); ok && wanted(p) {
			pods = append(pods, *p)
		}
	}
	return lasting(pods), known
}

// pods are the workload's pods, as Cluster.Pods has them; known, if they and
// their owners were listed.
func (l *watching) pods(w Workload) (pods []corev1.Pod, known bool) {
	l.mu.Lock()
	watched := !l.over && l.mirrors[w.Namespace] != nil
	l.mu.Unlock()
	if !watched {
		return nil, false
	}
	owners := l.owners(w)
	if len(owners) == 0 {
		return nil, false
	}
	return l.podsWith(w, func(p *corev1.Pod) bool { return controlled(p, owners) })
}

// owners are what the workload's pods are controlled by.
func (l *watching) owners(w Workload) []types.UID {
	if w.Kind != "Deployment" {
		return []types.UID{w.UID}
	}
	var owners []types.UID
	for _, rs := range l.replicaSets(w) {
		owners = append(owners, rs.UID)
	}
	return owners
}

// newestRevision is the label and its value that the newest revision's pods
// carry. It is the revision that the workload itself names, as far as it does: a
// watch may be behind another.
func (l *watching) newestRevision(now Workload) (label, value string) {
	if now.Kind == "StatefulSet" {
		return appsv1.ControllerRevisionHashLabelKey, now.revision
	}
	if now.Kind == "Deployment" {
		for _, rs := range l.replicaSets(now) {
			if rs.Annotations[revisionAnnotation] == now.revision {
				value = rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
			}
		}
		return appsv1.DefaultDeploymentUniqueLabelKey, value
	}
	all, _, _ := l.mirror("ControllerRevision", now.Namespace, sourceOf(l.cluster.Core.AppsV1().ControllerRevisions(now.Namespace)), l.selected(now)).all()
	newest := int64(-1)
	for _, o := range all {
		if r, ok := o.(*appsv1.ControllerRevision); ok && r.Revision > newest && metav1.IsControlledBy(r, &metav1.ObjectMeta{UID: now.UID}) {
			newest, value = r.Revision, r.Labels[appsv1.ControllerRevisionHashLabelKey]
		}
	}
	return appsv1.ControllerRevisionHashLabelKey, value
}

// replicaSets are those of a Deployment.
func (l *watching) replicaSets(w Workload) (sets []*appsv1.ReplicaSet) {
	all, _, _ := l.mirror("ReplicaSet", w.Namespace, sourceOf(l.cluster.Core.AppsV1().ReplicaSets(w.Namespace)), l.selected(w)).all()
	for _, o := range all {
		if rs, ok := o.(*appsv1.ReplicaSet); ok && metav1.IsControlledBy(rs, &metav1.ObjectMeta{UID: w.UID}) {
			sets = append(sets, rs)
		}
	}
	return sets
}

// failedCreate is why the workload's newest pods were not made, by the last
// event since then, or "".
func (l *watching) failedCreate(w Workload, since time.Time) string {
	all, _, _ := l.mirror("Event", w.Namespace, sourceOf(l.cluster.Core.CoreV1().Events(w.Namespace)), metav1.ListOptions{FieldSelector: failedCreates}).all()
	var events []corev1.Event
	for _, o := range all {
		if e, ok := o.(*corev1.Event); ok {
			events = append(events, *e)
		}
	}
	return lastOf(events, l.owners(w), since)
}

func revisionOf(annotations map[string]string) int64 {
	n, err := strconv.ParseInt(annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
