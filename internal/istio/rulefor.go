package istio

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/labels"
)

// Client is the proxy that calls a Service: the gateway. Which DestinationRule
// governs its calls depends on where it runs.
type Client struct {
	Namespace string
	Labels    map[string]string
}

// clusterDomain ends the full names of a cluster's Services.
const clusterDomain = ".svc.cluster.local"

// ruleFor finds the DestinationRule by which a client calls a Service, several
// of one host merged into it; nil: none. names are the rules it was made from.
//
// It looks where istiod looks (PushContext.destinationRule): first in the
// client's namespace, where that is not the mesh's root; then in the Service's;
// then in the root. The first that has a rule for the host, visible to the
// client, ends the search, and in each the most specific host wins.
func ruleFor(all []*clientnet.DestinationRule, mesh meshConfig, client Client, service, namespace string) (rule *networking.DestinationRule, names []string) {
	everyone := func(*clientnet.DestinationRule) bool { return true }
	exported := func(dr *clientnet.DestinationRule) bool { return !isPrivate(dr, mesh) }
	visible := func(dr *clientnet.DestinationRule) bool { return exportsTo(dr, client.Namespace) }
	own := func(dr *clientnet.DestinationRule) bool {
		return exportsTo(dr, dr.Namespace) || slices.Contains(dr.Spec.ExportTo, ".") || dr.Spec.WorkloadSelector != nil
	}
	if client.Namespace == mesh.RootNamespace {
		// What the root shares is for all, so that it comes last; what it
		// keeps to itself is meant for its own proxies.
		own = func(dr *clientnet.DestinationRule) bool { return isPrivate(dr, mesh) }
	}
	host := service + "." + namespace + clusterDomain
	for _, look := range []struct {
		namespace   string
		in, visible func(*clientnet.DestinationRule) bool
	}{
		{client.Namespace, own, everyone},
		{namespace, exported, visible},
		{mesh.RootNamespace, exported, visible},
	} {
		rules := slices.DeleteFunc(slices.Clone(all), func(dr *clientnet.DestinationRule) bool {
			return dr.Namespace != look.namespace || !look.in(dr)
		})
		groups := grouped(ofMostSpecificHost(rules, host))
		groups = slices.DeleteFunc(groups, func(g []*clientnet.DestinationRule) bool { return !look.visible(g[0]) })
		if len(groups) > 0 {
			return merged(groups, client)
		}
	}
	return nil, nil
}

// exportsTo says whether the rule's exportTo names the namespace, or everyone.
func exportsTo(dr *clientnet.DestinationRule, namespace string) bool {
	to := dr.Spec.ExportTo
	return dr.Spec.WorkloadSelector == nil && (len(to) == 0 || slices.Contains(to, "*") || slices.Contains(to, namespace))
}

// isPrivate says whether the rule is for its own namespace alone.
func isPrivate(dr *clientnet.DestinationRule, mesh meshConfig) bool {
	to := dr.Spec.ExportTo
	switch {
	case dr.Spec.WorkloadSelector != nil:
		return true
	case len(to) == 0:
		return slices.Contains(mesh.DefaultDestinationRuleExportTo, ".")
	}
	return len(to) == 1 && (to[0] == "." || to[0] == dr.Namespace)
}

// ofMostSpecificHost keeps the rules of the most specific host among those that
// take the full name: the name itself, else the longest wildcard.
func ofMostSpecificHost(rules []*clientnet.DestinationRule, name string) []*clientnet.DestinationRule {
	best := ""
	for _, dr := range rules {
		host := fullHost(dr)
		tail, wild := strings.CutPrefix(host, "*")
		if host == name || wild && strings.HasSuffix(name, tail) && len(host) > len(best) {
			best = host
		}
	}
	return slices.DeleteFunc(rules, func(dr *clientnet.DestinationRule) bool { return best == "" || fullHost(dr) != best })
}

// fullHost is the host that a rule names, in full. Only a name without any dot
// is short for a Service of the rule's own namespace; istiod takes every other
// as it stands. The cluster's own domain is written as cluster.local.
func fullHost(dr *clientnet.DestinationRule) string {
	host := dr.Spec.Host
	if host != "*" && !strings.Contains(host, ".") {
		return host + "." + dr.Namespace + clusterDomain
	}
	if name, domain, ok := strings.Cut(host, ".svc."); ok && domain != "clusterset.local" {
		return name + clusterDomain
	}
	return host
}

// grouped puts those rules of one host together that istiod makes one rule of,
// in its order and by its conditions (PushContext.mergeDestinationRule), odd as
// some are: those for the same namespaces and the same pods.
func grouped(rules []*clientnet.DestinationRule) [][]*clientnet.DestinationRule {
	forAll := func(dr *clientnet.DestinationRule) bool { return dr.Spec.WorkloadSelector == nil }
	slices.SortFunc(rules, func(a, b *clientnet.DestinationRule) int {
		switch {
		case forAll(a) && !forAll(b):
			return 1
		case forAll(b) && !forAll(a):
			return -1
		}
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var groups [][]*clientnet.DestinationRule
	for _, dr := range rules {
		apart := true
		for i, g := range groups {
			to, have := audience(dr), audience(g[0])
			apart = !maps.Equal(to, have)
			if apart && (len(have) == 0 || !contains(to, have)) {
				continue
			}
			samePods := maps.Equal(dr.Spec.GetWorkloadSelector().GetMatchLabels(), g[0].Spec.GetWorkloadSelector().GetMatchLabels())
			if !forAll(dr) && !forAll(g[0]) && !samePods {
				apart = true
				continue
			}
			if forAll(dr) == forAll(g[0]) {
				apart = false
			}
			groups[i] = append(g, dr)
		}
		if apart {
			groups = append(groups, []*clientnet.DestinationRule{dr})
		}
	}
	return groups
}

// audience is the set of namespaces that a rule names as its readers.
func audience(dr *clientnet.DestinationRule) map[string]bool {
	if dr.Spec.WorkloadSelector != nil {
		return map[string]bool{".": true}
	}
	set := map[string]bool{}
	for _, namespace := range dr.Spec.ExportTo {
		set[namespace] = true
	}
	return set
}

func contains(set, part map[string]bool) bool {
	for namespace := range part {
		if !set[namespace] {
			return false
		}
	}
	return true
}

// merged makes one rule of the group that counts: the one for the client's
// pods, else the last that is for all. In it the oldest policy counts, and
// every subset.
func merged(groups [][]*clientnet.DestinationRule, client Client) (*networking.DestinationRule, []string) {
	var chosen []*clientnet.DestinationRule
	for _, g := range groups {
		selector := g[0].Spec.WorkloadSelector
		if selector == nil {
			chosen = g
		} else if labels.SelectorFromSet(selector.MatchLabels).Matches(labels.Set(client.Labels)) {
			chosen = g
			break
		}
	}
	if chosen == nil {
		return nil, nil
	}
	one, names := &networking.DestinationRule{}, []string(nil)
	for _, dr := range chosen {
		names = append(names, dr.Namespace+"/"+dr.Name)
		if one.TrafficPolicy == nil {
			one.TrafficPolicy = dr.Spec.TrafficPolicy
		}
		for _, s := range dr.Spec.Subsets {
			if !slices.ContainsFunc(one.Subsets, func(have *networking.Subset) bool { return have.Name == s.Name }) {
				one.Subsets = append(one.Subsets, s)
			}
		}
	}
	return one, names
}
