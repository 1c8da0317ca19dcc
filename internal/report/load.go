package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/spread"
)

// Load is what the calls of a load came to.
type Load struct {
	NotMade      string             `json:"notMade,omitempty"` // why there was none; the rest is empty then
	Method       string             `json:"method,omitempty"`  // the user's that was called; missing: one that the app does not have
	Calls        int                `json:"calls"`
	Failed       int                `json:"failed"`       // no pod's answer, or another status than before the load
	Unidentified int                `json:"unidentified"` // no known pod's answer
	Seconds      float64            `json:"seconds"`
	Rate         float64            `json:"rate,omitempty"` // calls a second as asked; missing: as fast as answers came
	Connections  int                `json:"connections"`    // at once
	InFlight     int                `json:"inFlight"`       // calls at once, at most
	Dials        int                `json:"dials"`
	Codes        map[string]int     `json:"codes"` // calls by gRPC status
	Latency      map[string]float64 `json:"latencyMs"`
	Curve        []LatencyPoint     `json:"latencyCurve,omitempty"`
	PerPod       []LoadPod          `json:"perPod"`
	Balance      []LoadSlice        `json:"balance"` // over time
	Rollout      *LoadRollout       `json:"rollout,omitempty"`
}

// LoadPod is the same of one pod's answers.
type LoadPod struct {
	Endpoint check.Endpoint     `json:"endpoint"`
	Calls    int                `json:"calls"`
	Share    float64            `json:"share"` // of the calls that known pods answered
	Failed   int                `json:"failed"`
	Codes    map[string]int     `json:"codes"`
	Latency  map[string]float64 `json:"latencyMs"`
	Curve    []LatencyPoint     `json:"latencyCurve,omitempty"`
}

// LatencyPoint says that so many percent of the calls did not take longer.
type LatencyPoint struct {
	Percent float64 `json:"percent"`
	Ms      float64 `json:"ms"`
}

// LoadSlice is a stretch of time.
type LoadSlice struct {
	At      float64 `json:"at"` // seconds since the start
	Seconds float64 `json:"seconds"`
	Calls   int     `json:"calls"`
	Pods    int     `json:"pods"`    // that answered
	Busiest float64 `json:"busiest"` // share of the pod that answered most
}

// Fill takes the figures. pods are those that are known by their address.
func (l *Load) Fill(t *spread.Tally, took time.Duration, pods []check.Endpoint) {
	l.Calls, l.Failed, l.Unidentified, l.Seconds = t.Calls, t.Failed, t.Unidentified, took.Seconds()
	l.Codes, l.Latency, l.Curve = byName(t.Codes), milliseconds(t.Latency()), curveOf(t.Curve())
	l.PerPod, l.Balance = []LoadPod{}, []LoadSlice{}
	for _, p := range t.Pods() {
		e := check.Endpoint{Address: p.Backend}
		if i := slices.IndexFunc(pods, func(e check.Endpoint) bool { return e.Address == p.Backend }); i >= 0 {
			e = pods[i]
		}
		l.PerPod = append(l.PerPod, LoadPod{Endpoint: e, Calls: p.Calls, Share: float64(p.Calls) / float64(t.Calls-t.Unidentified),
			Failed: p.Failed, Codes: byName(p.Codes), Latency: milliseconds(p.Latency()), Curve: curveOf(p.Curve())})
	}
	for _, s := range t.Balance() {
		l.Balance = append(l.Balance, LoadSlice{s.At.Seconds(), s.Length.Seconds(), s.Calls, s.Pods, s.Busiest})
	}
}

func byName(all map[uint32]int) map[string]int {
	named := map[string]int{}
	for code, n := range all {
		named[codes.Code(code).String()] += n
	}
	return named
}

// quantiles are those of a latency in JSON, with their names in text.
func quantiles() [][2]string {
	return [][2]string{{"p50", "P50"}, {"p90", "P90"}, {"p95", "P95"}, {"p99", "P99"}, {"p99.9", "P99.9"}, {"max", "MAX"}}
}

func milliseconds(l spread.Latency) map[string]float64 {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return map[string]float64{"mean": ms(l.Mean), "p50": ms(l.P50), "p90": ms(l.P90), "p95": ms(l.P95), "p99": ms(l.P99), "p99.9": ms(l.P999), "max": ms(l.Max)}
}

func curveOf(points []spread.Point) []LatencyPoint {
	curve := make([]LatencyPoint, 0, len(points))
	for _, p := range points {
		curve = append(curve, LatencyPoint{p.Percent, float64(p.Latency.Microseconds()) / 1000})
	}
	return curve
}

// inWords is a number of milliseconds, to three figures or so.
func inWords(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}

