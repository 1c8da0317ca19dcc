package cmd

import (
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
)

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
