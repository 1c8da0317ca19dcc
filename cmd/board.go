package cmd

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/report"
)

// redraws says whether a line of progress may be redrawn, which takes a terminal
// that knows escape codes, and a user who has nothing against them.
func redraws(w io.Writer) bool {
	if os.Getenv("TERM") == "dumb" || os.Getenv("NO_COLOR") != "" {
		return false
	}
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// board shows how the pods of the workloads that are waited for come: at a
// terminal one line, redrawn, be it of one workload or of several in all;
// elsewhere a line at each change.
type board struct {
	mu    sync.Mutex
	rows  []*row // of what is waited for, in the order of its beginning
	drawn bool   // the live line is there
}

// row is how far one workload is.
type row struct {
	of            string // its namespace and name
	name          string
	ready, wanted int
	words, came   string // and which pods came last
}

func (r *row) String() string { return fmt.Sprintf("waiting    %s: %s%s", r.name, r.words, r.came) }

// Which of the pods that come count.
const (
	withSidecar = " with the sidecar"
	without     = " without a sidecar"
	either      = ""
)

// coming shows how far the workload is; counted are the pods that count.
func (b *board) coming(out io.Writer, w k8s.Workload, c k8s.Coming, counted string) {
	n := map[string]int{withSidecar: c.Sidecars, without: c.Ready - c.Sidecars, either: c.Ready}[counted]
	words := fmt.Sprintf("%d of %s ready%s", n, plural(c.Wanted, "pod"), counted)
	if n >= c.Wanted && c.Condition != "" {
		words += "; " + c.Condition
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.row(w)
	changed := words != r.words || len(c.Came) > 0
	r.words, r.ready, r.wanted = words, n, c.Wanted
	if len(c.Came) > 0 {
		r.came = ", new: " + strings.Join(c.Came, ", ")
	}
	switch {
	case redraws(out):
		b.draw(out)
	case changed:
		shown := *r
		if len(c.Came) == 0 {
			shown.came = ""
		}
		_, _ = fmt.Fprintln(out, report.CleanLines(shown.String()))
	}
}

func (b *board) row(w k8s.Workload) *row {
	of := w.Namespace + "/" + w.String()
	if i := slices.IndexFunc(b.rows, func(r *row) bool { return r.of == of }); i >= 0 {
		return b.rows[i]
	}
	b.rows = append(b.rows, &row{of: of, name: w.String()})
	return b.rows[len(b.rows)-1]
}

// done takes the workload off; at a terminal its last state stays, as a line.
func (b *board) done(out io.Writer, w k8s.Workload) {
	b.mu.Lock()
	r := b.row(w)
	b.rows = slices.DeleteFunc(b.rows, func(o *row) bool { return o == r })
	b.mu.Unlock()
	if redraws(out) && r.words != "" {
		b.print(out, func() { _, _ = fmt.Fprintln(out, report.CleanLines(r.String())) })
	}
}

// print has something printed that stays, above the live line.
func (b *board) print(out io.Writer, lines func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn {
		_, _ = fmt.Fprint(out, "\r\x1b[K")
		b.drawn = false
	}
	lines()
	if redraws(out) {
		b.draw(out)
	}
}

// draw draws the live line, cut to the terminal's width.
func (b *board) draw(out io.Writer) {
	var line string
	switch len(b.rows) {
	case 0:
		return
	case 1:
		line = b.rows[0].String()
	default:
		ready, wanted, came := 0, 0, ""
		for _, r := range b.rows {
			ready, wanted = ready+r.ready, wanted+r.wanted
			came = r.came
		}
		line = fmt.Sprintf("waiting    %d workloads: %d of %s ready%s", len(b.rows), ready, plural(wanted, "pod"), came)
	}
	line = report.CleanLines(line)
	if f, ok := out.(interface{ Fd() uintptr }); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 1 && len(line) >= width {
			line = line[:width-1]
		}
	}
	_, _ = fmt.Fprintf(out, "\r%s\x1b[K", line)
	b.drawn = true
}
