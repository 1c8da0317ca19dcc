package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"grpcmesh/internal/check"
	"grpcmesh/internal/spread"
)

// unevenly is a load on so many pods, of which the last is a hundred times slower.
func unevenly(pods, calls int) *Load {
	t := spread.NewTally()
	var endpoints []check.Endpoint
	for i := range pods {
		endpoints = append(endpoints, check.Endpoint{Address: fmt.Sprintf("10.0.0.%d:1", i), Pod: fmt.Sprintf("app-%d", i)})
	}
	for i := range calls {
		took := time.Duration(1000+i%997) * time.Microsecond
		if i%pods == pods-1 {
			took *= 100
		}
		t.Add(0, took, endpoints[i%pods].Address, 0, false)
	}
	l := &Load{Connections: 1, InFlight: 1}
	l.Fill(t, time.Second, endpoints)
	return l
}

// TestLatencyPlot: each line is within the plot, rises to the right and is
// named; labels don't run into each other; and the words say the same.
func TestLatencyPlot(t *testing.T) {
	for _, tc := range []struct{ pods, calls, lines, keys int }{{1, 1, 2, 2}, {2, 10, 3, 3}, {3, 5000, 4, 4}, {9, 1_000_000, 10, 7}} {
		name := fmt.Sprintf("%d pods, %d calls", tc.pods, tc.calls)
		parts := latencyPlot(unevenly(tc.pods, tc.calls))
		if len(parts) != 3 {
			t.Fatalf("%s: %d parts", name, len(parts))
		}
		plot, key := parts[1].(*html.Node), parts[2].(*html.Node)
		lines, last := 0, map[string]float64{"end": math.Inf(1), "middle": math.Inf(-1)}
		for n := range plot.Descendants() {
			switch n.Data {
			case "polyline":
				lines++
				x, y := 0.0, math.Inf(1)
				for _, point := range strings.Fields(attribute(n, "points")) {
					px, py, _ := strings.Cut(point, ",")
					left, up := number(t, px), number(t, py)
					if left < x || up > y || left < plotLeft || left > plotRight || up < plotTop || up > plotBottom {
						t.Errorf("%s: %s after %v,%v", name, point, x, y)
					}
					x, y = left, up
				}
			case "text":
				anchor := attribute(n, "text-anchor")
				if at := number(t, attribute(n, "y")); anchor == "end" && last[anchor]-at < 15 { // its letters are 13 high
					t.Errorf("%s: label %q is %.1f below the next", name, n.FirstChild.Data, last[anchor]-at)
				} else if anchor == "end" {
					last[anchor] = at
				}
				if at := number(t, attribute(n, "x")); anchor == "middle" && at-last[anchor] < float64(7*len(n.FirstChild.Data)+10) { // and at most 8 wide
					t.Errorf("%s: label %q is %.1f beside the one before", name, n.FirstChild.Data, at-last[anchor])
				} else if anchor == "middle" {
					last[anchor] = at
				}
			}
		}
		keys := strings.Count(rendered(t, key), "<span>")
		if lines != tc.lines || keys != tc.keys {
			t.Errorf("%s: %d lines and %d keys:\n%s%s", name, lines, keys, rendered(t, plot), rendered(t, key))
		}
		slow := fmt.Sprintf("app-%d: half of them took up to 1", tc.pods-1)
		if words := attribute(plot, "aria-label"); !strings.Contains(words, slow) || !strings.Contains(words, "all calls: half") || strings.Contains(words, "unknown") {
			t.Errorf("%s: %s", name, words)
		}
	}
	if latencyPlot(nil) != nil || latencyPlot(&Load{NotMade: "no"}) != nil {
		t.Error("a plot of nothing")
	}
}

// TestTimeTicks: round, rising, around what there is, and not too many.
func TestTimeTicks(t *testing.T) {
	for _, tc := range [][2]float64{{.001, .001}, {1, 1}, {.9, 1.1}, {2, 5}, {.05, 600_000}, {3, 7000}, {5, 10}, {99, 100}} {
		ticks := timeTicks(tc[0], tc[1])
		if len(ticks) < 2 || len(ticks) > 11 || ticks[0] > tc[0] || ticks[len(ticks)-1] < tc[1] {
			t.Errorf("%v: %v", tc, ticks)
		}
		for i := range ticks[1:] {
			if ticks[i+1] <= ticks[i] {
				t.Errorf("%v: %v", tc, ticks)
			}
		}
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

func rendered(t *testing.T, n *html.Node) string {
	t.Helper()
	var b strings.Builder
	if err := html.Render(&b, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
