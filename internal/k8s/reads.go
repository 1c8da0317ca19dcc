package k8s

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// where says in words what a list is of.
func where(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "all namespaces"
	}
	return "namespace " + namespace
}

func labelled[T any, P interface {
	*T
	metav1.Object
}](t *T) (string, map[string]string) {
	return P(t).GetNamespace(), P(t).GetLabels()
}

// ReadNamespace reads one namespace.
func (c *Cluster) ReadNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return Recall(c, "Namespace", name, func() (*corev1.Namespace, error) {
		if c.memory != nil && c.memory.reach == Everywhere {
			all, err := c.namespaces(ctx)
			if err == nil && all[name] != nil {
				return all[name], nil
			}
			if err != nil && !apierrors.IsForbidden(err) {
				return nil, err
			}
		}
		return c.Core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	})
}

func (c *Cluster) namespaces(ctx context.Context) (map[string]*corev1.Namespace, error) {
	return Recall(c, "Namespace", "", func() (map[string]*corev1.Namespace, error) {
		list, err := c.Core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		all := map[string]*corev1.Namespace{}
		for i := range list.Items {
			all[list.Items[i].Name] = &list.Items[i]
		}
		return all, nil
	})
}

// NamespaceNames are the names of the cluster's namespaces.
func (c *Cluster) NamespaceNames(ctx context.Context) ([]string, error) {
	all, err := c.namespaces(ctx)
	return slices.Sorted(maps.Keys(all)), err
}

// AllServices lists the Services of the whole cluster.
func (c *Cluster) AllServices(ctx context.Context) ([]corev1.Service, error) {
	p, err := c.servicePool(ctx, metav1.NamespaceAll)
	if err != nil {
		return nil, err
	}
	return p.items, nil
}

// servicePool holds Services, marked by the first label of their selector.
func (c *Cluster) servicePool(ctx context.Context, namespace string) (*pool[corev1.Service], error) {
	if c.memory != nil { // a run looks for gateways everywhere anyway
		namespace = metav1.NamespaceAll
	}
	return Recall(c, "Service", namespace, func() (*pool[corev1.Service], error) {
		list, err := c.Core.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing Services in %s: %w", where(namespace), err)
		}
		return newPool(list.Items, func(s *corev1.Service) (string, map[string]string) {
			for _, key := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
				return s.Namespace, map[string]string{key: s.Spec.Selector[key]}
			}
			return s.Namespace, nil
		}), nil
	})
}

// service reads one Service; where a run has listed them, from there.
func (c *Cluster) service(ctx context.Context, namespace, name string) (*corev1.Service, error) {
	if c.memory == nil {
		return c.Core.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	p, err := c.servicePool(ctx, namespace)
	if err != nil {
		return nil, err
	}
	byName, err := Recall(c, "Service", "by name", func() (map[string]*corev1.Service, error) {
		all := map[string]*corev1.Service{}
		for i := range p.items {
			all[p.items[i].Namespace+"/"+p.items[i].Name] = &p.items[i]
		}
		return all, nil
	})
	if s := byName[namespace+"/"+name]; s != nil || err != nil {
		return s, err
	}
	return nil, apierrors.NewNotFound(corev1.Resource("services"), name)
}

// PodsBy lists a namespace's pods by a selector, those that have ended or are on
// their way out included.
func (c *Cluster) PodsBy(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	p, err := listed(ctx, c, "Pod", namespace, selector, labelled[corev1.Pod],
		func(ctx context.Context, namespace string, opts metav1.ListOptions) ([]corev1.Pod, error) {
			list, err := c.Core.CoreV1().Pods(namespace).List(ctx, opts)
			if err != nil {
				return nil, err
			}
			return list.Items, nil
		})
	if err != nil {
		return nil, fmt.Errorf("listing pods in namespace %s: %w", namespace, err)
	}
	return p.matching(namespace, selector), nil
}

func (c *Cluster) replicaSets(ctx context.Context, namespace string, selector labels.Selector) ([]appsv1.ReplicaSet, error) {
	p, err := listed(ctx, c, "ReplicaSet", namespace, selector, labelled[appsv1.ReplicaSet],
		func(ctx context.Context, namespace string, opts metav1.ListOptions) ([]appsv1.ReplicaSet, error) {
			list, err := c.Core.AppsV1().ReplicaSets(namespace).List(ctx, opts)
			if err != nil {
				return nil, err
			}
			return list.Items, nil
		})
	if err != nil {
		return nil, fmt.Errorf("listing ReplicaSets in namespace %s: %w", namespace, err)
	}
	return p.matching(namespace, selector), nil
}

func (c *Cluster) controllerRevisions(ctx context.Context, namespace string, selector labels.Selector) ([]appsv1.ControllerRevision, error) {
	p, err := listed(ctx, c, "ControllerRevision", namespace, selector, labelled[appsv1.ControllerRevision],
		func(ctx context.Context, namespace string, opts metav1.ListOptions) ([]appsv1.ControllerRevision, error) {
			list, err := c.Core.AppsV1().ControllerRevisions(namespace).List(ctx, opts)
			if err != nil {
				return nil, err
			}
			return list.Items, nil
		})
	if err != nil {
		return nil, fmt.Errorf("listing ControllerRevisions in namespace %s: %w", namespace, err)
	}
	return p.matching(namespace, selector), nil
}

// remembered is the workload as the run has listed it.
func (c *Cluster) remembered(ctx context.Context, w Workload) (now Workload, err error) {
	all, err := c.Workloads(ctx, w.Namespace)
	if err != nil {
		return w, err
	}
	by, err := Recall(c, "Workload", w.Namespace+" by UID", func() (map[types.UID]*Workload, error) {
		by := map[types.UID]*Workload{}
		for i := range all {
			by[all[i].UID] = &all[i]
		}
		return by, nil
	})
	if err != nil {
		return w, err
	}
	if by[w.UID] == nil {
		return w, &NotReadyError{Subject: w.String(), Cause: "it was deleted meanwhile"}
	}
	return *by[w.UID], nil
}

func (c *Cluster) workloadsOf(ctx context.Context, namespace string) ([]Workload, error) {
	apps := c.Core.AppsV1()
	var deployments *appsv1.DeploymentList
	var sets *appsv1.StatefulSetList
	var daemons *appsv1.DaemonSetList
	lists := []struct {
		kind string
		read func() error
	}{
		{"Deployments", func() (err error) {
			deployments, err = apps.Deployments(namespace).List(ctx, metav1.ListOptions{})
			return err
		}},
		{"StatefulSets", func() (err error) {
			sets, err = apps.StatefulSets(namespace).List(ctx, metav1.ListOptions{})
			return err
		}},
		{"DaemonSets", func() (err error) {
			daemons, err = apps.DaemonSets(namespace).List(ctx, metav1.ListOptions{})
			return err
		}},
	}
	errs := make([]error, len(lists))
	AtOnce(len(lists), InFlight, func(i int) { errs[i] = lists[i].read() }, nil)
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("listing %s in %s: %w", lists[i].kind, where(namespace), err)
		}
	}
	var all []Workload
	for i := range deployments.Items {
		all = append(all, fromDeployment(&deployments.Items[i]))
	}
	for i := range sets.Items {
		all = append(all, fromStatefulSet(&sets.Items[i]))
	}
	for i := range daemons.Items {
		all = append(all, fromDaemonSet(&daemons.Items[i]))
	}
	return all, nil
}
