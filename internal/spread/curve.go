package spread

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Point is one of a latency's curve: so many percent of the calls did not take
// longer.
type Point struct {
	Percent float64
	Latency time.Duration
}

// Curve is of all calls, failed ones too: from the quickest to the slowest, ten
// points for each further tenth of the calls that is left, as the tail is what
// a curve is looked at for. It is empty where there were none.
func (t *Tally) Curve() []Point { return curve(t.all) }

// Curve is of the calls that this pod answered.
func (p *PodTally) Curve() []Point { return curve(p.latency) }

func curve(h *hdrhistogram.Histogram) []Point {
	n := float64(h.TotalCount())
	if n == 0 {
		return nil
	}
	at := []float64{0}
	for tenth := 1; math.Pow(10, -float64(tenth)/10) > 1/n; tenth++ {
		at = append(at, 100*(1-math.Pow(10, -float64(tenth)/10)))
	}
	values := h.ValueAtPercentilesSlice(at)
	points := make([]Point, 0, len(at)+1)
	for i, percent := range at {
		points = append(points, Point{percent, time.Duration(values[i]) * time.Microsecond})
	}
	points[0].Latency = time.Duration(h.Min()) * time.Microsecond
	return append(points, Point{100, time.Duration(h.Max()) * time.Microsecond})
}
