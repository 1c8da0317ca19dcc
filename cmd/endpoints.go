package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// findPods finds the destinations, and learns what governs calls to them: why
// they might stick by design. Of a route those that don't exist are left out
// and noted: its calls show what users get.
func (t *target) findPods(ctx context.Context) error {
	all := t.destinations
	t.destinations = nil
	for i, d := range all {
		if i == 0 {
			t.namespace, t.service = d.Namespace, d.Service
		}
		svc, port, err := t.servicePort(ctx, d)
		var missing *missingError
		if errors.As(err, &missing) && !t.layer4 {
			t.missing = append(t.missing, missing.what)
			continue
		}
		if err != nil {
			return err
		}
		t.destinations = append(t.destinations, d)
		if t.layer4 {
			continue // DestinationRules are for proxies
		}
		policy, err := t.mesh.PolicyOf(ctx, t.client(), svc, int(port.Port), d)
		if err != nil {
			return err
		}
		t.policies = append(t.policies, policy)
		if t.misread.Service == "" && !policy.HTTP2 {
			t.misread = misread(svc, port)
		}
		if t.disagree == "" && policy.TLS != "" {
			if t.disagree, err = t.disagrees(ctx, policy, svc, port); err != nil {
				return err
			}
		}
		if t.sticky == "" && policy.Sticky != "" {
			t.sticky = policy.Sticky + by(policy)
		}
	}
	return nil
}

// disagrees says why the gateway and the Service's pods can't speak to each
// other, or "".
func (t *target) disagrees(ctx context.Context, policy istio.Policy, svc *corev1.Service, port corev1.ServicePort) (string, error) {
	endpoints, _, err := t.cluster.Endpoints(ctx, svc, port)
	if err != nil || len(endpoints) == 0 {
		return "", err
	}
	pods, err := t.cluster.Core.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + endpoints[0].Pod})
	if err != nil {
		return "", fmt.Errorf("reading pod %s/%s: %w", svc.Namespace, endpoints[0].Pod, err)
	}
	return t.mesh.Disagrees(ctx, policy, pods.Items, portOf(endpoints[0].Address))
}

// misread is the port, if Istio does not take it for HTTP/2.
func misread(svc *corev1.Service, port corev1.ServicePort) check.Port {
	if k8s.GRPCPort(port) {
		return check.Port{}
	}
	return check.Port{Namespace: svc.Namespace, Service: svc.Name, Number: int(port.Port), Words: protocolOf(port),
		Index: slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port.Name })}
}

// by names the DestinationRule, where there is one.
func by(p istio.Policy) string {
	if p.Rule == "" {
		return ""
	}
	return " (DestinationRule " + p.Rule + ")"
}

// client is the gateway that calls the destinations. Of several that the
// Gateway selects the first stands for all.
func (t *target) client() istio.Client {
	all := t.gateways()
	if len(all) == 0 {
		return istio.Client{}
	}
	client := istio.Client{Namespace: all[0].Namespace, Labels: all[0].Selector}
	if len(all[0].Pods) > 0 {
		client.Labels = all[0].Pods[0].Labels
	}
	return client
}

// missingError is a destination that is not there, in words.
type missingError struct{ what string }

func (e *missingError) Error() string { return "the route leads to " + e.what }

// servicePort reads a destination's Service and finds its port. One that isn't
// there is a *missingError.
func (t *target) servicePort(ctx context.Context, d istio.Destination) (*corev1.Service, corev1.ServicePort, error) {
	if d.Namespace == "" {
		return nil, corev1.ServicePort{}, &missingError{d.Service + ", which Istio takes for no Service: it knows a bare name, or one that ends in .svc.cluster.local"}
	}
	svc, err := t.cluster.Core.CoreV1().Services(d.Namespace).Get(ctx, d.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, corev1.ServicePort{}, &missingError{fmt.Sprintf("Service %s/%s, which does not exist", d.Namespace, d.Service)}
	}
	if err != nil {
		return nil, corev1.ServicePort{}, fmt.Errorf("reading Service %s/%s: %w", d.Namespace, d.Service, err)
	}
	number := portNumber(svc, d.Port, int(t.gw.Server.GetPort().GetNumber()))
	for _, p := range svc.Spec.Ports {
		if number == int(p.Port) {
			return svc, p, nil
		}
	}
	return nil, corev1.ServicePort{}, &missingError{fmt.Sprintf("port %d of Service %s/%s, which has no such port", number, d.Namespace, d.Service)}
}

