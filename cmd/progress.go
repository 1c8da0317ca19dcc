package cmd

import (
	"fmt"
	"strings"

	"grpcmesh/internal/check"
	"grpcmesh/internal/report"
)

// progress is the live line of a verify: how many pods have answered so far.
// Off a terminal it stays silent; the report has it all.
type progress struct {
	o     *verifyOptions
	of    int
	seen  map[string]bool
	open  bool // how many there are isn't known beforehand
	calls int
}

func newProgress(o *verifyOptions, expected []check.Endpoint) *progress {
	p := &progress{o: o, of: len(expected), seen: map[string]bool{}}
	for _, e := range expected {
		p.seen[e.Address] = false
	}
	return p
}

// saw counts one call, and the endpoint that answered it.
func (p *progress) saw(address string) {
	if _, known := p.seen[address]; known {
		p.seen[address] = true
	}
	p.called()
}

// named counts one call, and the name of who answered it: whoever has a name is
// one of them.
func (p *progress) named(name string) {
	if p.open = true; name != "" && len(p.seen) < mostExpected {
		p.seen[name] = true
	}
	p.called()
}

// called counts one call.
func (p *progress) called() {
	p.calls++
	if !p.o.live() {
		return
	}
	n := 0
	for _, seen := range p.seen {
		if seen {
			n++
		}
	}
	if p.open {
		_, _ = fmt.Fprintf(p.o.Err, "\rcalling    %s answered, %s\x1b[K", plural(n, "pod"), plural(p.calls, "call"))
		return
	}
	const width = 24
	full := 0
	if p.of > 0 {
		full = width * n / p.of
	}
	_, _ = fmt.Fprintf(p.o.Err, "\rcalling    [%s%s] %d of %s answered, %s\x1b[K",
		strings.Repeat("=", full), strings.Repeat(" ", width-full), n, plural(p.of, "pod"), plural(p.calls, "call"))
}

// done takes the line away.
func (p *progress) done() {
	if p.calls > 0 && p.o.live() {
		_, _ = fmt.Fprint(p.o.Err, "\r\x1b[K")
	}
}

// say tells of the run's course; of one among several only what is amiss.
func (o *verifyOptions) say(format string, args ...any) {
	words := fmt.Sprintf(format, args...)
	if o.among != "" {
		if !strings.HasPrefix(words, "warning") {
			return
		}
		words = o.among + ": " + words
	}
	_, _ = fmt.Fprintln(o.Err, report.CleanLines(words))
}

// live says whether progress may redraw its line.
func (o *verifyOptions) live() bool { return o.among == "" && redraws(o.Err) }
