package cmd

import (
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

// uses are the Gateways and Services that a VirtualService of grpcmesh's leans on
// and that are someone else's.
func (w *view) uses(vs *clientnet.VirtualService) []string {
	var found []string
	for _, gw := range w.routes.Gateways {
		if istio.Bound(vs, gw) && !manifest.Owned(gw.Labels) {
			found = append(found, "Gateway/"+gw.Namespace+"/"+gw.Name)
		}
	}
	for _, rule := range vs.Spec.Http {
		destinations, _ := istio.Destinations(rule, vs.Namespace)
		for _, to := range destinations {
			i := slices.IndexFunc(w.services, func(s corev1.Service) bool { return s.Namespace == to.Namespace && s.Name == to.Service })
			if i >= 0 && !manifest.Owned(w.services[i].Labels) {
				found = append(found, "Service/"+to.Namespace+"/"+to.Service)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// routingOf is what a rule says beyond its paths, in words: the headers that it
// asks for, how its calls are made, and the subsets that they are led to.
func routingOf(rule *networking.HTTPRoute) []string {
	var words []string
	for _, m := range rule.Match {
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			words = append(words, "header "+name)
		}
	}
	if rule.Timeout != nil {
		words = append(words, "timeout "+rule.Timeout.AsDuration().String())
	}
	if r := rule.Retries; r != nil {
		retries := fmt.Sprintf("retries %d", r.Attempts)
		if r.PerTryTimeout != nil {
			retries += " of " + r.PerTryTimeout.AsDuration().String()
		}
		words = append(words, retries)
	}
	for _, d := range rule.Route {
		switch subset := d.GetDestination().GetSubset(); {
		case subset == "":
		case len(rule.Route) == 1:
			words = append(words, "subset "+subset)
		default:
			words = append(words, fmt.Sprintf("%d %% to subset %s", d.Weight, subset))
		}
	}
	return words
}

// balancing is how the DestinationRule that expose made for the VirtualService's
// workload has the gateway choose a pod, in the words of --lb.
func (w *view) balancing(vs *clientnet.VirtualService) []string {
	var words []string
	for _, rule := range w.rules {
		of := func(path ...string) string {
			text, _, _ := unstructured.NestedString(rule.Object, path...)
			return text
		}
		if of("metadata", "namespace") != vs.Namespace || rule.Name() != vs.Name || rule.Labels[manifest.WorkloadLabel] != vs.Labels[manifest.WorkloadLabel] {
			continue
		}
		if simple := of("spec", "trafficPolicy", "loadBalancer", "simple"); simple != "" {
			words = append(words, "lb "+simple)
		}
		if name := of("spec", "trafficPolicy", "loadBalancer", "consistentHash", "httpHeaderName"); name != "" {
			words = append(words, "lb header:"+name)
		}
	}
	return words
}
