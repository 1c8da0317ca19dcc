package cmd

import (
	"cmp"
	"slices"

	"grpcmesh/internal/check"
)

// merge adds up the shares of an endpoint that several destinations lead to,
// and scales what is left to 1. A destination without endpoints has no pod to
// expect anything of: that calls fail there is told apart from the spread.
func merge(all []check.Endpoint) []check.Endpoint {
	var merged []check.Endpoint
	sum := 0.0
	for _, e := range all {
		sum += e.Share
		if i := slices.IndexFunc(merged, func(m check.Endpoint) bool { return m.Address == e.Address }); i >= 0 {
			m := &merged[i]
			if m.Least > 0 || e.Least > 0 {
				m.Least, m.Most = cmp.Or(m.Least, m.Share)+cmp.Or(e.Least, e.Share), cmp.Or(m.Most, m.Share)+cmp.Or(e.Most, e.Share)
			}
			m.Share += e.Share
			continue
		}
		merged = append(merged, e)
	}
	for i := range merged {
		merged[i].Share /= sum
		merged[i].Least /= sum
		merged[i].Most = min(merged[i].Most/sum, 1)
	}
	return merged
}
