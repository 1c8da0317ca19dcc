package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// ChooseIngress picks the gateway that the selector names, or the only one. A
// gateway is its pods: a Gateway's selector goes to them, whatever Services
// stand in front. Of several Services before the same pods it takes one that
// opens a port that can serve (as ChoosePort would choose it), then the one
// that is easiest to reach: by a load balancer's address, else by a node's
// port, else only inside the cluster. alike are those that were as good.
//
// None, or several gateways, is a *manifest.TargetError with the candidates; a
// gateway without pods is a *k8s.NotReadyError.
func ChooseIngress(all []Ingress, selector map[string]string, asked, servicePort int) (chosen Ingress, alike []Ingress, err error) {
	if len(all) == 0 {
		return Ingress{}, nil, &manifest.TargetError{
			Code: finding.NoGateway,
			What: "no ingress gateway in this cluster: no Service leads to pods that run the proxy as a router",
			Hint: "Install one first, for instance with Istio's gateway chart."}
	}
	fit := keep(all, func(in Ingress) bool { return in.has(selector) })
	if awake := keep(fit, func(in Ingress) bool { return !in.Asleep }); len(awake) > 0 {
		fit = awake
	}
	gateways := byPods(fit)
	if len(gateways) > 1 {
		// A selector that is all of one's own is that one's, whoever else has more.
		exact := keep(gateways, func(g []Ingress) bool {
			return slices.ContainsFunc(g, func(in Ingress) bool { return maps.Equal(in.Selector, selector) })
		})
		if len(exact) == 1 {
			gateways = exact
		}
	}
	if len(gateways) != 1 {
		e := &manifest.TargetError{Code: finding.WhichGateway, What: fmt.Sprintf("%d ingress gateways fit; which one?", len(gateways))}
		if len(gateways) == 0 {
			e.What = "no ingress gateway has the labels " + labels.FormatLabels(selector) + "; there are"
			gateways = byPods(all)
		}
		e.Candidates = candidates(gateways)
		return Ingress{}, nil, e
	}
	chosen, alike = best(gateways[0], asked, servicePort)
	if chosen.Asleep {
		return Ingress{}, nil, &k8s.NotReadyError{Code: finding.Asleep, Subject: "gateway " + chosen.String(),
			Cause: "it has no pods: it is scaled to 0, or they never started",
			Hint: fmt.Sprintf("Nothing was written. Start pods with the labels %s; see: kubectl -n %s get deployments,daemonsets",
				FormatSelector(chosen.Selector), chosen.Namespace)}
	}
	return chosen, alike, nil
}

func keep[T any](list []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(t T) bool { return !wanted(t) })
}

// labels are the pods', or, where there are none to look at, those that the
// Service selects by.
func (i Ingress) labels() map[string]string {
	if len(i.Pods) == 0 {
		return i.Selector
	}
	return i.Pods[0].Labels
}

func (i Ingress) has(selector map[string]string) bool {
	s := labels.SelectorFromSet(selector)
	return s.Matches(labels.Set(i.Selector)) || s.Matches(labels.Set(i.labels()))
}

// byPods puts the Services before the same pods together.
func byPods(all []Ingress) [][]Ingress {
	var gateways [][]Ingress
	for _, in := range all {
		i := slices.IndexFunc(gateways, func(g []Ingress) bool { return samePods(g[0], in) })
		if i < 0 {
			gateways = append(gateways, []Ingress{in})
			continue
		}
		gateways[i] = append(gateways[i], in)
	}
	return gateways
}

func samePods(a, b Ingress) bool {
	if a.Namespace != b.Namespace {
		return false
	}
	if maps.Equal(a.Selector, b.Selector) {
		return true
	}
	names := func(pods []corev1.Pod) []string {
		var s []string
		for i := range pods {
			s = append(s, pods[i].Name)
		}
		slices.Sort(s)
		return s
	}
	return len(a.Pods) > 0 && slices.Equal(names(a.Pods), names(b.Pods))
}

// best picks one of the Services before the same pods.
func best(gateway []Ingress, asked, servicePort int) (chosen Ingress, alike []Ingress) {
	rank := func(in Ingress) []int {
		p, err := ChoosePort(in, asked, servicePort)
		serves, wanted := 0, 0
		if err != nil || in.Untranslated {
			serves = 1
		}
		if asked == 0 && p.Port != servicePort {
			wanted = 1
		}
		return []int{serves, in.distance(), wanted}
	}
	gateway = unambiguous(gateway)
	slices.SortFunc(gateway, func(a, b Ingress) int {
		return cmp.Or(slices.Compare(rank(a), rank(b)), strings.Compare(a.Service, b.Service))
	})
	alike = keep(gateway[1:], func(in Ingress) bool { return slices.Equal(rank(in), rank(gateway[0])) })
	return gateway[0], alike
}

// distance orders gateways' Services by how they are reached: by an address of
// their own, by a node's port, or from inside the cluster alone.
func (i Ingress) distance() int {
	switch {
	case len(i.Addresses) > 0:
		return 0
	case slices.ContainsFunc(i.Ports, func(p IngressPort) bool { return p.NodePort != 0 }):
		return 1
	}
	return 2
}

// unambiguous bars the ports that Services before the same pods lead to
// different places: istiod goes by the pods' Services in no order, and takes
// whichever it meets first.
func unambiguous(gateway []Ingress) []Ingress {
	out := slices.Clone(gateway)
	for i, in := range gateway {
		out[i].Ports = slices.Clone(in.Ports)
		for j, p := range in.Ports {
			for _, other := range gateway {
				q, ok := other.Port(p.Port)
				if ok && q.Target != p.Target && p.Barred == "" && q.Target != 0 && !in.Untranslated && !other.Untranslated {
					out[i].Ports[j].Barred = fmt.Sprintf("leads to port %d of its pods and, by Service %s, to their port %d; istiod takes either",
						p.Target, other, q.Target)
				}
			}
		}
	}
	return out
}

// candidates names each gateway with the flag that chooses it.
func candidates(gateways [][]Ingress) []string {
	var lines []string
	for i, g := range gateways {
		var names []string
		for _, in := range g {
			names = append(names, in.String())
		}
		line := strings.Join(names, ", ") + ": "
		if selector := tellApart(g[0], slices.Concat(slices.Delete(slices.Clone(gateways), i, i+1)...)); selector != nil {
			line += "--gateway-selector " + FormatSelector(selector)
		} else {
			line += "its pods have no label that tells them from the others'; give them one"
		}
		lines = append(lines, line)
	}
	return lines
}

// tellApart is the selector that chooses the gateway and none of the others:
// its Service's own, unless another's is the same; then more of its pods'
// labels are needed. nil: there are none.
func tellApart(in Ingress, others []Ingress) map[string]string {
	if !slices.ContainsFunc(others, func(o Ingress) bool { return maps.Equal(o.Selector, in.Selector) }) {
		return in.Selector
	}
	selector, mine := maps.Clone(in.Selector), in.labels()
	for _, other := range others {
		if !other.has(selector) {
			continue
		}
		keys := slices.Sorted(maps.Keys(mine))
		i := slices.IndexFunc(keys, func(k string) bool {
			return k != "pod-template-hash" && k != "controller-revision-hash" && other.labels()[k] != mine[k]
		})
		if i < 0 {
			return nil
		}
		selector[keys[i]] = mine[keys[i]]
	}
	return selector
}

// FormatSelector writes labels as the flag takes them: key=value,key=value.
func FormatSelector(selector map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(selector)) {
		parts = append(parts, k+"="+selector[k])
	}
	return strings.Join(parts, ",")
}
