package check

import (
	"maps"
	"net/netip"
	"slices"
)

// count takes the counters of the sidecars rung.
func (d *digest) count() {
	sum := 0
	for _, address := range slices.Sorted(maps.Keys(d.Counts)) {
		n := max(d.Counts[address], 0)
		sum += n
		if i, ok := d.index[address]; ok {
			d.counts[i] += n
			d.named += n
		} else if n > 0 {
			d.strange(address, n)
		}
	}
	// Own calls that got through but reached no counter are answers of nobody,
	// unless there were pods that could not be counted to the end.
	d.unnamed = max(d.Own-d.failures-sum, 0)
	if len(d.uncounted()) == 0 && slices.ContainsFunc(d.Changed, d.hasUncounted) {
		d.lost, d.unnamed = d.unnamed, 0
	}
	d.calls = max(d.Own, d.calls)
	// The heaviest may owe the calls of others for its lead: taken off, so
	// that the alarm stands even if all of them were its.
	fair := slices.Clone(d.counts)
	if len(fair) > 0 {
		top := slices.Index(fair, slices.Max(fair))
		fair[top] = max(fair[top]-d.Foreign, 0)
	}
	d.dominance.Add(fair)
}

// hasUncounted tells whether words hold the address of a pod that has no count.
func (d *digest) hasUncounted(words string) bool {
	return slices.ContainsFunc(split(words), func(word string) bool {
		_, err := netip.ParseAddrPort(word)
		_, counted := d.Counts[word]
		return err == nil && !counted
	})
}

// uncounted are the endpoints that were there all the time and have no count.
func (d *digest) uncounted() []int {
	var none []int
	for i, e := range d.Expected {
		if _, ok := d.Counts[e.Address]; d.counting() && !ok {
			none = append(none, i)
		}
	}
	return none
}
