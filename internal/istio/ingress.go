package istio

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/k8s"
)

// statusPort is the port that a gateway answers its own health on; no traffic
// belongs there.
const statusPort = 15021

// untranslatedLabel is pilot's DisableGatewayPortTranslationLabel.
const untranslatedLabel = "experimental.istio.io/disable-gateway-port-translation"

// Ingress is one gateway of the mesh: the Service in front, and its pods.
type Ingress struct {
	Namespace string
	Service   string
	Type      corev1.ServiceType
	Selector  map[string]string // the Service's own, all of it
	Ports     []IngressPort
	Addresses []string     // of the load balancer, else of nothing: IPs and host names
	ClusterIP string       // inside the cluster
	Pods      []corev1.Pod // ready ones
	Asleep    bool         // there are no pods at all: scaled to 0, or never started
	// Untranslated: a Gateway's numbers are then the pods' ports, not this
	// Service's; Knative asks Istio for that on a second Service of its own.
	Untranslated bool
	Keeper       Keeper // who writes its ports
}

// String is "namespace/service".
func (i Ingress) String() string { return i.Namespace + "/" + i.Service }

// IngressPort is one port of a gateway's Service.
type IngressPort struct {
	Port     int    // the Service's, the one that a Gateway names
	Target   int    // the pods'
	NodePort int    // 0: none
	Name     string // the Service's name for it
	Barred   string // why the pods can't be listening there; empty: they can
	Secured  bool   // what is to be served there is TLS
}

// Port is the port of that number.
func (i Ingress) Port(number int) (IngressPort, bool) {
	for _, p := range i.Ports {
		if p.Port == number {
			return p, true
		}
	}
	return IngressPort{}, false
}

// listensOn is the port of the pods that a Gateway's port number stands for: a
// number that the Service does not open is taken as the pods' own.
func (i Ingress) listensOn(number int) int {
	if p, ok := i.Port(number); ok && p.Target != 0 && !i.Untranslated {
		return p.Target
	}
	return number
}

// Ingresses finds the gateways of the cluster that take calls from outside, by
// what they are and not by their names: a Service whose pods run the proxy as
// a router.
func (m *Mesh) Ingresses(ctx context.Context) ([]Ingress, error) {
	all, err := m.AllIngresses(ctx)
	return slices.DeleteFunc(slices.Clone(all), func(i Ingress) bool { return i.Asleep }), err
}

// AllIngresses are the Ingresses and those that are Asleep, which only their
// Service's selector or status port tells from other Services.
func (m *Mesh) AllIngresses(ctx context.Context) ([]Ingress, error) {
	return k8s.Recall(m.reads, "Ingress", "", func() ([]Ingress, error) { return m.ingresses(ctx) })
}

func (m *Mesh) ingresses(ctx context.Context) ([]Ingress, error) {
	services, err := m.reads.AllServices(ctx)
	if err != nil {
		return nil, err
	}
	var found []Ingress
	for i := range services {
		svc := &services[i]
		if !mayBeGateway(svc) {
			continue
		}
		pods, err := m.reads.PodsBy(ctx, svc.Namespace, labels.SelectorFromSet(svc.Spec.Selector))
		if err != nil {
			return nil, fmt.Errorf("the pods of Service %s/%s: %w", svc.Namespace, svc.Name, err)
		}
		asleep := len(pods) == 0 && saysGateway(svc)
		if asleep || slices.ContainsFunc(pods, isRouter) {
			found = append(found, ingress(svc, pods))
		}
	}
	return found, nil
}

// mayBeGateway spares most Services the look at their pods. An egress gateway
// is a plain ClusterIP Service with nothing in front, and the gateway between
// clusters opens istiod's port 15012; neither takes calls from outside.
func mayBeGateway(svc *corev1.Service) bool {
	if len(svc.Spec.Selector) == 0 || strings.Contains(svc.Spec.Selector["istio"], "egressgateway") {
		return false
	}
	if opens(svc, 15012) {
		return false
	}
	return saysGateway(svc) || svc.Spec.Type == corev1.ServiceTypeLoadBalancer || svc.Spec.Type == corev1.ServiceTypeNodePort
}

func saysGateway(svc *corev1.Service) bool {
	_, istio := svc.Spec.Selector["istio"]
	return istio || opens(svc, statusPort)
}

func opens(svc *corev1.Service, number int32) bool {
	return slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == number })
}

func isRouter(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return c.Name == "istio-proxy" && slices.Contains(c.Args, "router")
	})
}

func ingress(svc *corev1.Service, pods []corev1.Pod) Ingress {
	in := Ingress{
		Namespace: svc.Namespace, Service: svc.Name, Type: svc.Spec.Type,
		Selector: svc.Spec.Selector, ClusterIP: svc.Spec.ClusterIP, Asleep: len(pods) == 0, Keeper: keeper(svc),
	}
	_, in.Untranslated = svc.Labels[untranslatedLabel]
	for _, lb := range svc.Status.LoadBalancer.Ingress {
		if lb.IP != "" {
			in.Addresses = append(in.Addresses, lb.IP)
		}
		if lb.Hostname != "" {
			in.Addresses = append(in.Addresses, lb.Hostname)
		}
	}
	in.Addresses = append(in.Addresses, svc.Spec.ExternalIPs...)
	for i := range pods {
		if pods[i].DeletionTimestamp == nil && k8s.Ready(&pods[i]) && isRouter(pods[i]) {
			in.Pods = append(in.Pods, pods[i])
		}
	}
	for _, p := range svc.Spec.Ports {
		if p.Protocol != corev1.ProtocolTCP && p.Protocol != "" {
			continue
		}
		in.Ports = append(in.Ports, IngressPort{
			Port: int(p.Port), Target: k8s.TargetPort(p, pods), NodePort: int(p.NodePort), Name: p.Name,
			Barred: barred(p, pods),
		})
	}
	return in
}

// NodeAddress is an address of a node by which the port is reached, where the
// gateway has no address of its own but a node port: an external address before
// an internal one, and of a node that runs a replica before the others, as
// externalTrafficPolicy Local asks for. "" where there is none, or where this
// user may not list nodes.
func (m *Mesh) NodeAddress(ctx context.Context, in Ingress, p IngressPort) (string, error) {
	if len(in.Addresses) > 0 || p.NodePort == 0 {
		return "", nil
	}
	nodes, err := k8s.Recall(m.reads, "Node", "", func() (*corev1.NodeList, error) {
		return m.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	})
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("listing nodes: %w", err)
	}
	return nodeAddress(nodes.Items, in.Pods), nil
}

func nodeAddress(nodes []corev1.Node, pods []corev1.Pod) string {
	runs := func(n corev1.Node) bool {
		return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == n.Name })
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		for _, wanted := range []bool{true, false} {
			for _, n := range nodes {
				i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == kind })
				if i >= 0 && runs(n) == wanted {
					return n.Status.Addresses[i].Address
				}
			}
		}
	}
	return ""
}
