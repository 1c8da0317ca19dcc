package spread

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestTally: figures of a load beside those of the samples themselves.
func TestTally(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	tally := NewTally()
	latencies := map[string][]time.Duration{}
	const n = 100_000
	for i := range n {
		backend := fmt.Sprintf("10.0.0.%d:80", i%3)
		took := time.Duration(math.Exp(random.NormFloat64()) * float64(time.Millisecond))
		failed := i%1000 == 0
		code := uint32(12)
		if failed {
			code = 14
		}
		tally.Add(time.Duration(i)*time.Millisecond, took, backend, code, failed)
		latencies[backend], latencies[""] = append(latencies[backend], took), append(latencies[""], took)
	}
	for range 5 {
		tally.Add(0, time.Hour, "", 4, true)
		latencies[""] = append(latencies[""], time.Hour)
	}
	if tally.Calls != n+5 || tally.Failed != 105 || tally.Unidentified != 5 || tally.Codes[12] != n-100 || tally.Codes[14] != 100 || tally.Codes[4] != 5 {
		t.Errorf("%d calls, %d failed, %d unidentified, %v", tally.Calls, tally.Failed, tally.Unidentified, tally.Codes)
	}
	near := func(what string, got Latency, of []time.Duration, within float64) {
		slices.Sort(of)
		for q, v := range map[float64]time.Duration{0.5: got.P50, 0.9: got.P90, 0.95: got.P95, 0.99: got.P99, 0.999: got.P999} {
			want := of[int(math.Ceil(q*float64(len(of))))-1]
			if off := math.Abs(float64(v-want)) / float64(want); off > within+0.002 { // and a microsecond of rounding
				t.Errorf("%s: the quantile %v is %v, not %v", what, q, v, want)
			}
		}
	}
	near("in all", tally.Latency(), latencies[""], 0.001)
	if got := tally.Latency().Max; got < longest || got > longest*1001/1000 {
		t.Errorf("at most %v", got)
	}
	pods := tally.Pods()
	for i, p := range pods {
		if p.Backend != fmt.Sprintf("10.0.0.%d:80", i) || p.Calls != len(latencies[p.Backend]) || p.Failed == 0 || p.Codes[14] != p.Failed {
			t.Errorf("%+v", p)
		}
		near(p.Backend, p.Latency(), latencies[p.Backend], 0.01)
	}
	calls, end := 0, time.Duration(0)
	for _, s := range tally.Balance() {
		if s.At != end || s.Calls > 0 && (s.Pods != 3 || s.Busiest < 0.33 || s.Busiest > 0.35) {
			t.Errorf("%+v", s)
		}
		calls, end = calls+s.Calls, s.At+s.Length
	}
	if calls != n || end < n*time.Millisecond || len(tally.Balance()) > maxSlices {
		t.Errorf("the balance is of %d calls until %v", calls, end)
	}
}

// TestTallyLeaning: what leans in time shows in time.
func TestTallyLeaning(t *testing.T) {
	t.Parallel()
	tally := NewTally()
	for i := range 1000 {
		pod := i % 2
		if i >= 500 {
			pod = 0
		}
		tally.Add(time.Duration(i)*time.Millisecond, time.Millisecond, fmt.Sprint(pod), 0, false)
	}
	balance := tally.Balance()
	if len(balance) != 10 || balance[0].Busiest != 0.5 || balance[0].Pods != 2 || balance[9].Busiest != 1 || balance[9].Pods != 1 {
		t.Errorf("%+v", balance)
	}
}

// TestTallyBounded: neither many calls nor many names take more memory.
func TestTallyBounded(t *testing.T) { //nolint:paralleltest // it counts what all tests hold
	tally := NewTally()
	for i := range MaxPods + 1000 {
		tally.Add(0, time.Millisecond, fmt.Sprint("pod ", i), 0, false)
	}
	if len(tally.Pods()) != MaxPods || tally.Unidentified != 1000 {
		t.Errorf("%d pods, %d unidentified", len(tally.Pods()), tally.Unidentified)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		tally.Add(time.Duration(i)*time.Millisecond, time.Duration(i)*time.Microsecond, "pod 7", 0, false)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("a million calls took %d bytes", grown)
	}
}
