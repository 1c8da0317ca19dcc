package k8s

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Endpoint is one ready address behind a Service's port.
type Endpoint struct {
	Address string // ip:port
	Pod     string
	Node    string
	Zone    string
}

// Endpoints lists the ready endpoints behind a port of a Service, by address.
// A Service of two address families has each pod twice; those of its first
// family are the ones that a mesh calls. While version is the same, no endpoint
// has come, gone, or been unready for a while.
func (c *Cluster) Endpoints(ctx context.Context, svc *corev1.Service, port corev1.ServicePort) (found []Endpoint, version string, err error) {
	namespace, service := svc.Namespace, svc.Name
	epSlices, err := c.Core.DiscoveryV1().EndpointSlices(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, "", fmt.Errorf("listing the EndpointSlices of Service %s/%s: %w", namespace, service, err)
	}
	for _, slice := range epSlices.Items {
		version += fmt.Sprintf("%s %d,", slice.UID, slice.Generation) // the server counts what changes in their endpoints
		number := slicePort(slice.Ports, port.Name)
		if number == 0 || !ofFirstFamily(svc, slice.AddressType) {
			continue
		}
		for _, ep := range slice.Endpoints {
			if ep.Conditions.Ready != nil && !*ep.Conditions.Ready {
				continue
			}
			for _, ip := range ep.Addresses {
				e := Endpoint{Address: net.JoinHostPort(ip, strconv.Itoa(number))}
				if ep.TargetRef != nil {
					e.Pod = ep.TargetRef.Name
				}
				if ep.NodeName != nil {
					e.Node = *ep.NodeName
				}
				if ep.Zone != nil {
					e.Zone = *ep.Zone
				}
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return slices.Compact(found), version, nil // an address may stand in two slices while they are rewritten
}

func ofFirstFamily(svc *corev1.Service, family discoveryv1.AddressType) bool {
	return len(svc.Spec.IPFamilies) == 0 || string(svc.Spec.IPFamilies[0]) == string(family)
}

func slicePort(ports []discoveryv1.EndpointPort, name string) int {
	for _, p := range ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return int(*p.Port)
		}
	}
	return 0
}

// Selecting lists the Services of a namespace whose selector takes pods with
// these labels, by name.
func (c *Cluster) Selecting(ctx context.Context, namespace string, podLabels map[string]string) ([]corev1.Service, error) {
	p, err := c.servicePool(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var found []corev1.Service
	for _, s := range p.marked(namespace, podLabels) {
		if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(podLabels)) {
			found = append(found, *s)
		}
	}
	return found, nil
}

// GRPCPort says whether Istio takes a Service's port for gRPC or HTTP/2, by
// appProtocol first and by the port's name where that is silent: the protocol,
// or that and a dash. grpc-web is HTTP/2 too, and gRPC passes through it.
func GRPCPort(p corev1.ServicePort) bool {
	protocol := p.Name
	if p.AppProtocol != nil {
		protocol = *p.AppProtocol
		if protocol == "kubernetes.io/h2c" {
			return true
		}
	}
	base, _, _ := strings.Cut(strings.ToLower(protocol), "-")
	return base == "grpc" || base == "http2"
}
