package istio

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
)

// Locality is region, zone and subzone; what is not known is empty.
type Locality [3]string

// LocalityOf is a pod's, as istiod has it: by the pod's own label, else by those
// of its node, which may be nil.
func LocalityOf(pod *corev1.Pod, node *corev1.Node) Locality {
	for _, key := range []string{"topology.istio.io/locality", "istio-locality"} {
		if label, ok := pod.Labels[key]; ok && label != "" {
			return parseLocality(strings.ReplaceAll(label, ".", "/")) // a label has no "/"
		}
	}
	if node == nil {
		return Locality{}
	}
	return Locality{node.Labels[corev1.LabelTopologyRegion], node.Labels[corev1.LabelTopologyZone], node.Labels["topology.istio.io/subzone"]}
}

func parseLocality(text string) Locality {
	var l Locality
	copy(l[:], strings.Split(text, "/"))
	return l
}

// matches is istiod's LocalityMatch: a part that is missing is any but for the
// region.
func (l Locality) matches(pattern string) bool {
	want := parseLocality(pattern)
	for i, part := range want {
		if part != "*" && part != l[i] && (i == 0 || part != "") {
			return false
		}
	}
	return true
}

// near is how alike two are, 0 the most (istiod's LbPriority).
func (l Locality) near(o Locality) int {
	for i := range l {
		if l[i] != o[i] {
			return len(l) - i
		}
	}
	return 0
}

// byLocality is the setting by which a gateway shares calls out over localities,
// or nil: none is in force, or one that goes by other things than these.
func byLocality(lb *networking.LoadBalancerSettings, outlier *networking.OutlierDetection, mesh meshConfig, prefers string) *networking.LocalityLoadBalancerSetting {
	setting := lb.GetLocalityLbSetting()
	if setting == nil {
		setting = mesh.LocalityLbSetting
	}
	switch {
	case prefers == "" || strings.HasPrefix(prefers, "trafficDistribution ") || prefers == "zoneAwareLbSetting":
		return nil
	case len(setting.GetDistribute()) == 0 && (outlier == nil || len(setting.GetFailoverPriority()) > 0):
		return nil
	}
	return setting
}

// Group are pods that calls are spread over evenly: their numbers in the list
// asked about, and their part of all calls, 0 where they are kept for when others
// fail.
type Group struct {
	Of   []int
	Part float64
}

// ByLocality says whether localities play a part.
func (p Policy) ByLocality() bool { return p.byLocality != nil }

// Groups are those that a gateway at a place makes of pods at theirs, while all
// are healthy; their parts sum to 1. No pods are no group. ok is false where
// localities play no part.
func (p Policy) Groups(gateway Locality, pods []Locality) (groups []Group, ok bool) {
	if p.byLocality == nil || len(pods) == 0 {
		return nil, false
	}
	if distribute := p.byLocality.GetDistribute(); len(distribute) > 0 {
		i := slices.IndexFunc(distribute, func(d *networking.LocalityLoadBalancerSetting_Distribute) bool { return gateway.matches(d.From) })
		if i < 0 {
			return nil, false
		}
		return distributed(distribute[i].To, pods)
	}
	ranks := make([]int, len(pods))
	for i, l := range pods {
		ranks[i] = l.near(gateway)
		for _, f := range p.byLocality.GetFailover() {
			if ranks[i] == 3 && f.From == gateway[0] && f.To != l[0] {
				ranks[i] = 4
			}
		}
	}
	nearest := slices.Min(ranks)
	now, later := Group{Part: 1}, Group{}
	for i, rank := range ranks {
		if rank == nearest {
			now.Of = append(now.Of, i)
		} else {
			later.Of = append(later.Of, i)
		}
	}
	if len(later.Of) == 0 {
		return []Group{now}, true
	}
	return []Group{now, later}, true
}

// distributed shares by weights. A place that several patterns take is left to
// chance by istiod itself, and so is not ok.
func distributed(to map[string]uint32, pods []Locality) (groups []Group, ok bool) {
	sum, taken := 0.0, make([]bool, len(pods))
	for pattern, weight := range to {
		places := map[Locality][]int{} // each is weighed by its pods
		n := 0
		for i, l := range pods {
			if !l.matches(pattern) {
				continue
			}
			if taken[i] {
				return nil, false
			}
			taken[i] = true
			places[l] = append(places[l], i)
			n++
		}
		if n == 0 || weight == 0 {
			continue
		}
		sum += float64(weight)
		for _, of := range places {
			groups = append(groups, Group{Of: of, Part: float64(weight) * float64(len(of)) / float64(n)})
		}
	}
	if sum == 0 {
		return nil, false
	}
	var rest []int
	for i := range pods {
		if !slices.ContainsFunc(groups, func(g Group) bool { return slices.Contains(g.Of, i) }) {
			rest = append(rest, i)
		}
	}
	for i := range groups {
		groups[i].Part /= sum
	}
	if len(rest) > 0 {
		groups = append(groups, Group{Of: rest})
	}
	slices.SortFunc(groups, func(a, b Group) int { return a.Of[0] - b.Of[0] })
	return groups, true
}
