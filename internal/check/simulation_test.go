package check

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

const (
	simAlpha = 0.05
	simRuns  = 600 // more than 3/simAlpha
)

// A picker is a gateway's load balancer: which of k pods gets the next call.
type picker func(rng *rand.Rand, k int) func() int

// leastRequest is Envoy's with its two choices: of two pods drawn, each time
// from all, the first, unless the second has fewer calls under way. busy is how
// many calls of others each has.
func leastRequest(busy func(rng *rand.Rand, i int) int) picker {
	return func(rng *rand.Rand, k int) func() int {
		return func() int {
			a, b := rng.IntN(k), rng.IntN(k)
			if busy(rng, b) < busy(rng, a) {
				return b
			}
			return a
		}
	}
}

// roundRobin is Envoy's: each worker of each gateway has its own turn, and one
// connection is one worker's. others is the mean number of other calls that the
// worker makes between two of ours.
func roundRobin(others float64) picker {
	return func(rng *rand.Rand, k int) func() int {
		next := rng.IntN(k)
		return func() int {
			for limit, p := math.Exp(-others), rng.Float64(); p > limit; p *= rng.Float64() { // Poisson (Knuth)
				next++
			}
			next++
			return next % k
		}
	}
}

// unevenly draws by fixed shares.
func unevenly(shares func(k int) []float64) picker {
	return func(rng *rand.Rand, k int) func() int {
		s := shares(k)
		return func() int {
			x := rng.Float64()
			for i, p := range s {
				if x -= p; x < 0 {
					return i
				}
			}
			return k - 1
		}
	}
}

// first gives pod 0 that share, and the others the rest.
func first(share float64) func(k int) []float64 {
	return func(k int) []float64 {
		s := make([]float64, k)
		for i := range s {
			s[i] = (1 - share) / float64(k-1)
		}
		s[0] = share
		return s
	}
}

func even(k int) []float64 { return spread.Equal(k) }

// cell is a balancer of healthy pods, and what verify knows of it.
type cell struct {
	name   string
	pick   picker
	shares func(k int) []float64 // that verify expects
	idler  bool                  // verify knows that busy pods get less
	warm   bool                  // verify knows that new pods get less
	mean   bool                  // the calls to PASS are those of the collector, or fewer
	ten    bool                  // with ten pods too
}

func cells() []cell {
	quiet := func(*rand.Rand, int) int { return 0 }
	return []cell{
		{name: "random", pick: unevenly(even), shares: even, mean: true, ten: true},
		{name: "round robin, quiet", pick: roundRobin(0), shares: even, mean: true},
		{name: "round robin, others call too", pick: roundRobin(3), shares: even, mean: true},
		{name: "least request, quiet", pick: leastRequest(quiet), shares: even, idler: true, mean: true},
		{name: "least request, under load", pick: leastRequest(func(rng *rand.Rand, _ int) int { return rng.IntN(4) }), shares: even, idler: true, mean: true},
		{name: "least request, one slow pod", pick: leastRequest(func(_ *rand.Rand, i int) int {
			if i == 0 {
				return 9
			}
			return 0
		}), shares: even, idler: true, ten: true},
		{name: "least request, one idle pod", pick: leastRequest(func(_ *rand.Rand, i int) int {
			if i == 0 {
				return 0
			}
			return 9
		}), shares: even, idler: true},
		{name: "weights 90/10", pick: unevenly(first(.9)), shares: first(.9), mean: true},
		{name: "one pod warming up", pick: unevenly(first(.01)), shares: even, warm: true},
	}
}

// sizes are how many pods there are.
func (c cell) sizes() []int {
	if c.ten {
		return []int{2, 3, 10}
	}
	return []int{2, 3}
}

// simulate runs one verify against a balancer.
func simulate(c cell, k int, pick func() int) (Verdict, int) {
	e := route()
	e.Alpha, e.Expected = simAlpha, nil
	for i, share := range c.shares(k) {
		ep := Endpoint{Address: fmt.Sprintf("10.0.0.%d:1", i), Pod: fmt.Sprint("p", i), Share: share}
		if c.idler {
			ep.Least, ep.Most = share/float64(k), share*(2-1/float64(k))
		}
		e.Expected = append(e.Expected, ep)
	}
	if c.warm {
		e.Prefers = "new pods get few calls"
	}
	e = run(e, func(int) probe.Sample { return stamped(e.Expected[pick()].Address) })
	return Judge(e).Verdict, len(e.Samples)
}

