package spread

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestCurve: it rises from the quickest call to the slowest, and what stands at
// a percentage is the latency of that quantile.
func TestCurve(t *testing.T) {
	t.Parallel()
	tally := NewTally()
	if c := tally.Curve(); c != nil {
		t.Errorf("of no call: %v", c)
	}
	for i := range 10_000 { // 0.1 ms to 1 s, evenly
		tally.Add(0, time.Duration(i+1)*100*time.Microsecond, []string{"a", "b"}[i%2], 0, false)
	}
	pods := tally.Pods()
	for name, c := range map[string][]Point{"all": tally.Curve(), "a": pods[0].Curve(), "b": pods[1].Curve()} {
		if !slices.IsSortedFunc(c, func(a, b Point) int { return int(a.Latency - b.Latency) }) || len(c) < 38 || len(c) > 42 {
			t.Errorf("%s: %v", name, c)
		}
		if c[0].Percent != 0 || c[0].Latency > time.Millisecond || c[len(c)-1].Percent != 100 || c[len(c)-1].Latency < 990*time.Millisecond {
			t.Errorf("%s: from %v to %v", name, c[0], c[len(c)-1])
		}
		for _, p := range c[1:] {
			if want := p.Percent / 100; math.Abs(p.Latency.Seconds()-want) > .011*want+.0003 {
				t.Errorf("%s: %.2f %% took %v", name, p.Percent, p.Latency)
			}
		}
	}
}
