package spread

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of a Tally, whatever comes.
const (
	// MaxPods is how many pods are told apart; what others answer is counted
	// as unidentified.
	MaxPods = 4096
	// maxSlices is how many stretches of time the balance is kept for; when
	// they are used up, each two become one.
	maxSlices = 30
	// longest is the latency above which none is told apart.
	longest = 10 * time.Minute
)

// firstSlice is the length of a stretch of time to begin with.
const firstSlice = 100 * time.Millisecond

// Tally is what the calls of a load came to. Its size does not depend on how
// many they are. It is for one goroutine at a time.
type Tally struct {
	Calls, Failed, Unidentified int
	Codes                       map[uint32]int // calls by gRPC status

	all    *hdrhistogram.Histogram
	pods   map[string]*PodTally
	order  []*PodTally
	slices [maxSlices][]int32 // calls by PodTally.index
	length time.Duration
	used   int
}

// PodTally is the same of one pod's answers.
type PodTally struct {
	Backend       string
	Calls, Failed int
	Codes         map[uint32]int
	index         int
	latency       *hdrhistogram.Histogram
}

// NewTally is an empty one.
func NewTally() *Tally {
	return &Tally{Codes: map[uint32]int{}, all: histogram(3), pods: map[string]*PodTally{}, length: firstSlice}
}

// histogram is of microseconds, to so many significant figures: 3 in all, 2
// for each pod, which is an error of 1 % at most and takes 30 KB.
func histogram(figures int) *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), figures)
}

func record(h *hdrhistogram.Histogram, latency time.Duration) {
	_ = h.RecordValue(min(max(latency, 0), longest).Microseconds()) // within its range
}

// Add counts one call that ended at a time since the load's start, and took
// latency. backend is who answered, or "" if nobody known did. failed says
// that it didn't come to what it should have.
func (t *Tally) Add(at, latency time.Duration, backend string, code uint32, failed bool) {
	t.Calls++
	t.Codes[code]++
	record(t.all, latency)
	if failed {
		t.Failed++
	}
	pod := t.pods[backend]
	if pod == nil {
		if backend == "" || len(t.order) >= MaxPods {
			t.Unidentified++
			return
		}
		pod = &PodTally{Backend: backend, Codes: map[uint32]int{}, index: len(t.order), latency: histogram(2)}
		t.pods[backend] = pod
		t.order = append(t.order, pod)
	}
	pod.Calls++
	pod.Codes[code]++
	if failed {
		pod.Failed++
	}
	record(pod.latency, latency)
	i := t.slice(at)
	for len(t.slices[i]) <= pod.index {
		t.slices[i] = append(t.slices[i], 0)
	}
	t.slices[i][pod.index]++
}

// slice is the number of the stretch of time, of whatever length it takes.
func (t *Tally) slice(at time.Duration) int {
	for max(at, 0) >= maxSlices*t.length {
		t.length *= 2
		for i := range maxSlices / 2 {
			t.slices[i] = sum(t.slices[2*i], t.slices[2*i+1])
		}
		clear(t.slices[maxSlices/2:])
		t.used = (t.used + 1) / 2
	}
	i := int(max(at, 0) / t.length)
	t.used = max(t.used, i+1)
	return i
}

func sum(a, b []int32) []int32 {
	if len(a) < len(b) {
		a, b = b, a
	}
	for i := range b {
		a[i] += b[i]
	}
	return a
}

// Pods are the pods that answered, in the order of their backends.
func (t *Tally) Pods() []*PodTally {
	return slices.SortedFunc(slices.Values(t.order), func(a, b *PodTally) int { return cmp.Compare(a.Backend, b.Backend) })
}

// Latency is a distribution in figures. The quantiles are those of the
// method's: the least value that so many of the calls did not exceed, within
// 0.1 % in all and 1 % for a pod.
type Latency struct {
	Mean, P50, P90, P95, P99, P999, Max time.Duration
}

// Latency is of all calls, failed ones too.
func (t *Tally) Latency() Latency { return figures(t.all) }

// Latency is of the calls that this pod answered.
func (p *PodTally) Latency() Latency { return figures(p.latency) }

func figures(h *hdrhistogram.Histogram) Latency {
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	at := h.ValueAtPercentilesSlice([]float64{50, 90, 95, 99, 99.9})
	return Latency{Mean: time.Duration(h.Mean() * float64(time.Microsecond)),
		P50: us(at[0]), P90: us(at[1]), P95: us(at[2]), P99: us(at[3]), P999: us(at[4]), Max: us(h.Max())}
}

// Slice is one stretch of time.
type Slice struct {
	At, Length time.Duration // since the load's start
	Calls      int           // that a known pod answered
	Pods       int           // that answered any
	Busiest    float64       // the share of who answered most, 0 to 1
}

// Balance is how the calls were spread, over time. The last slice may not be
// over.
func (t *Tally) Balance() []Slice {
	all := make([]Slice, t.used)
	for i := range all {
		all[i] = Slice{At: time.Duration(i) * t.length, Length: t.length}
		most := int32(0)
		for _, n := range t.slices[i] {
			all[i].Calls += int(n)
			if n > 0 {
				all[i].Pods++
			}
			most = max(most, n)
		}
		if all[i].Calls > 0 {
			all[i].Busiest = float64(most) / float64(all[i].Calls)
		}
	}
	return all
}
