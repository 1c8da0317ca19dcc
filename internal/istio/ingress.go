package istio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// statusPort is the port that a gateway answers its own health on; no traffic
// belongs there.
const statusPort = 15021

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
}

// String is "namespace/service".
func (i Ingress) String() string { return i.Namespace + "/" + i.Service }

// IngressPort is one port of a gateway's Service.
type IngressPort struct {
	Port     int    // the Service's, the one that a Gateway names
	Target   int    // the pods'
	NodePort int    // 0: none
	Name     string // the Service's name for it
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

// OpenPorts are the numbers that a Gateway could listen on: every port of the
// Service but the status port.
func (i Ingress) OpenPorts() []int {
	var open []int
	for _, p := range i.Ports {
		if p.Port != statusPort && p.Target != statusPort {
			open = append(open, p.Port)
		}
	}
	return open
}

// Ingresses finds the gateways of the cluster that take calls from outside, by
// what they are and not by their names: a Service whose pods run the proxy as
// a router.
func (m *Mesh) Ingresses(ctx context.Context) ([]Ingress, error) {
	services, err := m.core.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Services in all namespaces: %w", err)
	}
	var found []Ingress
	for i := range services.Items {
		svc := &services.Items[i]
		if !mayBeGateway(svc) {
			continue
		}
		pods, err := m.core.CoreV1().Pods(svc.Namespace).List(ctx,
			metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
		if err != nil {
			return nil, fmt.Errorf("listing the pods of Service %s/%s: %w", svc.Namespace, svc.Name, err)
		}
		if slices.ContainsFunc(pods.Items, isRouter) {
			found = append(found, ingress(svc, pods.Items))
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
	hasPort := func(number int32) bool {
		return slices.ContainsFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == number })
	}
	if hasPort(15012) {
		return false
	}
	_, istio := svc.Spec.Selector["istio"]
	return istio || hasPort(statusPort) || svc.Spec.Type == corev1.ServiceTypeLoadBalancer || svc.Spec.Type == corev1.ServiceTypeNodePort
}

func isRouter(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return c.Name == "istio-proxy" && slices.Contains(c.Args, "router")
	})
}

func ingress(svc *corev1.Service, pods []corev1.Pod) Ingress {
	in := Ingress{
		Namespace: svc.Namespace, Service: svc.Name, Type: svc.Spec.Type,
		Selector: svc.Spec.Selector, ClusterIP: svc.Spec.ClusterIP,
	}
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
		})
	}
	return in
}

// ChooseIngress picks the gateway that the selector names, or the only one.
// None, or several, is a *manifest.TargetError with the candidates.
func ChooseIngress(all []Ingress, selector map[string]string) (Ingress, error) {
	var fit []Ingress
	for _, in := range all {
		if labels.SelectorFromSet(selector).Matches(labels.Set(in.Selector)) {
			fit = append(fit, in)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	e := &manifest.TargetError{What: fmt.Sprintf("%d ingress gateways fit; which one?", len(fit))}
	switch {
	case len(all) == 0:
		e.What = "no ingress gateway in this cluster: no Service leads to pods that run the proxy as a router"
		e.Hint = "Install one first, for instance with Istio's gateway chart."
		return Ingress{}, e
	case len(fit) == 0:
		e.What = "no ingress gateway has the labels " + labels.FormatLabels(selector) + "; there are"
		fit = all
	}
	for _, in := range fit {
		e.Candidates = append(e.Candidates, fmt.Sprintf("%s: --gateway-selector %s", in, FormatSelector(in.Selector)))
	}
	return Ingress{}, e
}

// FormatSelector writes labels as the flag takes them: key=value,key=value.
func FormatSelector(selector map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, k+"="+selector[k])
	}
	return strings.Join(parts, ",")
}

// ChoosePort picks the gateway's port: the one asked for, which must be open;
// else the Service's own number if the gateway opens it, else 80. A port that
// can't serve is a *k8s.NotReadyError that lists the open ones.
func ChoosePort(in Ingress, asked, servicePort int) (IngressPort, error) {
	refuse := func(cause string) (IngressPort, error) {
		return IngressPort{}, &k8s.NotReadyError{Subject: "gateway " + in.String(), Cause: cause,
			Hint: "Open ports: " + k8s.JoinInts(in.OpenPorts()) + ". Choose one with --gateway-port, or open another on the gateway's Service."}
	}
	candidates := []int{servicePort, 80}
	if asked != 0 {
		candidates = []int{asked}
	}
	for _, number := range candidates {
		p, ok := in.Port(number)
		if !ok {
			continue
		}
		switch {
		case p.Port == statusPort || p.Target == statusPort:
			if asked != 0 {
				return refuse(fmt.Sprintf("port %d is where it answers its own health, not calls", asked))
			}
		case p.Port == 443:
			if asked != 0 {
				return refuse("port 443 is for TLS, and this route would be plaintext")
			}
		case p.Target < 1024:
			if asked != 0 {
				return refuse(fmt.Sprintf("port %d leads to port %d of its pods, which they may not open (it is below 1024)", asked, p.Target))
			}
		default:
			return p, nil
		}
	}
	if asked != 0 {
		return refuse(fmt.Sprintf("its Service does not open port %d", asked))
	}
	return refuse(fmt.Sprintf("its Service opens neither port %d nor port 80", servicePort))
}
