package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// VersionLabel is the label of pods that --canary goes by where it names none.
const VersionLabel = "version"

// byHeader begins an LB that hashes on a header.
const byHeader = "header:"

// Subset is a part of a Service's pods by a label of theirs, and its share of
// the calls.
type Subset struct {
	Name    string
	Labels  map[string]string
	Percent int
}

// WantsRule says whether what is asked for takes a DestinationRule.
func (r Route) WantsRule() bool { return r.LB != "" || len(r.Canary) > 0 }

func (r Route) validLB() error {
	name, hash := strings.CutPrefix(r.LB, byHeader)
	switch {
	case r.LB == "", r.LB == "ROUND_ROBIN", r.LB == "LEAST_REQUEST", r.LB == "RANDOM":
		return nil
	case hash && metadataName.MatchString(name):
		return nil
	case hash:
		return &InvalidError{"--lb", r.LB, "the name of gRPC metadata has lower-case letters, digits, '-', '_' and '.' alone"}
	}
	return &InvalidError{"--lb", r.LB, "is none of ROUND_ROBIN, LEAST_REQUEST, RANDOM and header:NAME"}
}

// loadBalancer is the LB as Istio has it, or nil.
func (r Route) loadBalancer() *networking.LoadBalancerSettings {
	if r.LB == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(r.LB, byHeader); ok {
		return &networking.LoadBalancerSettings{LbPolicy: &networking.LoadBalancerSettings_ConsistentHash{
			ConsistentHash: &networking.LoadBalancerSettings_ConsistentHashLB{
				HashKey: &networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName{HttpHeaderName: name}}}}
	}
	return &networking.LoadBalancerSettings{LbPolicy: &networking.LoadBalancerSettings_Simple{
		Simple: networking.LoadBalancerSettings_SimpleLB(networking.LoadBalancerSettings_SimpleLB_value[r.LB])}}
}

// version splits what a canary is named by: VALUE, or LABEL:VALUE.
func version(name string) (label, value string) {
	if label, value, ok := strings.Cut(name, ":"); ok {
		return label, value
	}
	return VersionLabel, name
}

func (r Route) validCanary() error {
	sum, labels, names := 0, map[string]bool{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Canary)) {
		percent := r.Canary[name]
		label, value := version(name)
		invalid := func(reason string) error {
			return &InvalidError{"--canary", name + "=" + strconv.Itoa(percent), reason}
		}
		sum += percent
		labels[label] = true
		subset := subsetName(value)
		switch msgs := slices.Concat(validation.IsQualifiedName(label), validation.IsValidLabelValue(value)); {
		case len(msgs) > 0:
			return invalid(msgs[0])
		case value == "" || subset == "":
			return invalid("names no pods: VERSION=PERCENT or LABEL:VALUE=PERCENT")
		case percent < 0 || sum > 100:
			return invalid("the shares of all canaries are 0 to 100 percent together")
		case len(labels) > 1:
			return invalid("all canaries go by one label")
		case names[subset] != "":
			return invalid("is as good as " + names[subset] + " to Istio, which knows lower-case letters, digits and '-' alone here")
		}
		names[subset] = name
	}
	return nil
}

// CanaryLabel is the label that the canaries go by, or "" where there are none.
func (r Route) CanaryLabel() string {
	for name := range r.Canary {
		label, _ := version(name)
		return label
	}
	return ""
}

// Split is how the calls are shared out: to each canary its percent, and the
// rest to the workload's own version, which comes first. template are the labels
// of the workload's pods. Nil without a canary; an *InvalidError where the
// workload's pods have no version, or are a canary themselves.
func (r Route) Split(template map[string]string) ([]Subset, error) {
	label := r.CanaryLabel()
	if label == "" {
		return nil, nil
	}
	own := template[label]
	if own == "" {
		return nil, &InvalidError{"--canary", label, "the workload's own pods lack this label, so the rest of the calls can't be led to them: give them one (spec.template.metadata.labels)"}
	}
	subsets := []Subset{{Name: subsetName(own), Labels: map[string]string{label: own}, Percent: 100}}
	for _, name := range slices.Sorted(maps.Keys(r.Canary)) {
		_, value := version(name)
		if subsetName(value) == subsets[0].Name {
			return nil, &InvalidError{"--canary", name, fmt.Sprintf("is the workload's own version (its pods have %s=%s): expose the workload that takes the rest of the calls, and name the canary's version", label, own)}
		}
		subsets[0].Percent -= r.Canary[name]
		subsets = append(subsets, Subset{Name: subsetName(value), Labels: map[string]string{label: value}, Percent: r.Canary[name]})
	}
	return subsets, nil
}

// subsetName makes a subset's name of a label's value: Istio takes a DNS label.
func subsetName(value string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(strings.ToLower(value), "-"), "-")
}

// Shared is a copy of the labels without the one that canaries differ by: those
// of all versions' pods.
func (r Route) Shared(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	delete(labels, cmp.Or(r.CanaryLabel(), "-"))
	return labels
}

// Rule is the spec of the DestinationRule that the exposure takes, or nil.
func (e Exposure) Rule() *networking.DestinationRule {
	if !e.Route.WantsRule() {
		return nil
	}
	rule := &networking.DestinationRule{Host: e.ServiceName()}
	if lb := e.Route.loadBalancer(); lb != nil {
		rule.TrafficPolicy = &networking.TrafficPolicy{LoadBalancer: lb}
	}
	for _, s := range e.Subsets {
		rule.Subsets = append(rule.Subsets, &networking.Subset{Name: s.Name, Labels: s.Labels})
	}
	return rule
}

func (e Exposure) destinationRule() Object {
	dr := newObject("DestinationRule", e.Namespace, e.WorkloadName)
	dr.Apply.Metadata.Labels = e.labels()
	dr.Apply.Spec = e.Rule()
	return dr
}

// destinations are what the exposure's rule leads to: the Service, or its
// subsets that get any calls.
func (e Exposure) destinations() []*networking.HTTPRouteDestination {
	to := func(subset string, weight int) *networking.HTTPRouteDestination {
		dest := &networking.Destination{Host: e.ServiceName(), Subset: subset}
		if e.ReusePort != 0 {
			dest.Port = &networking.PortSelector{Number: uint32(e.ReusePort)}
		}
		return &networking.HTTPRouteDestination{Destination: dest, Weight: int32(weight)}
	}
	var all []*networking.HTTPRouteDestination
	for _, s := range e.Subsets {
		if s.Percent > 0 {
			all = append(all, to(s.Name, s.Percent))
		}
	}
	if len(all) == 0 {
		all = append(all, to("", 0))
	}
	return all
}
