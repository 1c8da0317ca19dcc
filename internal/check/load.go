package check

import (
	"fmt"

	"grpcmesh/internal/spread"
)

// Load is what a load tells of balance.
type Load struct {
	Calls  int            `json:"calls"`  // all that were made
	Counts map[string]int `json:"counts"` // those that an endpoint answered, by its address
	// Failed are those that were not well, Reasons why, the most frequent first.
	Failed  int      `json:"failed,omitempty"`
	Reasons []Reason `json:"reasons,omitempty"`
	// Unjudged, if not empty, is why no claim about shares holds for them.
	Unjudged string `json:"unjudged,omitempty"`
}

const (
	// mild is the odds ratio that is reported and does not fail, however many
	// calls show it.
	mild = 2
	// beyondDesign is by how much the odds must exceed those of what can be by design.
	beyondDesign = 1.2
)

// judgesLoad says whether a claim about shares holds for the load: that of the
// chance that any one call has to be led to an endpoint, whatever is under way.
func (d *digest) judgesLoad() bool {
	return d.Load != nil && d.Load.Unjudged == "" && d.Rung == RungRoute && d.ByDesign == "" && len(d.Changed) == 0 && len(d.Expected) > 1
}

// load tests the calls of the load for dominance, if they are judged, and returns
// what of alpha is left for the check's own test.
//
// They are not independent: what the gateway does with one depends on those
// under way. But in all of Envoy's ways to balance the chance of a call to be
// led to an endpoint is bounded whatever came before, be it by the share, or,
// where the idler of two pods drawn gets the call, by the chance to be drawn at
// all (1-(1-1/k)^2, Endpoint.Most); and round robin is more even than chance. So
// the test holds for the number of calls that each endpoint got, looked at once.
// Calls of which nobody knows whose they were count as no endpoint's.
//
// With thousands of calls even a small lead is certain, and is no fault: what is
// tested is not the share but twice its odds, or what can be by design if that is
// more, against three times.
func (d *digest) load() (alpha float64) {
	if !d.judgesLoad() {
		return d.alpha
	}
	alpha = d.alpha / 2
	bounds, ratios := make([]float64, len(d.shares)), make([]float64, len(d.shares))
	for i, p := range d.shares {
		bounds[i] = max(d.most[i], ofOdds(mild*odds(p)))
		ratios[i] = max(heavy*odds(p)/odds(bounds[i]), beyondDesign)
	}
	d.bounds = bounds
	d.loaded = spread.NewDominanceBetween(bounds, ratios, alpha)
	d.loaded.Others(d.Load.Calls - d.answeredLoad())
	d.loaded.Add(d.loadCounts())
	return alpha
}

func odds(p float64) float64   { return p / (1 - p) }
func ofOdds(o float64) float64 { return o / (1 + o) }

// underLoad is the Finding of a pod that got far more than its share of a load.
func (d *digest) underLoad() []Finding {
	if d.loaded == nil {
		return nil
	}
	i, logLR, alarm := d.loaded.Alarm()
	if !alarm {
		return nil
	}
	return []Finding{found(codeDominance, d.name(i), fmt.Sprintf("%s got %d of the load's %d calls against an expected share of %.3g%s (log likelihood ratio %.1f)",
		d.name(i), d.Load.Counts[d.Expected[i].Address], d.Load.Calls, d.shares[i], d.atMost(i), logLR), d.favouring())}
}

// unevenLoad finds an endpoint with under half or over double its share of the
// load, as uneven does of the check.
func (d *digest) unevenLoad() (int, bool) {
	if d.loaded == nil || d.answeredLoad() < 10*len(d.Expected) {
		return 0, false
	}
	return d.offShare(d.loadCounts(), d.answeredLoad())
}

// loadCounts are how many of the load's calls each expected endpoint answered.
func (d *digest) loadCounts() []int {
	counts := make([]int, len(d.Expected))
	for i, e := range d.Expected {
		counts[i] = d.Load.Counts[e.Address]
	}
	return counts
}

// answeredLoad is how many of the load's calls an expected endpoint answered.
func (d *digest) answeredLoad() int {
	sum := 0
	for _, n := range d.loadCounts() {
		sum += n
	}
	return sum
}

// skew is the odds ratio against its share from which on a pod's lead would have
// shown, in the check or in the load; 0 if none would.
func (d *digest) skew() float64 {
	inCheck := d.dominance.Shown(d.draws(), d.draws()) * d.room(d.most)
	if d.loaded == nil {
		return inCheck
	}
	inLoad := d.loaded.Shown(d.Load.Calls, d.answeredLoad()) * d.room(d.bounds)
	if inCheck == 0 || inLoad > 0 && inLoad < inCheck {
		return inLoad
	}
	return inCheck
}

// room is by how much the odds of an endpoint can exceed those of its share
// without an alarm, where shares up to these bounds raise none.
func (d *digest) room(bounds []float64) float64 {
	most := 1.0
	for i, p := range d.shares {
		if q := bounds[i]; p < 1 && q < 1 {
			most = max(most, odds(q)/odds(p))
		}
	}
	return most
}
