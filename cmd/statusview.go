package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// view is what status is told from: read once, then only looked at.
type view struct {
	routes    istio.Routes
	ingresses []istio.Ingress
	namespace []string // those that the rest was read of; "" is all
	services  []corev1.Service
	workloads []k8s.Workload
	pods      []corev1.Pod
	rules     []plan.State // DestinationRules that are grpcmesh's, of the namespace that was asked for
}

func look(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh, namespace string) (*view, error) {
	w := &view{}
	var err error
	if w.routes, err = mesh.Routes(ctx); err != nil {
		return nil, err
	}
	if w.ingresses, err = mesh.Ingresses(ctx); err != nil {
		return nil, err
	}
	if w.rules, err = mesh.OwnRules(ctx, namespace); err != nil {
		return nil, err
	}
	if err := w.read(ctx, cluster, namespace); err != nil {
		return nil, err
	}
	for _, other := range w.elsewhere(namespace) {
		// A user who may not look there is told nothing of those pods.
		if err := w.read(ctx, cluster, other); err != nil && !anyOf(err, apierrors.IsForbidden) {
			return nil, err
		}
	}
	return w, nil
}

// read adds what a namespace runs; all of it, or nothing.
func (w *view) read(ctx context.Context, cluster *k8s.Cluster, namespace string) error {
	services, err := cluster.Core.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	workloads, err := cluster.Workloads(ctx, namespace)
	if err != nil {
		return err
	}
	pods, err := cluster.Core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	w.namespace = append(w.namespace, namespace)
	w.services = append(w.services, services.Items...)
	w.workloads = append(w.workloads, workloads...)
	w.pods = append(w.pods, slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	})...)
	return nil
}

// knows says whether a namespace was read.
func (w *view) knows(namespace string) bool {
	return slices.Contains(w.namespace, "") || slices.Contains(w.namespace, namespace)
}

// elsewhere are the other namespaces that the routes of a namespace lead to.
func (w *view) elsewhere(namespace string) []string {
	var others []string
	for _, vs := range w.routes.VirtualServices {
		if vs.Namespace != namespace || !istio.BeyondMesh(vs) {
			continue
		}
		for _, rule := range vs.Spec.Http {
			destinations, err := istio.Destinations(rule, vs.Namespace)
			for _, d := range destinations {
				if err == nil && d.Namespace != "" && !w.knows(d.Namespace) {
					others = append(others, d.Namespace)
				}
			}
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}

// led gathers what an exposure's rules lead to.
type led struct {
	*view
	exposure           *report.Exposure
	problem            func(string, ...any)
	counted, uncounted int // Services whose pods could be looked at, and not
	told               []string
}

// to adds a destination. certain says that it is a Service and nothing else:
// a host of two labels may be a ServiceEntry's. Of a namespace that was not read
// only the name is told.
func (l *led) to(d istio.Destination, certain bool) {
	e, name := l.exposure, d.Service
	if d.Namespace == "" { // a ServiceEntry's at best
		if !slices.Contains(e.Services, name) {
			e.Services, l.uncounted = append(e.Services, name), l.uncounted+1
			l.problem("it leads to %s, which Istio takes for no Service: one of another namespace is written NAME.NAMESPACE.svc.cluster.local", name)
		}
		return
	}
	if d.Namespace != e.Namespace {
		name = d.Namespace + "/" + name
	}
	seen := slices.Contains(e.Services, name)
	if !seen {
		e.Services = append(e.Services, name)
	}
	i := slices.IndexFunc(l.services, func(s corev1.Service) bool { return s.Namespace == d.Namespace && s.Name == d.Service })
	switch {
	case i < 0 && !seen:
		if !certain || !l.knows(d.Namespace) {
			l.uncounted++
			break
		}
		l.problem("it leads to Service %s, which does not exist", name)
	case i < 0:
	case lacksPort(&l.services[i], d.Port):
		l.tell(fmt.Sprintf("it leads to port %d of Service %s, which has no such port (it has %s)", d.Port, name, portsOf(&l.services[i])))
	}
	if i >= 0 && !seen {
		l.count(&l.services[i])
	}
}

// tell adds a problem once, however many rules have it.
func (l *led) tell(problem string) {
	if !slices.Contains(l.told, problem) {
		l.told = append(l.told, problem)
		l.problem("%s", problem)
	}
}

// count adds the workloads and the pods that a Service selects.
func (l *led) count(s *corev1.Service) {
	if len(s.Spec.Selector) == 0 {
		l.uncounted++
		return
	}
	l.counted++
	e, selector := l.exposure, labels.SelectorFromSet(s.Spec.Selector)
	for _, w := range l.workloads {
		if w.Namespace == s.Namespace && selector.Matches(labels.Set(w.Template.Labels)) {
			name := w.String()
			if w.Namespace != e.Namespace {
				name = w.Namespace + "/" + name
			}
			e.Workloads = append(e.Workloads, name)
		}
	}
	for i := range l.pods {
		p := &l.pods[i]
		if p.Namespace != s.Namespace || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		e.Pods++
		if k8s.Ready(p) {
			e.Ready++
		}
		if k8s.HasSidecar(p.Spec) {
			e.Sidecars++
		}
	}
}

// lacksPort says whether a Service has no such port; 0 is none in particular.
func lacksPort(s *corev1.Service, port int) bool {
	return port != 0 && !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port })
}

func portsOf(s *corev1.Service) string {
	var ports []string
	for _, p := range s.Spec.Ports {
		ports = append(ports, strconv.Itoa(int(p.Port)))
	}
	return strings.Join(ports, ", ")
}

// written says whether a destination is a Service's by how the rule writes it:
// by its bare name, or in full.
func written(rule *networking.HTTPRoute, d istio.Destination) bool {
	return slices.ContainsFunc(rule.Route, func(r *networking.HTTPRouteDestination) bool {
		host := r.Destination.GetHost()
		return host == d.Service || strings.HasPrefix(host+".", d.Service+"."+d.Namespace+".svc.")
	})
}
