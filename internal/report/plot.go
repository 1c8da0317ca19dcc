package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"grpcmesh/internal/check"
)

// The plot's measures, in units of its viewBox, and how many pods have a colour
// of their own: more could not be told apart.
const (
	plotWidth, plotHeight                    = 720, 280
	plotLeft, plotRight, plotTop, plotBottom = 64, 708, 12, 248
	namedCurves                              = 5
)

// curveLine is one line of the plot.
type curveLine struct {
	name   string
	class  string
	calls  int
	points []LatencyPoint
}

// latencyPlot draws the latency of all calls and of each pod's by percentile, on
// scales that show the tail: to the right each step leaves a tenth of the calls
// of the one before, and upwards each doubling is as high as the last. The
// slowest pods have a name and a colour, by the percentile that 1 in 100 calls
// exceed; the others are drawn alike.
func latencyPlot(l *Load) []any {
	if l == nil || len(l.Curve) < 2 {
		return nil
	}
	lines, rest := l.curveLines()
	low, high := math.Inf(1), 0.0
	for _, line := range lines {
		for _, p := range line.points {
			low, high = min(low, max(p.Ms, .001)), max(high, p.Ms, .001)
		}
	}
	ticks := timeTicks(low, high)
	low, high = ticks[0], ticks[len(ticks)-1]
	far := min(max(math.Log10(float64(l.Calls)), 1), 6)
	x := func(tail float64) float64 { return plotLeft + (plotRight-plotLeft)*min(tail, far)/far }
	y := func(ms float64) float64 {
		return plotBottom - (plotBottom-plotTop)*math.Log(max(ms, low)/low)/math.Log(high/low)
	}
	svg := el("svg", fmt.Sprintf("class=plot|viewBox=0 0 %d %d|role=img", plotWidth, plotHeight))
	svg.Attr = append(svg.Attr, html.Attribute{Key: "aria-label", Val: Clean(inOneLine(lines))})
	for _, ms := range ticks {
		svg.AppendChild(el("line", fmt.Sprintf("class=grid|x1=%d|x2=%d|y1=%.1f|y2=%.1f", plotLeft, plotRight, y(ms), y(ms))))
		svg.AppendChild(el("text", fmt.Sprintf("class=label|text-anchor=end|x=%d|y=%.1f", plotLeft-6, y(ms)+4), short(ms)))
	}
	for i, percent := range []string{"0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"} {
		tail := []float64{0, math.Log10(2), 1, 2, 3, 4, 5}[i]
		if tail > far || i == 1 && x(tail)-x(0) < 40 { // a label is 32 wide
			continue
		}
		svg.AppendChild(el("line", fmt.Sprintf("class=grid|x1=%.1f|x2=%.1f|y1=%d|y2=%d", x(tail), x(tail), plotTop, plotBottom)))
		svg.AppendChild(el("text", fmt.Sprintf("class=label|text-anchor=middle|x=%.1f|y=%d", x(tail), plotBottom+20), percent))
	}
	key := el("p", "class=key")
	for _, line := range slices.Backward(lines) { // what is named lies above what is not, and all calls above that
		var points []string
		for _, p := range line.points {
			// Of n calls the slowest is one: it is where a call of n is left.
			tail := math.Log10(float64(max(line.calls, 1)))
			if p.Percent < 100 {
				tail = -math.Log10(1 - p.Percent/100)
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(tail), y(p.Ms)))
		}
		svg.AppendChild(el("polyline", "class="+line.class+"|points="+strings.Join(points, " ")))
	}
	for _, line := range lines[:len(lines)-rest] {
		key.AppendChild(el("span", "", el("svg", "class=swatch|viewBox=0 0 28 10|aria-hidden=true", el("line", "class="+line.class+"|x1=0|x2=28|y1=5|y2=5")), line.name))
	}
	if rest > 0 {
		key.AppendChild(el("span", "", el("svg", "class=swatch|viewBox=0 0 28 10|aria-hidden=true", el("line", "class=rest|x1=0|x2=28|y1=5|y2=5")), count(rest, "other pod")))
	}
	return []any{el("p", "class=soft", "How long so many percent of the calls took at most"), svg, key}
}

// curveLines are the lines of the plot, that of all calls first, and how many
// pods at their end go without a name.
func (l *Load) curveLines() (lines []curveLine, rest int) {
	lines = []curveLine{{"all calls", "every", l.Calls, l.Curve}}
	all := make([]check.Endpoint, 0, len(l.PerPod))
	for _, p := range l.PerPod {
		all = append(all, p.Endpoint)
	}
	slowest := slices.SortedStableFunc(slices.Values(l.PerPod), func(a, b LoadPod) int { return cmp.Compare(b.Latency["p99"], a.Latency["p99"]) })
	for i, p := range slowest {
		line := curveLine{p.Endpoint.Name(all), fmt.Sprintf("pod%d", i+1), p.Calls, p.Curve}
		if i >= namedCurves {
			line.class, rest = "rest", rest+1
		}
		lines = append(lines, line)
	}
	return lines, rest
}

// inOneLine is what the plot shows, for those who do not see it.
func inOneLine(lines []curveLine) string {
	var words []string
	for _, line := range lines[:min(len(lines), 1+namedCurves)] {
		at := func(percent float64) string {
			i := slices.IndexFunc(line.points, func(p LatencyPoint) bool { return p.Percent >= percent-1e-9 })
			if i < 0 {
				return "unknown"
			}
			return inWords(line.points[i].Ms)
		}
		words = append(words, fmt.Sprintf("%s: half of them took up to %s, 99 %% up to %s, the slowest %s", line.name, at(50), at(99), at(100)))
	}
	return "Latency by percentile. " + strings.Join(words, "; ")
}

// timeTicks are round numbers of milliseconds from at most low to at least high,
// two at the least and no more than there is room for.
func timeTicks(low, high float64) []float64 {
	var ticks []float64
	for _, steps := range [][]float64{{1, 2, 5}, {1}} {
		ticks = nil
		for decade := math.Floor(math.Log10(low)); len(ticks) == 0 || ticks[len(ticks)-1] < high || len(ticks) < 2; decade++ {
			for _, step := range steps {
				tick := step * math.Pow(10, decade)
				if tick <= low {
					ticks = ticks[:0] // only the last of these is needed
				}
				if ticks = append(ticks, tick); tick >= high && len(ticks) > 1 {
					break
				}
			}
		}
		if len(ticks) <= 10 {
			break
		}
	}
	return ticks
}

// short is a round number of milliseconds.
func short(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%g s", ms/1000)
	}
	return fmt.Sprintf("%.4g ms", ms)
}
