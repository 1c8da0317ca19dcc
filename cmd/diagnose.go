package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// follow notes which ports of which Services the gateways' routes lead to, and
// which of them for gRPC: by a gateway's port that is for GRPC.
func (d *checkup) follow() {
	d.led, d.grpcLed = map[string][]int{}, map[string][]int{}
	for _, vs := range d.routes.VirtualServices {
		if !istio.BeyondMesh(vs) {
			continue
		}
		grpc := slices.ContainsFunc(d.routes.Entrances(vs, d.ingresses), func(l istio.Listener) bool {
			return strings.EqualFold(l.Server.Port.GetProtocol(), "GRPC")
		}) || manifest.Owned(vs.Labels)
		for _, rule := range vs.Spec.Http {
			destinations, err := istio.Destinations(rule, vs.Namespace)
			if err != nil {
				continue
			}
			for _, to := range destinations {
				svc := d.service(to.Namespace, to.Service)
				if svc == nil {
					continue
				}
				port, key := to.Port, svc.Namespace+"/"+svc.Name
				if port == 0 && len(svc.Spec.Ports) == 1 {
					port = int(svc.Spec.Ports[0].Port)
				}
				if d.led[key] = append(d.led[key], port); grpc {
					d.grpcLed[key] = append(d.grpcLed[key], port)
				}
			}
		}
	}
}

func (d *checkup) service(namespace, name string) *corev1.Service {
	i := slices.IndexFunc(d.services, func(s corev1.Service) bool { return s.Namespace == namespace && s.Name == name })
	if i < 0 {
		return nil
	}
	return &d.services[i]
}

func (d *checkup) diagnoseGateways(ctx context.Context) error {
	for _, gw := range d.routes.Gateways {
		if d.namespace != "" && gw.Namespace != d.namespace {
			continue
		}
		found, orphan := d.routes.DiagnoseGateway(gw, d.gateways)
		d.found = append(d.found, found...)
		if orphan {
			if err := d.diagnoseOrphan(ctx, gw); err != nil {
				return err
			}
		}
		for _, in := range istio.SelectedBy(gw, d.ingresses) {
			if f, ok := in.TooOld(); ok {
				d.tell(f) // once, whoever selects it
			}
		}
		for _, in := range d.ingresses {
			waits := in.Type == corev1.ServiceTypeLoadBalancer && len(in.Addresses) == 0
			if waits && labels.SelectorFromSet(gw.Spec.Selector).Matches(labels.Set(in.Selector)) {
				d.tell(finding.New(finding.NoAddress, in.Namespace, "Service/"+in.Service, "its load balancer has no address yet, so nothing outside reaches the gateway by it",
					fmt.Sprintf("See why: kubectl -n %s describe service %s; a node's port, or a port-forward, does meanwhile.", in.Namespace, in.Service)))
			}
		}
	}
	return nil
}

// diagnoseOrphan looks for pods that a Gateway selects and that stand behind no
// ingress gateway's Service: an egress gateway's, say.
func (d *checkup) diagnoseOrphan(ctx context.Context, gw *clientnet.Gateway) error {
	selector := istio.FormatSelector(gw.Spec.Selector)
	pods, err := d.cluster.Core.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 1})
	switch {
	case apierrors.IsForbidden(err):
		d.tell(finding.New(finding.Unchecked, gw.Namespace, "Gateway/"+gw.Name, "whether any pod has the labels that it selects ("+selector+") is unchecked: this user may not list pods in all namespaces", ""))
	case err != nil:
		return fmt.Errorf("listing pods in all namespaces: %w", err)
	case len(pods.Items) == 0:
		d.tell(finding.New(finding.SelectsNoPods, gw.Namespace, "Gateway/"+gw.Name, "no pod has the labels that it selects: "+selector,
			"Select the gateway's pods by the selector of its Service; there are: "+d.selectors()))
	}
	return nil
}

