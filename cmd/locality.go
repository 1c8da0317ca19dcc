package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// groups are how the gateway shares calls out over a destination's pods by where
// they and it are, so far as that can be known; else all of them alike.
func (t *target) groups(ctx context.Context, i int, namespace string, found []k8s.Endpoint) []istio.Group {
	all := istio.Group{Part: 1}
	for n := range found {
		all.Of = append(all.Of, n)
	}
	if i >= len(t.policies) || !t.policies[i].ByLocality() {
		return []istio.Group{all}
	}
	gateway, pods, ok := t.places(ctx, namespace, found)
	if !ok {
		return []istio.Group{all}
	}
	groups, ok := t.policies[i].Groups(gateway, pods)
	if !ok {
		return []istio.Group{all}
	}
	if !slices.Contains(t.placed, i) {
		t.placed = append(t.placed, i)
	}
	return groups
}

// places are where the gateway is, and each of the pods; ok is false where that
// can't be known of all, or replicas of the gateway are at several.
func (t *target) places(ctx context.Context, namespace string, found []k8s.Endpoint) (gateway istio.Locality, of []istio.Locality, ok bool) {
	pods, err := t.cluster.Core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return gateway, nil, false
	}
	nodes, err := t.cluster.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return gateway, nil, false
	}
	locality := func(pod *corev1.Pod) istio.Locality {
		n := slices.IndexFunc(nodes.Items, func(n corev1.Node) bool { return n.Name == pod.Spec.NodeName })
		if n < 0 {
			return istio.LocalityOf(pod, nil)
		}
		return istio.LocalityOf(pod, &nodes.Items[n])
	}
	replicas := 0
	for _, in := range t.gateways() {
		for n := range in.Pods {
			l := locality(&in.Pods[n])
			if replicas++; replicas > 1 && l != gateway {
				return gateway, nil, false
			}
			gateway = l
		}
	}
	for _, e := range found {
		n := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return p.Name == e.Pod })
		if n < 0 {
			return gateway, nil, false
		}
		of = append(of, locality(&pods.Items[n]))
	}
	return gateway, of, replicas > 0
}

// kept are the endpoints that get calls only when others fail, and that no other
// destination leads to.
func (t *target) kept(expected []check.Endpoint) []check.Endpoint {
	return slices.DeleteFunc(slices.Clone(t.standby), func(s check.Endpoint) bool {
		return slices.ContainsFunc(expected, func(e check.Endpoint) bool { return e.Address == s.Address })
	})
}

// prefers is why some of the endpoints may rightly get more calls than their
// share, or "".
func (t *target) prefers(ctx context.Context, endpoints []check.Endpoint) string {
	apart := func(of func(check.Endpoint) string) bool {
		return slices.ContainsFunc(endpoints, func(e check.Endpoint) bool { return of(e) != of(endpoints[0]) })
	}
	for i, policy := range t.policies {
		switch {
		case slices.Contains(t.placed, i): // their shares say so
		case policy.Within == istio.Anything,
			policy.Within == istio.Zone && apart(func(e check.Endpoint) string { return e.Zone }),
			policy.Within == istio.Node && apart(func(e check.Endpoint) string { return e.Node }):
			return "pods near the gateway are preferred: " + policy.Prefers + by(policy)
		}
		if policy.Warmup == 0 {
			continue
		}
		pods, err := t.cluster.Core.CoreV1().Pods(t.destinations[i].Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Sprintf("new pods get few calls for their first %s, and how new they are can't be read%s", policy.Warmup, by(policy))
		}
		for _, p := range pods.Items {
			isOne := func(e check.Endpoint) bool { return e.Namespace == p.Namespace && e.Pod == p.Name }
			if age := readyFor(&p, t.cluster.Now()); age < policy.Warmup && slices.ContainsFunc(endpoints, isOne) {
				return fmt.Sprintf("new pods get few calls for their first %s, and %s has been ready for %s%s",
					policy.Warmup, p.Name, age.Round(time.Second), by(policy))
			}
		}
	}
	return ""
}

// readyFor is how long a pod has been ready.
func readyFor(p *corev1.Pod, now time.Time) time.Duration {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return now.Sub(c.LastTransitionTime.Time)
		}
	}
	return 0
}