// portNumber is the Service's port that calls go to, as istiod chooses it: the
// one that the destination names, else the only one, else the listener's own
// number (its GetDestinationCluster).
func portNumber(svc *corev1.Service, named, listener int) int {
	switch {
	case named != 0:
		return named
	case len(svc.Spec.Ports) == 1:
		return int(svc.Spec.Ports[0].Port)
	}
	return listener
}

// endpoints lists the ready endpoints behind the destinations, each with the
// share of calls that the route's weights promise it, and notes the
// destinations that have none.
//
// Where the busier of two pods drawn does not get the call, the busiest of k
// gets it only if it is drawn twice (1/k^2), and the idlest whenever it is
// drawn at all (1-(1-1/k)^2).
func (t *target) endpoints(ctx context.Context) ([]check.Endpoint, error) {
	var all []check.Endpoint
	t.empty, t.version, t.standby = nil, "", nil
	for i, d := range t.destinations {
		svc, port, err := t.servicePort(ctx, d)
		if err != nil {
			return nil, err
		}
		found, version, err := t.cluster.Endpoints(ctx, svc, port)
		if err != nil {
			return nil, err
		}
		t.version += version
		if d.Subset != "" {
			if found, err = t.inSubset(ctx, d, t.policies[i], found); err != nil {
				return nil, err
			}
		}
		if len(found) == 0 && d.Share > 0 && !t.isUndefined(i) {
			t.empty = append(t.empty, named(d))
		}
		for _, g := range t.groups(ctx, i, svc.Namespace, found) {
			k := float64(len(g.Of))
			for _, n := range g.Of {
				e := found[n]
				one := check.Endpoint{Address: e.Address, Namespace: svc.Namespace, Pod: e.Pod, Node: e.Node, Zone: e.Zone, Share: d.Share * g.Part / k}
				if g.Part == 0 {
					t.standby = append(t.standby, one)
					continue
				}
				if i < len(t.policies) && t.policies[i].Idler {
					one.Least, one.Most = one.Share/k, one.Share*(2-1/k)
				}
				all = append(all, one)
			}
		}
	}
	return merge(all), nil
}

// inSubset keeps the endpoints whose pods have the labels of the destination's
// subset. One that no DestinationRule defines has none.
func (t *target) inSubset(ctx context.Context, d istio.Destination, policy istio.Policy, found []k8s.Endpoint) ([]k8s.Endpoint, error) {
	subset, ok := policy.Subsets[d.Subset]
	if !ok {
		return nil, policy.Denied // it may be defined where this user may not look
	}
	pods, err := t.cluster.Core.CoreV1().Pods(d.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: labels.SelectorFromSet(subset).String()})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of subset %s: %w", d.Subset, err)
	}
	return slices.DeleteFunc(found, func(e k8s.Endpoint) bool {
		return !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Name == e.Pod })
	}), nil
}

// undefined names the subsets that the route leads calls to and no
// DestinationRule defines.
func (t *target) undefined() []string {
	var names []string
	for i, d := range t.destinations {
		if d.Share > 0 && t.isUndefined(i) {
			names = append(names, named(d))
		}
	}
	return names
}

// isUndefined says whether nothing defines the subset of destination i.
func (t *target) isUndefined(i int) bool {
	d := t.destinations[i]
	if d.Subset == "" || i >= len(t.policies) {
		return false
	}
	_, ok := t.policies[i].Subsets[d.Subset]
	return !ok && t.policies[i].Denied == nil
}

// named is a destination in words, with its share where it has not all calls.
func named(d istio.Destination) string {
	name := fmt.Sprintf("Service %s/%s", d.Namespace, d.Service)
	if d.Subset != "" {
		name = "subset " + d.Subset + " of " + name
	}
	if d.Share < 1 {
		name += fmt.Sprintf(" (%.3g %% of the calls)", d.Share*100)
	}
	return name
}

// both are the names in both lists: what was so at both ends of a run.
func both(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(before), func(name string) bool { return !slices.Contains(after, name) })
}

// portOf is the port of an endpoint's address.
func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}
