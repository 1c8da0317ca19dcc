package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"grpcmesh/internal/check"
)

// Verify is what a run of verify found, and its verdict.
type Verify struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`           // VerifyReport
	Name       string `json:"name,omitempty"` // namespace/name of the VirtualService, in a list of reports
	Address    string `json:"address"`
	Authority  string `json:"authority"`
	Target     string `json:"target"` // what is under test, in words
	// Namespace and VirtualService are the route's, where it is one.
	Namespace      string `json:"namespace,omitempty"`
	VirtualService string `json:"virtualService,omitempty"`

	Identified string `json:"identified,omitempty"` // the rung: route, admin, sidecars or app
	// BackendFrom is where the app said who answered, in words (rung app).
	BackendFrom string `json:"backendFrom,omitempty"`
	// Streams: the calls are streams: what is said is of these, not of messages.
	Streams bool `json:"streams,omitempty"`
	check.Result
	TLS     *check.TLS `json:"tls,omitempty"` // missing: plaintext
	Witness *Witness   `json:"witness,omitempty"`
	Calls   int        `json:"calls"`           // for telling pods apart
	Dials   int        `json:"dials"`           // connections that took
	Load    *Load      `json:"load,omitempty"`  // if one was asked for
	Error   string     `json:"error,omitempty"` // why nothing could be judged

	Took time.Duration `json:"-"` // which JUnit reports alone; a recording is judged in none
}

// Witness is the calls on the users' own route, without the probe's mark.
type Witness struct {
	Calls    int      `json:"calls"`
	Upstream int      `json:"upstream"` // of them, answered by the app
	Paths    []string `json:"paths"`    // each once
}

// Reports are the reports in it: itself.
func (v *Verify) Reports() []*Verify { return []*Verify{v} }

// Reached fills in what the evidence says beside the judgement.
func (v *Verify) Reached(e check.Evidence) {
	v.TLS, v.BackendFrom, v.Streams = e.TLS, e.BackendFrom, e.Streams
	v.Namespace, v.VirtualService = e.Where.Namespace, e.Where.VirtualService
	v.Calls = len(e.Samples)
	conns := map[int]bool{}
	for _, s := range e.Samples {
		conns[s.Conn] = true
	}
	v.Dials = len(conns)
	if len(e.Witness) == 0 {
		return
	}
	v.Witness = &Witness{Calls: len(e.Witness)}
	for _, s := range e.Witness {
		if s.Upstream && check.NotTheApps(s) == "" {
			v.Witness.Upstream++
		}
		if !slices.Contains(v.Witness.Paths, s.Path) {
			v.Witness.Paths = append(v.Witness.Paths, s.Path)
		}
	}
}

// Text writes the report for a person: pods with their counts, the evidence,
// the findings, and last the verdict.
func (v *Verify) Text(w io.Writer) error {
	var b strings.Builder
	if len(v.PerEndpoint) > 0 {
		v.table(&b)
	}
	for _, line := range v.evidence() {
		head, rest, _ := strings.Cut(line, ": ")
		fmt.Fprintf(&b, "%-14s  %s\n", head, Clean(rest))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	v.Load.text(&b)
	v.findings(&b)
	if len(v.Findings) > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s  %s\n", strings.ToUpper(string(v.Verdict)), Clean(v.sentence()))
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *Verify) findings(b *strings.Builder) {
	for _, f := range v.Findings {
		fmt.Fprintf(b, "%s %s %s: %s\n", f.Code, f.Severity, Clean(f.Subject), Clean(f.Message))
		if f.Hint != "" {
			fmt.Fprintf(b, "      next: %s\n", Clean(f.Hint))
		}
	}
}

// evidence is what the verdict stands on, a line each: what, a colon, and the
// figures.
func (v *Verify) evidence() []string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	r := v.Result
	if words := v.toldApart(); words != "" {
		line("told apart: %s", words)
	}
	if v.Streams {
		line("streams: each call is a stream, which is balanced once, when it opens: all messages of one go to one pod")
	}
	if r.Proof.Calls > 0 && v.Identified == check.RungRoute {
		line("one connection: %s on connection %s of gateway %s, answered by %s",
			count(r.Proof.Calls, "call"), r.Proof.Connection, r.Proof.Gateway, count(len(r.Proof.Pods), "pod"))
	} else if r.Proof.Calls > 0 && v.Identified == check.RungApp {
		line("one connection: %s, answered by %s", count(r.Proof.Calls, "call"), count(len(r.Proof.Pods), "pod"))
	} else if v.Identified != check.RungRoute && v.Dials == 1 && len(r.Proof.Pods) > 0 {
		line("one connection: %s, answered by %s", count(v.Calls, "call"), count(len(r.Proof.Pods), "pod"))
	}
	if r.Coverage.Of > 0 {
		line("coverage: %d of %s answered in %s; a silent pod would show after %d (false alarms: at most %.4g %%)",
			r.Coverage.Seen, count(r.Coverage.Of, "ready pod"), count(r.Coverage.Calls, "call"), r.Coverage.Needed, r.Coverage.Alpha*100)
	}
	switch {
	case v.Verdict == check.Pass && r.Coverage.Of == 0:
		line("coverage: not tested, for how many pods there should be is not known; in %s %s answered, and one more with an equal share would have shown after %d", count(r.Coverage.Calls, "call"), count(r.Coverage.Seen, "pod"), r.Coverage.Needed)
	case v.Verdict != check.Pass: // only a PASS could be read as more than was tested
	case r.Coverage.Skew > 0:
		line("evenness: a pod with %.2g times the odds of its share, or more, would have shown; a smaller lead was not tested", r.Coverage.Skew)
	default:
		line("evenness: not tested, for %s can't show that one pod gets more than its share", count(r.Coverage.Calls, "call"))
	}
	if v.Witness != nil {
		line("users' route: %d of %s without the probe's mark came through (%s)",
			v.Witness.Upstream, count(v.Witness.Calls, "call"), strings.Join(v.Witness.Paths, ", "))
	}
	if v.TLS != nil {
		line("tls: %s", v.TLS)
	}
	if c := r.Control; c != nil && c.Why == "" && len(c.Landed) == 1 {
		line("control: %s on one connection to Service %s itself (layer 4), all on %s", count(c.Calls, "call"), c.Service, cmp.Or(c.Landed[0].Endpoint.Pod, c.Landed[0].Endpoint.Address))
	}
	if r.Unidentified > 0 {
		line("unidentified: %s", count(r.Unidentified, "answer"))
	}
	return append(lines, v.Load.lines()...)
}

// units are what is balanced.
func (v *Verify) units() string {
	if v.Streams {
		return "streams"
	}
	return "requests"
}

// toldApart is how pods were, and what can't be seen that way.
func (v *Verify) toldApart() string {
	switch v.Identified {
	case check.RungRoute:
		return "by the gateway's stamps on a probe route, a copy of the users' route; calls on that one stand beside it"
	case check.RungAdmin:
		return "by the request counters of the gateway's replicas, in sum: which call went where is not seen, nor whose calls they count"
	case check.RungSidecars:
		return "by the request counters of the pods' sidecars, in sum: which call went where is not seen, nor whose calls they count"
	case check.RungApp:
		return "by what the app says of itself, in " + v.BackendFrom + ", which nothing checks; which replica of a gateway a call took is not seen"
	}
	return ""
}

func (v *Verify) sentence() string {
	if v.Error != "" {
		return "nothing could be judged: " + strings.ReplaceAll(v.Error, "\n", " · ")
	}
	switch v.Verdict {
	case check.Pass:
		if v.Streams {
			return fmt.Sprintf("streams on one connection, not messages, are spread over %s", count(v.Coverage.Seen, "pod"))
		}
		return fmt.Sprintf("requests on one connection are balanced over %s", count(v.Coverage.Seen, "pod"))
	case check.Fail:
		return "see the first finding"
	case check.Inconclusive:
		return "neither yes nor no: see the first finding"
	}
	return ""
}

func (v *Verify) table(b *strings.Builder) {
	const bar = 30
	width := len("POD")
	all := make([]check.Endpoint, 0, len(v.PerEndpoint))
	for _, c := range v.PerEndpoint {
		all = append(all, c.Endpoint)
	}
	name := func(e check.Endpoint) string { return Clean(e.Name(all)) }
	for _, c := range v.PerEndpoint {
		width = max(width, utf8.RuneCountInString(name(c.Endpoint)))
	}
	fmt.Fprintf(b, "%-*s  %7s  %6s  %8s\n", width, "POD", "CALLS", "SHARE", "EXPECTED")
	for _, c := range v.PerEndpoint {
		line := fmt.Sprintf("%-*s  %7d  %5.1f%%  %8s  %s", width, name(c.Endpoint), c.Calls, c.Share*100, expected(c.Endpoint, ""),
			strings.Repeat("=", int(c.Share*bar+0.5)))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	b.WriteString("\n")
}

// expected is the share of the calls that an endpoint should get, if that is known,
// with a gap before the percent sign.
func expected(e check.Endpoint, gap string) string {
	if e.Share == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%s%%", e.Share*100, gap)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
