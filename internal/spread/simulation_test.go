package spread

import (
	"math"
	"math/rand/v2"
	"testing"
)

const (
	simAlpha = 0.05
	simRuns  = 2000
)

// TestFalseAlarms draws from exactly the expected shares. Were a test's true
// false-alarm rate above alpha, its alarms among simRuns would exceed the
// bound; a rate of at most alpha exceeds it once in a million (exact binomial).
func TestFalseAlarms(t *testing.T) {
	bound := binomialBound(simRuns, simAlpha, 1e-6)
	for _, shares := range [][]float64{Equal(2), Equal(3), Equal(10), {0.9, 0.1}, {0.5, 0.3, 0.15, 0.05}} {
		var unseen, stuck, dominance int
		rng := rand.New(rand.NewPCG(1, uint64(len(shares))))
		for range simRuns {
			if !covered(rng, shares, Needed(shares, simAlpha)) {
				unseen++
			}
			if same(rng, shares, StuckNeededShares(shares, simAlpha)) {
				stuck++
			}
			if alarmed(rng, shares, shares, 600) {
				dominance++
			}
		}
		for name, n := range map[string]int{"coverage": unseen, "stuck": stuck, "dominance": dominance} {
			if n > bound {
				t.Errorf("%s on %v: %d alarms in %d runs, bound %d", name, shares, n, simRuns, bound)
			}
		}
	}
}

// TestPower: with the faults that the tests are for, they nearly always alarm.
func TestPower(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	tripled := func(k int) []float64 { // endpoint 0 has four times the odds
		shares := Equal(k)
		p := shares[0]
		q := 4 * p / (1 - p + 4*p)
		for i := range shares {
			shares[i] = (1 - q) / float64(k-1)
		}
		shares[0] = q
		return shares
	}
	for k, calls := range map[int]int{2: 100, 3: 100, 10: 200} {
		hits := 0
		for range 500 {
			if alarmed(rng, Equal(k), tripled(k), calls) {
				hits++
			}
		}
		if hits < 475 {
			t.Errorf("k=%d: %d of 500 skewed runs alarmed", k, hits)
		}
	}
	dead := append(Equal(9), 0)
	if covered(rng, dead, Needed(Equal(10), simAlpha)) {
		t.Error("a dead endpoint was covered")
	}
	if !same(rng, []float64{1, 0, 0}, StuckNeeded(3, simAlpha)) {
		t.Error("a stuck client was not stuck")
	}
}

func draw(rng *rand.Rand, shares []float64) int {
	x := rng.Float64()
	for i, p := range shares {
		if x -= p; x < 0 {
			return i
		}
	}
	return len(shares) - 1
}

func covered(rng *rand.Rand, shares []float64, n int) bool {
	seen := map[int]bool{}
	for range n {
		i := draw(rng, shares)
		seen[i] = shares[i] > 0
	}
	return len(seen) == len(shares)
}

func same(rng *rand.Rand, shares []float64, m int) bool {
	first := draw(rng, shares)
	for range m - 1 {
		if draw(rng, shares) != first {
			return false
		}
	}
	return true
}

func alarmed(rng *rand.Rand, expected, actual []float64, calls int) bool {
	d := NewDominance(expected, 3, simAlpha)
	for range calls {
		d.Observe(draw(rng, actual))
	}
	_, _, ok := d.Alarm()
	return ok
}

// binomialBound is the least b with P(X > b) <= tail for X ~ Binomial(n, p).
func binomialBound(n int, p, tail float64) int {
	above := 0.0
	for b := n; b > 0; b-- {
		lc, _ := math.Lgamma(float64(n + 1))
		l1, _ := math.Lgamma(float64(b + 1))
		l2, _ := math.Lgamma(float64(n - b + 1))
		above += math.Exp(lc - l1 - l2 + float64(b)*math.Log(p) + float64(n-b)*math.Log1p(-p))
		if above > tail {
			return b
		}
	}
	return 0
}
