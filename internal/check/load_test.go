package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// loaded adds a load of so many calls of each pod, and of nobody's.
func loaded(nobodys int, counts ...int) func(*Evidence) {
	return func(e *Evidence) {
		e.Load = &Load{Calls: nobodys, Counts: map[string]int{}}
		for i, n := range counts {
			e.Load.Calls += n
			e.Load.Counts[e.Expected[i].Address] = n
		}
	}
}

// idler says that the gateway prefers idle pods.
func idler(e *Evidence) {
	k := float64(len(e.Expected))
	for i := range e.Expected {
		e.Expected[i].Least, e.Expected[i].Most = e.Expected[i].Share/k, e.Expected[i].Share*(2-1/k)
	}
}

// TestLoadRows: what a load makes of evidence that passes without it. Of three
// pods, 60 % are three times the odds of the share.
func TestLoadRows(t *testing.T) {
	for _, r := range []row{
		{"even", loaded(0, 1000, 1010, 990), Pass, nil},
		{"three times the odds", loaded(0, 1800, 600, 600), Fail, []string{"GM222"}},
		{"three times the odds, few calls", loaded(0, 60, 20, 20), Pass, nil},
		{"gross, few calls", loaded(0, 58, 1, 1), Fail, []string{"GM222"}},
		{"mild, however many calls", loaded(0, 495_000, 252_500, 252_500), Pass, nil},
		{"mild, and told", loaded(0, 500_000, 400_000, 100_000), Pass, []string{"GM252"}},
		{"three times the odds, but most answers are nobody's", loaded(3000, 1800, 600, 600), Pass, nil},
		{"by design: one pod idle, the others busy", both(idler, loaded(0, 55_000, 22_500, 22_500)), Pass, nil},
		{"more than the design can explain", both(idler, loaded(0, 30_500, 9_750, 9_750)), Fail, []string{"GM222"}},
		{"one slow pod, which gets less", both(idler, loaded(0, 4400, 4400, 1200)), Pass, []string{"GM252"}},
		{"preferred pods", both(prefer, loaded(0, 1800, 600, 600)), Inconclusive, []string{"GM242"}},
		{"calls stick by design", both(loaded(0, 1800, 600, 600), func(e *Evidence) { e.ByDesign = "consistent hashing" }), Inconclusive, []string{"GM234"}},
		{"endpoints changed meanwhile", both(loaded(0, 1800, 600, 600), func(e *Evidence) { e.Load.Unjudged = "endpoints changed" }), Pass, nil},
		{"endpoints changed in the check", both(loaded(0, 1800, 600, 600), func(e *Evidence) { e.Changed = []string{"d (" + nobod + ") came"} }), Pass, []string{"GM251"}},
		{"one pod is all there is", both(loaded(0, 900), func(e *Evidence) { e.Expected = pods(podA); calls(repeat(12, stamped(podA)))(e) }), Inconclusive, []string{"GM230"}},
		{"a hop fails beside it", both(loaded(0, 1800, 600, 600), calls(repeat(9, flagged("UH", "")))), Fail, []string{"GM204"}},
	} {
		e := route()
		r.change(&e)
		result := Judge(e)
		var got []string
		for _, f := range result.Findings {
			got = append(got, f.Code)
		}
		if result.Verdict != r.want || !slices.Equal(got, r.codes) {
			t.Errorf("%s: %s %v, want %s %v\n%+v", r.name, result.Verdict, got, r.want, r.codes, result.Findings)
		}
	}
	e := route()
	loaded(0, 1800, 600, 600)(&e)
	if f := Judge(e).Findings[0]; !strings.Contains(f.Message, "got 1800 of the load's 3000 calls against an expected share of 0.333 (") || !runnable(f.Hint) {
		t.Errorf("%+v", f)
	}
	// What a PASS says of evenness is what the load would have shown.
	loaded(0, 1000, 1000, 1000)(&e)
	skew := Judge(e).Coverage.Skew
	if skew < 2 || skew > 3 {
		t.Errorf("a lead from %.2f times the odds on would have shown", skew)
	}
	for by, want := range map[float64]Verdict{1.05: Fail, .9: Pass} {
		lead := int(3000 * ofOdds(by*skew*odds(1./3)))
		loaded(0, lead, (3000-lead)/2, 3000-lead-(3000-lead)/2)(&e)
		if got := Judge(e).Verdict; got != want {
			t.Errorf("%d of 3000 calls, %.2f of the lead that shows: %s", lead, by, got)
		}
	}
}

// queue is a gateway under load: calls begin as others end, and least says
// whether of two pods drawn the idler gets the call. service is the mean time of
// a pod's calls.
func queue(rng *rand.Rand, calls, inFlight int, least bool, service []float64) []int {
	k, now := len(service), 0.0
	counts, active := make([]int, k), make([]int, k)
	type call struct {
		end float64
		pod int
	}
	var under []call
	for range calls {
		if len(under) >= inFlight {
			i := 0
			for j := range under {
				if under[j].end < under[i].end {
					i = j
				}
			}
			now = under[i].end
			active[under[i].pod]--
			under = slices.Delete(under, i, i+1)
		}
		pod := rng.IntN(k)
		if other := rng.IntN(k); least && active[other] < active[pod] {
			pod = other
		}
		counts[pod]++
		active[pod]++
		under = append(under, call{now + rng.ExpFloat64()*service[pod], pod})
	}
	return counts
}

// TestLoadPolicies: of healthy pods, however unequal in speed and whatever the
// gateway makes of that, a load of any size fails at most at the stated rate;
// a pod with four times the odds is found.
func TestLoadPolicies(t *testing.T) {
	const runs = 300
	for name, service := range map[string][]float64{"alike": {1, 1, 1}, "one slow": {1, 1, 30}, "one quick": {1, 30, 30}, "two pods, one slow": {1, 100}, "ten, one quick": {1, 9, 9, 9, 9, 9, 9, 9, 9, 9}} {
		for _, least := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(uint64(len(service)), uint64(len(name))))
			fails := 0
			for i := range runs {
				e := loadOf(len(service), least)
				loaded(0, queue(rng, []int{50, 500, 4000}[i%3], []int{1, 8, 64}[i/3%3], least, service)...)(&e)
				if Judge(e).Verdict == Fail {
					fails++
				}
			}
			if bound := upper(fails, runs); bound > simAlpha {
				t.Errorf("%s, least request %v: %d of %d healthy loads failed, up to %.3f", name, least, fails, runs, bound)
			}
		}
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, k := range []int{2, 3, 10} {
		shares := first(ofOdds(4 * odds(1/float64(k))))(k)
		for _, least := range []bool{false, true} {
			found := 0
			for range 20 {
				counts := make([]int, k)
				pick := unevenly(func(int) []float64 { return shares })(rng, k)
				for range 5000 {
					counts[pick()]++
				}
				e := loadOf(k, least)
				loaded(0, counts...)(&e)
				if Judge(e).Verdict == Fail {
					found++
				}
			}
			if found < 19 {
				t.Errorf("%d pods, least request %v: %d of 20 loads on a pod with four times the odds failed", k, least, found)
			}
		}
	}
}

// loadOf is evidence of k pods that passes.
func loadOf(k int, least bool) Evidence {
	e := route()
	var addresses []string
	e.Samples = nil
	for i := range k {
		addresses = append(addresses, fmt.Sprintf("10.0.0.%d:1", i))
		e.Samples = append(e.Samples, stamped(addresses[i]))
	}
	e.Alpha, e.Expected = simAlpha, pods(addresses...)
	if least {
		idler(&e)
	}
	return e
}