// lines are what all formats say of a load, beside its table.
func (l *Load) lines() []string {
	if l == nil {
		return nil
	}
	if l.NotMade != "" {
		return []string{"load: not made: " + l.NotMade}
	}
	pace, from := "as fast as answers came", "sent"
	if l.Rate > 0 {
		pace, from = fmt.Sprintf("%.6g a second asked for", l.Rate), "due"
	}
	what := count(l.Calls, "call")
	if l.Method != "" {
		what += " of " + l.Method
	}
	lines := []string{fmt.Sprintf("load: %s in %.3g s, %s, %s with %d at once: %d failed", what, l.Seconds, pace,
		count(l.Connections, "connection"), l.InFlight, l.Failed)}
	if l.Dials > l.Connections {
		lines[0] += fmt.Sprintf("; connected %d times", l.Dials)
	}
	if l.Failed > 0 {
		lines = append(lines, "statuses: "+tallied(l.Codes)+unnamed(l.Unidentified))
	}
	figures := []string{}
	for _, q := range quantiles() {
		figures = append(figures, strings.ToLower(q[1])+" "+inWords(l.Latency[q[0]]))
	}
	lines = append(lines, fmt.Sprintf("latency: %s, from when each call was %s", strings.Join(figures, ", "), from))
	if least, most, line, length := l.balance(); line != "" {
		lines = append(lines, fmt.Sprintf("balance: %s the busiest pod got %.0f to %.0f %% of each %.3g s", line, least*100, most*100, length))
	}
	return append(lines, l.Rollout.lines()...)
}

func unnamed(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s came from no known pod", count(n, "answer"))
}

// tallied is a map of counts in words, the largest first.
func tallied(all map[string]int) string {
	var words []string
	for _, name := range slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(all[b]-all[a], cmp.Compare(a, b)) }) {
		words = append(words, fmt.Sprintf("%s %d", name, all[name]))
	}
	return strings.Join(words, ", ")
}

// balance is the line over time, and between what it runs where enough calls
// were made to say so.
func (l *Load) balance() (least, most float64, line string, length float64) {
	total := 0
	for _, s := range l.Balance {
		total += s.Calls
	}
	var b strings.Builder
	for _, s := range l.Balance {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(int(s.Busiest*8), 7)])
		if 2*s.Calls*len(l.Balance) < total { // the last one may have just begun
			continue
		}
		if length == 0 {
			least, length = s.Busiest, s.Seconds
		}
		least, most = min(least, s.Busiest), max(most, s.Busiest)
	}
	return least, most, b.String(), length
}

// table is the load by pod, the first line its head; all but the first and
// the last column are numbers.
func (l *Load) table() [][]string {
	if l == nil || len(l.PerPod) == 0 {
		return nil
	}
	head := []string{"POD", "CALLS", "SHARE", "FAILED"}
	for _, q := range quantiles() {
		head = append(head, q[1])
	}
	rows := [][]string{append(head, "STATUSES")}
	all := make([]check.Endpoint, 0, len(l.PerPod))
	for _, p := range l.PerPod {
		all = append(all, p.Endpoint)
	}
	for _, p := range l.PerPod {
		row := []string{p.Endpoint.Name(all), fmt.Sprint(p.Calls), fmt.Sprintf("%.1f%%", p.Share*100), fmt.Sprint(p.Failed)}
		for _, q := range quantiles() {
			row = append(row, inWords(p.Latency[q[0]]))
		}
		rows = append(rows, append(row, tallied(p.Codes)))
	}
	return rows
}

// text writes the table for a terminal.
func (l *Load) text(b *strings.Builder) {
	rows := l.table()
	if len(rows) == 0 {
		return
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = Clean(row[i])
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			switch i {
			case 0:
				b.WriteString(cell + pad)
			case len(row) - 1:
				b.WriteString("  " + cell)
			default:
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// markdown writes the table.
func (l *Load) markdown(b *strings.Builder) {
	for i, row := range l.table() {
		for _, cell := range row {
			b.WriteString("| " + md(cell) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString("|---" + strings.Repeat("|--:", len(row)-2) + "|---|\n")
		}
	}
	if len(l.table()) > 0 {
		b.WriteString("\n")
	}
}

// curve is the balance as the points of a line, 100 wide and 10 high.
func (l *Load) curve() string {
	if l == nil || len(l.Balance) < 2 {
		return ""
	}
	var points []string
	for i, s := range l.Balance {
		points = append(points, fmt.Sprintf("%.2f,%.2f", float64(i)*100/float64(len(l.Balance)-1), 10-s.Busiest*10))
	}
	return strings.Join(points, " ")
}

// load adds a load's metrics.
func (m *metrics) load(l *Load, add func(name string, n float64, labels ...[2]string)) {
	if l == nil || l.NotMade != "" {
		return
	}
	add("load_failed_calls", float64(l.Failed))
	add("load_seconds", l.Seconds)
	quantile := map[string]string{"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p99.9": "0.999", "max": "1"}
	for _, code := range slices.Sorted(maps.Keys(l.Codes)) {
		add("load_calls", float64(l.Codes[code]), [2]string{"code", code})
	}
	for _, q := range quantiles() {
		add("load_latency_seconds", l.Latency[q[0]]/1000, [2]string{"quantile", quantile[q[0]]})
	}
	for _, p := range l.PerPod {
		endpoint, pod := [2]string{"endpoint", p.Endpoint.Address}, [2]string{"pod", p.Endpoint.Pod}
		for _, code := range slices.Sorted(maps.Keys(p.Codes)) {
			add("load_pod_calls", float64(p.Codes[code]), endpoint, pod, [2]string{"code", code})
		}
		for _, q := range quantiles() {
			add("load_pod_latency_seconds", p.Latency[q[0]]/1000, endpoint, pod, [2]string{"quantile", quantile[q[0]]})
		}
	}
}