func (d *checkup) selectors() string {
	var all []string
	for _, in := range d.gateways {
		all = append(all, istio.FormatSelector(in.Selector))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

func (d *checkup) diagnoseRoutes() {
	for _, vs := range d.routes.VirtualServices {
		if d.namespace != "" && vs.Namespace != d.namespace || !istio.BeyondMesh(vs) || len(vs.Spec.Hosts) == 0 {
			continue
		}
		d.found = append(d.found, d.routes.DiagnoseRoute(vs, d.gateways)...)
		for _, rule := range vs.Spec.Http {
			destinations, _ := istio.Destinations(rule, vs.Namespace)
			for _, to := range destinations {
				d.diagnoseDestination(vs, to, written(rule, to))
			}
		}
	}
}

// diagnoseDestination holds where a route leads against the Services. certain
// says that a Service is meant, and no ServiceEntry.
func (d *checkup) diagnoseDestination(vs *clientnet.VirtualService, to istio.Destination, certain bool) {
	tell := func(code, reason, next string) {
		d.tell(finding.New(code, vs.Namespace, "VirtualService/"+vs.Name, reason, next))
	}
	if !certain || !d.knows(to.Namespace) {
		return
	}
	svc := d.service(to.Namespace, to.Service)
	switch {
	case svc == nil:
		tell(finding.NoService, fmt.Sprintf("it leads to Service %s/%s, which does not exist", to.Namespace, to.Service),
			"See which there are: kubectl -n "+to.Namespace+" get services")
		return
	case lacksPort(svc, to.Port):
		tell(finding.NoService, fmt.Sprintf("it leads to port %d of Service %s/%s, which has no such port (it has %s)", to.Port, svc.Namespace, svc.Name, portsOf(svc)),
			"Name one of those in the rule's destination.")
		return
	case len(svc.Spec.Selector) == 0:
		return
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	if !slices.ContainsFunc(d.pods, func(p corev1.Pod) bool {
		return p.Namespace == svc.Namespace && selector.Matches(labels.Set(p.Labels)) && k8s.Ready(&p)
	}) {
		f := finding.New(finding.NoReadyPod, vs.Namespace, "VirtualService/"+vs.Name, fmt.Sprintf("it leads to Service %s/%s, behind which no pod is ready", svc.Namespace, svc.Name),
			fmt.Sprintf("See what holds them up: kubectl -n %s get pods -l %s", svc.Namespace, selector))
		behind := slices.DeleteFunc(slices.Clone(d.workloads), func(w k8s.Workload) bool {
			return w.Namespace != svc.Namespace || !selector.Matches(labels.Set(w.Template.Labels))
		})
		if len(behind) > 0 && !slices.ContainsFunc(behind, func(w k8s.Workload) bool { return w.Replicas > 0 }) {
			f.Severity, f.Reason = finding.Warning, f.Reason+": what it selects is scaled to 0"
			f.Next = fmt.Sprintf("If it is to serve, scale it: kubectl -n %s scale %s/%s --replicas 1", svc.Namespace, strings.ToLower(behind[0].Kind), behind[0].Name)
		}
		d.tell(f)
	}
}

// diagnoseNamespaces judges the labels of namespaces with workloads that speak
// gRPC.
func (d *checkup) diagnoseNamespaces() {
	for name, ns := range d.namespaces {
		if !d.within(name) || !slices.ContainsFunc(d.workloads, func(w k8s.Workload) bool { return w.Namespace == name && len(d.grpcPorts(w)) > 0 }) {
			continue
		}
		object := "Namespace/" + name
		if ns.Status.Phase == corev1.NamespaceTerminating {
			d.soft(finding.New(finding.Terminating, "", object, "it is being deleted", ""))
			continue
		}
		if both := istio.LabelsOf(ns.Labels); len(both) > 0 {
			d.tell(finding.New(finding.TwoLabels, "", object, "it carries "+strings.Join(both, " and ")+"; only one has a say, and which depends on the mesh's version",
				"Keep one: kubectl label namespace "+name+" KEY-"))
		}
		if d.unlisted || len(d.injectors) == 0 {
			continue
		}
		_, err := istio.DecideInjection(d.injectors, ns, "", corev1.PodTemplateSpec{}, "")
		found, _ := findingsIn(err)
		for _, f := range found {
			switch f.Code {
			case finding.Stale:
				d.tell(f)
			case finding.OptedOut, finding.Ambient: // someone's choice
				d.soft(f)
			}
		}
	}
}
