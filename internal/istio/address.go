package istio

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/manifest"
)

// Owner is what an address leads to, as far as the cluster knows: a port of a
// gateway, a port of another Service, or neither.
type Owner struct {
	Ingress *Ingress           // the gateway whose address it is
	Service *corev1.Service    // the Service whose address it is, where that is no gateway
	Port    corev1.ServicePort // of Service
	Number  int                // the port number that Gateways name; 0: any
}

// Whose finds what host and port lead to. host may be a name of the cluster's
// own DNS, or a name or address that a Service carries; ips are the addresses
// that it resolves to here. An address that no object knows, such as a
// forwarded loopback port, has no owner: every gateway stays possible. A port
// that a Service does not open, and a pod's own address where the pod is no
// gateway's, are a *manifest.TargetError: no calls go that way.
func (m *Mesh) Whose(ctx context.Context, ingresses []Ingress, host string, ips []string, port int) (Owner, error) {
	services, err := m.core.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Owner{}, fmt.Errorf("listing Services in all namespaces: %w", err)
	}
	for i := range services.Items {
		svc := &services.Items[i]
		if !slices.ContainsFunc(addressesOf(svc), func(a string) bool { return a == host || slices.Contains(ips, a) }) {
			continue
		}
		for _, p := range svc.Spec.Ports {
			if int(p.Port) == port {
				return owner(ingresses, svc, p), nil
			}
		}
	}
	for i := range services.Items {
		svc := &services.Items[i]
		for _, p := range svc.Spec.Ports {
			if p.NodePort == 0 || int(p.NodePort) != port {
				continue
			}
			onNode, err := m.nodeHas(ctx, append(ips, host))
			if err != nil {
				return Owner{}, err
			}
			if onNode {
				return owner(ingresses, svc, p), nil
			}
		}
	}
	for i := range services.Items {
		if err := closed(&services.Items[i], host, ips, port); err != nil {
			return Owner{}, err
		}
	}
	return m.podOwner(ctx, ingresses, ips, port)
}

// closed is the error where host is the Service's own, and no other's, and it
// does not open the port. An address of a load balancer may be shared.
func closed(svc *corev1.Service, host string, ips []string, port int) error {
	own := svc.DeepCopy()
	own.Spec.ExternalIPs, own.Status.LoadBalancer.Ingress = nil, nil
	if !slices.ContainsFunc(addressesOf(own), func(a string) bool { return a == host || slices.Contains(ips, a) }) {
		return nil
	}
	var open []string
	for _, p := range svc.Spec.Ports {
		open = append(open, strconv.Itoa(int(p.Port)))
	}
	return &manifest.TargetError{What: fmt.Sprintf("%s is the address of Service %s/%s, which does not open port %d", host, svc.Namespace, svc.Name, port),
		Hint: "Dial one of its ports (" + strings.Join(open, ", ") + "), or the gateway's address."}
}

// podOwner finds the gateway whose pod has the address. Where this user may not
// list pods nobody is found; a pod on its node's network has the node's.
func (m *Mesh) podOwner(ctx context.Context, ingresses []Ingress, ips []string, port int) (Owner, error) {
	for _, ip := range ips {
		pods, err := m.core.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "status.podIP=" + ip})
		if apierrors.IsForbidden(err) {
			return Owner{}, nil
		}
		if err != nil {
			return Owner{}, fmt.Errorf("listing pods in all namespaces: %w", err)
		}
		for _, p := range pods.Items {
			if p.Status.PodIP != ip || p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
				continue
			}
			for i, in := range ingresses {
				if in.Namespace == p.Namespace && labels.SelectorFromSet(in.Selector).Matches(labels.Set(p.Labels)) {
					return Owner{Ingress: &ingresses[i], Number: port}, nil
				}
			}
			return Owner{}, &manifest.TargetError{What: fmt.Sprintf("%s is the own address of pod %s/%s: nothing spreads calls that go there", ip, p.Namespace, p.Name),
				Hint: "Dial the gateway's address, or that of a Service."}
		}
	}
	return Owner{}, nil
}

func owner(ingresses []Ingress, svc *corev1.Service, p corev1.ServicePort) Owner {
	for i := range ingresses {
		if ingresses[i].Namespace == svc.Namespace && ingresses[i].Service == svc.Name {
			return Owner{Ingress: &ingresses[i], Number: int(p.Port)}
		}
	}
	return Owner{Service: svc, Port: p}
}

// addressesOf lists the addresses and names that a Service is reached by on its
// own port numbers.
func addressesOf(svc *corev1.Service) []string {
	all := slices.Concat(svc.Spec.ClusterIPs, svc.Spec.ExternalIPs)
	for _, lb := range svc.Status.LoadBalancer.Ingress {
		all = append(all, lb.IP, lb.Hostname)
	}
	name := svc.Name + "." + svc.Namespace
	all = append(all, name, name+".svc", name+".svc.cluster.local")
	return slices.DeleteFunc(all, func(a string) bool { return a == "" || a == corev1.ClusterIPNone })
}

func (m *Mesh) nodeHas(ctx context.Context, addresses []string) (bool, error) {
	nodes, err := m.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("listing nodes: %w", err)
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			if slices.Contains(addresses, a.Address) {
				return true, nil
			}
		}
	}
	return false, nil
}

// Resolve is the addresses that a host stands for, or the host itself where it
// is one. A name that does not resolve here may still be one of the cluster's.
func Resolve(ctx context.Context, host string) []string {
	if net.ParseIP(host) != nil {
		return []string{host}
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil
	}
	return ips
}

// Destination is one place that a rule leads to: a Service, one of its ports,
// and the share of calls that it is to get. Half a name, such as server.shop,
// is no Service's in Istio: it stands as it is in Service, without a Namespace.
type Destination struct {
	Namespace, Service string
	Port               int // 0: the Service's only one, else the listener's
	Subset             string
	Share              float64 // all of a rule's add up to 1
}

// Destinations lists where a rule leads. A host that is no Service of the
// cluster (a ServiceEntry's) is an error: its endpoints can't be told.
func Destinations(rule *networking.HTTPRoute, namespace string) ([]Destination, error) {
	total := int32(0)
	for _, r := range rule.Route {
		total += r.Weight
	}
	var found []Destination
	for _, r := range rule.Route {
		share := 1.0
		if total > 0 {
			share = float64(r.Weight) / float64(total)
		} else if len(rule.Route) > 1 {
			continue // several destinations without weights: Istio refuses that
		}
		if share == 0 {
			continue
		}
		d := Destination{Namespace: namespace, Service: r.Destination.Host, Subset: r.Destination.Subset, Share: share}
		if p := r.Destination.Port; p != nil {
			d.Port = int(p.Number)
		}
		switch parts := strings.SplitN(r.Destination.Host, ".", 4); {
		case len(parts) == 1:
		case len(parts) == 2, len(parts) == 3 && parts[2] == "svc":
			d.Namespace = ""
		case len(parts) == 4 && parts[2] == "svc" && parts[3] != "":
			d.Service, d.Namespace = parts[0], parts[1]
		default:
			return nil, fmt.Errorf("the route leads to %s, which is no Service of this cluster", r.Destination.Host)
		}
		found = append(found, d)
	}
	return found, nil
}
