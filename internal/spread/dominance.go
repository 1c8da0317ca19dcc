package spread

import "math"

// Dominance watches for one endpoint that gets far more than its share. It is
// a sequential likelihood-ratio test: against the expected share p it weighs
// the share q = r*p/(1-p+r*p), which is r times the odds, for every endpoint,
// and averages the ratios over the endpoints. Under the expected shares that
// average is a martingale of mean 1, so by Ville's inequality it ever reaches
// 1/alpha with a chance of at most alpha: the test is valid at any stopping
// time, and an alarm once raised stands.
//
// It is not safe for use by several goroutines.
type Dominance struct {
	logOdds []float64 // ln r
	perCall []float64 // ln(1-p+r*p), what each call costs every hypothesis
	counts  []int
	total   int
	limit   float64 // ln(1/alpha)
	above   float64 // no single log ratio is larger than this
	alarmed bool
	index   int
	logLR   float64
}

// NewDominance starts a test for endpoints of the given expected shares
// (probabilities that sum to 1), odds ratio r > 1 and false-alarm rate alpha in
// (0,1). Arguments outside of these give a test that never alarms.
func NewDominance(shares []float64, r, alpha float64) *Dominance {
	odds := make([]float64, len(shares))
	for i := range odds {
		odds[i] = r
	}
	return NewDominanceBetween(shares, odds, alpha)
}

// NewDominanceBetween is the same with an odds ratio for each endpoint. Where
// what is expected is only that an endpoint gets no more than its share,
// whatever happened before, the test is as valid: a lower chance lowers the
// mean of the ratio.
func NewDominanceBetween(shares, r []float64, alpha float64) *Dominance {
	d := &Dominance{
		logOdds: make([]float64, len(shares)),
		perCall: make([]float64, len(shares)),
		counts:  make([]int, len(shares)),
		limit:   -math.Log(alpha),
		above:   math.Inf(-1),
		index:   -1,
	}
	if !(alpha > 0) || !(alpha < 1) {
		d.limit = math.Inf(1)
	}
	for i, p := range shares {
		if !(r[i] > 1) {
			d.limit = math.Inf(1)
		}
		d.logOdds[i] = math.Log(r[i])
		d.perCall[i] = math.Log1p((r[i] - 1) * math.Min(math.Max(p, 0), 1))
	}
	return d
}

// Observe takes one call, answered by endpoint i. An index out of range is
// ignored: a call that can't be attributed says nothing about shares.
func (d *Dominance) Observe(i int) {
	if i < 0 || i >= len(d.counts) {
		return
	}
	d.counts[i]++
	d.total++
	// A call lowers every ratio but that of its own endpoint, and the average
	// is no larger than the largest: mostly there is nothing to sum up.
	if d.above = max(d.above, d.single(i)); d.above >= d.limit {
		d.judge()
	}
}

// Add takes a batch of calls of which only the counts are known, counts[i] for
// endpoint i, and tests once after all of them: within a batch there is no
// order that could be tested in. Surplus and negative counts are ignored.
func (d *Dominance) Add(counts []int) {
	for i, n := range counts {
		if i < len(d.counts) && n > 0 {
			d.counts[i] += n
			d.total += n
		}
	}
	d.judge()
}

// Others takes n calls of which nothing is known but that they were made. They
// count as no endpoint's: none has more evidence against it for them.
func (d *Dominance) Others(n int) { d.total += max(n, 0) }

// Alarm tells the endpoint with the most evidence against its share and the
// natural logarithm of the averaged likelihood ratio; ok is true once that
// reached ln(1/alpha), and index and logLR are then those of that moment.
// index is -1 before the first call.
func (d *Dominance) Alarm() (index int, logLR float64, ok bool) {
	d.judge()
	return d.index, d.logLR, d.alarmed
}

// Shown is the odds ratio from which on a lead of any one endpoint shows in n
// calls, of which it is known who answered so many: the endpoint got as many of them as raise the alarm, and that is so
// many times the odds that its share promises. It is 0 where that is too small for
// that: then no lead shows, and that none did says nothing.
func (d *Dominance) Shown(n, known int) float64 {
	most := 0.0
	for i, perCall := range d.perCall {
		p := math.Expm1(perCall) / math.Expm1(d.logOdds[i])
		// The others' ratios are left out of the average: they are small then.
		c := math.Ceil((d.limit + math.Log(float64(len(d.perCall))) + float64(n)*perCall) / d.logOdds[i])
		if !(c < float64(known)) {
			return 0
		}
		most = max(most, c/(float64(known)-c)*(1-p)/p)
	}
	return most
}

func (d *Dominance) judge() {
	if d.alarmed || d.total == 0 {
		return
	}
	top, best := -1, math.Inf(-1)
	for i := range d.counts {
		if l := d.single(i); l > best {
			top, best = i, l
		}
	}
	sum := 0.0 // the average in log space, by the largest term
	for i := range d.counts {
		sum += math.Exp(d.single(i) - best)
	}
	d.index, d.above = top, best
	d.logLR = best + math.Log(sum) - math.Log(float64(len(d.counts)))
	d.alarmed = d.logLR >= d.limit
}

// single is the log likelihood ratio of "endpoint i is the heavy one":
// c*ln(q/p) + (n-c)*ln((1-q)/(1-p)), in which both terms share the divisor
// 1-p+r*p, so that it is c*ln(r) - n*ln(1-p+r*p) without any cancellation.
func (d *Dominance) single(i int) float64 {
	return float64(d.counts[i])*d.logOdds[i] - float64(d.total)*d.perCall[i]
}
