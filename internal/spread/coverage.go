// Package spread is the arithmetic of evenness: how many calls a claim takes,
// when a run of calls on one pod stops being luck, and when one pod gets too
// much. It is pure: no clock, no input or output, no package of this project.
//
// Every formula assumes independent draws: one call in flight at a time.
package spread

import (
	"math"
	"sort"
)

// slack absorbs the rounding of a probability that equals alpha exactly, such
// as 10^-3 against 0.001; it is far below any alpha that is worth stating.
const slack = 1e-12

// Needed is the smallest number of calls n after which an endpoint that has
// still not answered is not bad luck: sum over endpoints of (1-p)^n <= alpha
// (the union bound). For k equal shares that is
// ceil(ln(k/alpha) / -ln(1-1/k)).
//
// shares are probabilities that sum to 1, alpha is in (0,1). No shares give 0.
// A share of zero, or an alpha of zero, is never satisfied: math.MaxInt.
func Needed(shares []float64, alpha float64) int {
	return smallest(1, alpha, func(n float64) float64 { return Unseen(shares, n) }, len(shares))
}

// Unseen bounds the chance that at least one endpoint gets none of n calls:
// sum of (1-p)^n, at most 1.
func Unseen(shares []float64, n float64) float64 {
	sum := 0.0
	for _, p := range shares {
		switch {
		case p <= 0 || math.IsNaN(p):
			return 1
		case p < 1:
			sum += math.Exp(n * math.Log1p(-p))
		}
	}
	return math.Min(sum, 1)
}

// CollectorMean is the mean number of calls until every endpoint has answered
// at least once (the coupon collector): k*H_k for k equal shares, and else
// the integral over t >= 0 of 1 - prod(1-exp(-p*t)) (Flajolet, Gardy and
// Thimonier 1992, "Birthday paradox, coupon collectors, caching algorithms and
// self-organizing search"), to a relative error below 1e-9.
//
// shares are probabilities that sum to 1. No shares give 0, a share of zero
// gives +Inf.
func CollectorMean(shares []float64) float64 {
	k := len(shares)
	if k == 0 {
		return 0
	}
	low, high := math.Inf(1), 0.0
	for _, p := range shares {
		if p <= 0 || math.IsNaN(p) {
			return math.Inf(1)
		}
		low, high = math.Min(low, p), math.Max(high, p)
	}
	if high-low <= slack*high {
		harmonic := 0.0
		for i := k; i >= 1; i-- { // small terms first
			harmonic += 1 / float64(i)
		}
		return float64(k) * harmonic
	}
	// With t = e^u the integrand falls off exponentially at both ends, where
	// the plain trapezoid rule converges faster than any power of its step.
	const step = 1.0 / 64
	from := math.Log(1e-14)
	to := math.Log((math.Log(float64(k)) + 45) / low)
	sum := 0.0
	for i := 0; ; i++ {
		u := from + float64(i)*step
		if u > to {
			break
		}
		t := math.Exp(u)
		all := 0.0 // ln of the chance that everyone was seen by time t
		for _, p := range shares {
			all += math.Log(-math.Expm1(-p * t))
		}
		sum += t * -math.Expm1(all)
	}
	return sum * step
}

// Stuck is the chance that m independent calls over k equal endpoints all land
// on the same one: k^(1-m). It is 1 for k < 2 or m < 1.
func Stuck(k, m int) float64 {
	if k < 2 || m < 1 {
		return 1
	}
	return math.Pow(float64(k), float64(1-m))
}

// StuckNeeded is the smallest m with Stuck(k, m) <= alpha: the run of calls on
// one endpoint that is no longer luck. math.MaxInt where no run suffices.
func StuckNeeded(k int, alpha float64) int {
	return smallest(1, alpha, func(m float64) float64 {
		if k < 2 {
			return 1
		}
		return math.Pow(float64(k), 1-m)
	}, k)
}

// StuckShares is Stuck for unequal shares: sum of p^m. With equal shares the
// two agree. Shares that are missing, or one share of 1, give 1.
func StuckShares(shares []float64, m float64) float64 {
	if len(shares) == 0 || m < 1 {
		return 1
	}
	sum := 0.0
	for _, p := range shares {
		if p > 0 {
			sum += math.Pow(math.Min(p, 1), m)
		}
	}
	return math.Min(sum, 1)
}

// StuckNeededShares is StuckNeeded for unequal shares.
func StuckNeededShares(shares []float64, alpha float64) int {
	return smallest(1, alpha, func(m float64) float64 { return StuckShares(shares, m) }, len(shares))
}

// Equal gives k shares of 1/k; none for k < 1.
func Equal(k int) []float64 {
	if k < 1 {
		return nil
	}
	shares := make([]float64, k)
	for i := range shares {
		shares[i] = 1 / float64(k)
	}
	return shares
}

// smallest finds the least n >= from with chance(n) <= alpha, for a chance
// that never rises with n. k = 0 gives 0: nothing to wait for.
func smallest(from int, alpha float64, chance func(float64) float64, k int) int {
	if k == 0 {
		return 0
	}
	const most = 1 << 40 // more calls than anyone makes
	limit := alpha * (1 + slack)
	if !(alpha > 0) || chance(most) > limit {
		return math.MaxInt
	}
	return from + sort.Search(most, func(i int) bool { return chance(float64(from+i)) <= limit })
}