// TestPolicies: against each of Envoy's ways to balance healthy pods, verify
// fails at most at the stated rate: the one-sided 95 % upper bound of the rate
// is at most alpha. Where calls are spread as it expects, it takes no more of
// them than the collector's mean allows. `go test -v` prints the table.
func TestPolicies(t *testing.T) {
	for n, c := range cells() {
		for _, k := range c.sizes() {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(k)))
			fails, passes, calls := 0, 0, 0
			for range simRuns {
				verdict, made := simulate(c, k, c.pick(rng, k))
				switch verdict {
				case Fail:
					fails++
				case Pass:
					passes, calls = passes+1, calls+made
				case Inconclusive:
				}
			}
			mean, collector := float64(calls)/float64(max(passes, 1)), spread.CollectorMean(c.shares(k))
			t.Logf("%-30s k=%-3d PASS %5.1f %%  FAIL %4.1f %% (at most %.1f %%)  calls to PASS %6.1f (collector %.1f)",
				c.name, k, 100*float64(passes)/simRuns, 100*float64(fails)/simRuns, 100*upper(fails, simRuns), mean, collector)
			if bound := upper(fails, simRuns); bound > simAlpha {
				t.Errorf("%s, k=%d: %d of %d healthy runs failed: up to %.3f, more than %.3f", c.name, k, fails, simRuns, bound, simAlpha)
			}
			if c.mean && (mean > 1.1*collector || passes < simRuns*9/10) {
				t.Errorf("%s, k=%d: %.1f calls to PASS, the collector takes %.1f; %d passed", c.name, k, mean, collector, passes)
			}
		}
	}
}

// TestPolicyPower: with a pod that never answers, and with all calls on one,
// healthy-looking rest or not, verify never passes and nearly always fails.
func TestPolicyPower(t *testing.T) {
	for _, c := range cells() {
		if c.warm {
			continue // where a pod may be warming up, a silent one is INCONCLUSIVE
		}
		for _, k := range c.sizes() {
			rng := rand.New(rand.NewPCG(uint64(k), 99))
			dead, stuck := 0, 0
			for range 20 {
				pick := c.pick(rng, k)
				if v, _ := simulate(c, k, func() int { return max(pick(), 1) }); v == Fail {
					dead++
				} else if v == Pass {
					t.Errorf("%s, k=%d: passed with a dead pod", c.name, k)
				}
				if v, _ := simulate(c, k, func() int { return k - 1 }); v == Fail {
					stuck++
				}
			}
			if dead < 19 || stuck < 19 {
				t.Errorf("%s, k=%d: of 20 runs %d told of the dead pod, %d of the one that gets all", c.name, k, dead, stuck)
			}
		}
	}
}

// upper is the one-sided 95 % upper bound of a rate that showed x times in n
// (Clopper and Pearson 1934): the rate at which x or fewer have a chance of 5 %.
func upper(x, n int) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		p := (low + high) / 2
		chance := 0.0
		for i := range x + 1 {
			all, _ := math.Lgamma(float64(n + 1))
			a, _ := math.Lgamma(float64(i + 1))
			b, _ := math.Lgamma(float64(n - i + 1))
			chance += math.Exp(all - a - b + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		}
		if chance > .05 {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// TestPoliciesNamed: the same by what the app says, without a cluster that would
// tell how calls are balanced. However many pods the user expects, if it is as many
// as there are, or says nothing of it.
func TestPoliciesNamed(t *testing.T) {
	for n, c := range cells() {
		if c.warm || !c.idler && !c.mean || c.name == "weights 90/10" {
			continue // the user is asked for the number of equal pods
		}
		for _, k := range []int{2, 3, 10} {
			for _, expect := range []int{0, k} {
				rng := rand.New(rand.NewPCG(uint64(n), uint64(k+expect)))
				fails, passes := 0, 0
				const runs = 200
				for range runs {
					pick := c.pick(rng, k)
					e := app()
					alone(expect)(&e)
					e.Alpha = simAlpha
					e = run(e, func(int) probe.Sample { return said(fmt.Sprint("pod-", pick())) })
					switch Judge(e).Verdict {
					case Fail:
						fails++
					case Pass:
						passes++
					case Inconclusive:
					}
				}
				t.Logf("%-30s k=%-3d expected %-3d PASS %5.1f %%  FAIL %4.1f %%", c.name, k, expect, 100*float64(passes)/runs, 100*float64(fails)/runs)
				if bound := upper(fails, runs); bound > simAlpha {
					t.Errorf("%s, k=%d, expected %d: %d of %d healthy runs failed: up to %.3f, more than %.3f", c.name, k, expect, fails, runs, bound, simAlpha)
				}
				if passes < runs*8/10 {
					t.Errorf("%s, k=%d, expected %d: %d of %d passed", c.name, k, expect, passes, runs)
				}
			}
		}
	}
}
