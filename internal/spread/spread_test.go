package spread

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNeededTable(t *testing.T) {
	for k, want := range map[int]int{1: 1, 2: 11, 3: 20, 10: 88, 100: 1146, 1000: 13809} {
		if got := Needed(Equal(k), 0.001); got != want {
			t.Errorf("Needed(%d equal) = %d, want %d", k, got, want)
		}
	}
	if got := Needed(nil, 0.001); got != 0 {
		t.Errorf("Needed(none) = %d", got)
	}
	for _, bad := range [][]float64{{1, 0}, {0.5, math.NaN()}} {
		if got := Needed(bad, 0.001); got != math.MaxInt {
			t.Errorf("Needed(%v) = %d", bad, got)
		}
	}
	if got := Needed(Equal(3), 0); got != math.MaxInt {
		t.Errorf("Needed(alpha 0) = %d", got)
	}
}

func TestNeededIsTheClosedFormAndTheSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 2000).Draw(t, "k")
		alpha := rapid.Float64Range(1e-6, 0.2).Draw(t, "alpha")
		want := math.Log(float64(k)/alpha) / -math.Log1p(-1/float64(k))
		got := Needed(Equal(k), alpha)
		if d := float64(got) - want; d < -1e-6 || d > 1+1e-6 {
			t.Fatalf("Needed = %d, closed form %v", got, want)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		shares := drawShares(t)
		alpha := rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha")
		n := Needed(shares, alpha)
		if Unseen(shares, float64(n)) > alpha*(1+1e-9) {
			t.Fatalf("%d calls leave %v", n, Unseen(shares, float64(n)))
		}
		if n > 1 && Unseen(shares, float64(n-1)) <= alpha*(1-1e-9) {
			t.Fatalf("%d calls were enough", n-1)
		}
	})
}

func TestCollectorMean(t *testing.T) {
	for k, want := range map[int]float64{1: 1, 2: 3, 3: 5.5, 10: 29.29, 100: 518.74, 1000: 7485.47} {
		if got := CollectorMean(Equal(k)); math.Abs(got-want) > 0.006 {
			t.Errorf("CollectorMean(%d equal) = %v, want %v", k, got, want)
		}
	}
	if got := CollectorMean([]float64{0.9, 0.1}); math.Abs(got-(1/0.9+1/0.1-1)) > 1e-8 {
		t.Errorf("90/10: %v", got)
	}
	if got := CollectorMean([]float64{1, 0}); !math.IsInf(got, 1) {
		t.Errorf("a share of zero: %v", got)
	}
	if got := CollectorMean(nil); got != 0 {
		t.Errorf("none: %v", got)
	}
}

// The integral against inclusion and exclusion over all subsets.
func TestCollectorMeanAgreesWithInclusionExclusion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares := drawShares(t)
		want := 0.0
		for set := 1; set < 1<<len(shares); set++ {
			sum, sign := 0.0, -1.0
			for i, p := range shares {
				if set&(1<<i) != 0 {
					sum, sign = sum+p, -sign
				}
			}
			want += sign / sum
		}
		if got := CollectorMean(shares); math.Abs(got-want) > 1e-7*want {
			t.Fatalf("CollectorMean(%v) = %v, want %v", shares, got, want)
		}
	})
}

func TestStuck(t *testing.T) {
	for k, want := range map[int]int{2: 11, 3: 8, 10: 4} {
		if got := StuckNeeded(k, 0.001); got != want {
			t.Errorf("StuckNeeded(%d) = %d, want %d", k, got, want)
		}
		if got := StuckNeededShares(Equal(k), 0.001); got != want {
			t.Errorf("StuckNeededShares(%d equal) = %d, want %d", k, got, want)
		}
		if a, b := Stuck(k, 5), StuckShares(Equal(k), 5); math.Abs(a-b) > 1e-12 {
			t.Errorf("k=%d: %v and %v", k, a, b)
		}
	}
	if got := StuckNeeded(1, 0.001); got != math.MaxInt {
		t.Errorf("one endpoint is never stuck: %d", got)
	}
	if got := StuckNeededShares([]float64{0.99, 0.01}, 0.001); got != 688 {
		t.Errorf("99/1: %d", got) // ln(0.001)/ln(0.99) = 687.3
	}
	if Stuck(3, 0) != 1 || StuckShares(nil, 9) != 1 {
		t.Error("nothing observed proves nothing")
	}
}

func TestDominanceAgainstPlainProducts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares := drawShares(t)
		calls := rapid.SliceOfN(rapid.IntRange(0, len(shares)-1), 1, 60).Draw(t, "calls")
		const r = 3.0
		d := NewDominance(shares, r, 1e-300) // never alarms, so nothing latches
		ratio := make([]float64, len(shares))
		for i := range ratio {
			ratio[i] = 1
		}
		for _, c := range calls {
			d.Observe(c)
			for i, p := range shares {
				q := r * p / (1 - p + r*p)
				if i == c {
					ratio[i] *= q / p
				} else {
					ratio[i] *= (1 - q) / (1 - p)
				}
			}
		}
		sum := 0.0
		for _, x := range ratio {
			sum += x
		}
		_, got, _ := d.Alarm()
		if want := math.Log(sum / float64(len(ratio))); math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
			t.Fatalf("log ratio %v, want %v", got, want)
		}
	})
}

// What Shown promises is where the alarm begins, within a call.
func TestShown(t *testing.T) {
	for _, tc := range []struct {
		shares []float64
		calls  int
		want   float64 // 0: nothing shows
	}{
		{Equal(2), 5, 0},
		{Equal(3), 12, 0},
		{Equal(3), 18, 34}, // 17 of 18
		{Equal(3), 100, 2 * 55 / 45.},
		{Equal(3), 3000, 1.76},
		{[]float64{.9, .1}, 200, 5.44},
	} {
		got := NewDominance(tc.shares, 3, .001/3).Shown(tc.calls, tc.calls)
		if math.Abs(got-tc.want) > .1*tc.want {
			t.Errorf("%v, %d calls: %.3g, want %.3g", tc.shares, tc.calls, got, tc.want)
		}
		if got == 0 || len(tc.shares) != 3 {
			continue
		}
		p := tc.shares[0]
		odds := got * p / (1 - p)
		c := int(math.Round(odds / (1 + odds) * float64(tc.calls)))
		for lead, want := range map[int]bool{c: true, c - 2: false} {
			d := NewDominance(tc.shares, 3, .001/3)
			rest := tc.calls - lead
			d.Add([]int{lead, rest / 2, rest - rest/2})
			if _, _, ok := d.Alarm(); ok != want {
				t.Errorf("%v, %d of %d calls: alarm %v", tc.shares, lead, tc.calls, ok)
			}
		}
	}
	if got := NewDominance(nil, 3, .001).Shown(10, 10); got != 0 {
		t.Error(got)
	}
}

func TestDominanceEdges(t *testing.T) {
	d := NewDominance(Equal(2), 3, 0.001)
	d.Observe(-1)
	d.Observe(2)
	if i, _, ok := d.Alarm(); i != -1 || ok {
		t.Error("a call of nobody counted")
	}
	for range 1_000_000 { // a plain product would have under- or overflowed long ago
		d.Observe(0)
		d.Observe(1)
	}
	if _, l, ok := d.Alarm(); ok || math.IsNaN(l) || math.IsInf(l, 0) {
		t.Errorf("even calls: %v %v", l, ok)
	}
	one := NewDominance([]float64{1}, 3, 0.001)
	one.Add([]int{1000})
	if _, l, ok := one.Alarm(); ok || l > 1e-9 {
		t.Errorf("an only endpoint can't dominate: %v", l)
	}
	latch := NewDominance(Equal(3), 3, 0.05)
	latch.Add([]int{40, 0, 0, 7})
	latch.Add([]int{0, 400, 400})
	if i, _, ok := latch.Alarm(); !ok || i != 0 {
		t.Errorf("an alarm stands: %d %v", i, ok)
	}
	for _, bad := range []*Dominance{NewDominance(Equal(2), 1, 0.05), NewDominance(Equal(2), 3, 0), NewDominance(Equal(2), 3, 1)} {
		bad.Add([]int{1000, 0})
		if _, _, ok := bad.Alarm(); ok {
			t.Error("senseless arguments alarmed")
		}
	}
}

func TestDistribution(t *testing.T) {
	d := NewDistribution(2)
	for _, key := range []string{"b", "a", "", "b", "c", "d", "a"} {
		d.Add(key)
	}
	if diff := cmp.Diff([]Count{{"b", 2}, {"a", 2}}, d.Counts()); diff != "" {
		t.Error(diff)
	}
	if d.Total() != 7 || d.Unidentified() != 3 || d.Overflowed() != 2 || d.Of("a") != 2 || d.Of("c") != 0 {
		t.Errorf("%+v", d)
	}
	for i := range 1_000_000 {
		d.Add(fmt.Sprint("name-", i))
	}
	if len(d.Counts()) != 2 || len(d.index) != 2 || d.Overflowed() != 1_000_002 {
		t.Errorf("kept %d names", len(d.index))
	}
	d.Counts()[0].Calls = 99
	if d.Of("b") != 2 {
		t.Error("the copy was not one")
	}
}

func drawShares(t *rapid.T) []float64 {
	weights := rapid.SliceOfN(rapid.IntRange(1, 50), 2, 8).Draw(t, "weights")
	sum := 0
	for _, w := range weights {
		sum += w
	}
	shares := make([]float64, len(weights))
	for i, w := range weights {
		shares[i] = float64(w) / float64(sum)
	}
	return shares
}
