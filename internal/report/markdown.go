package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"grpcmesh/internal/check"
)

// markdown writes reports for a pull request or a job's summary, in GitHub's
// flavour; several with a table of all before them.
func markdown(w io.Writer, d Document) error {
	var b strings.Builder
	if l, ok := d.(*VerifyList); ok {
		fmt.Fprintf(&b, "### %s grpcmesh verify: %s\n\n%s\n\n", mark(l.Verdict), strings.ToUpper(string(l.Verdict)), md(l.Sentence()))
		b.WriteString("| | service | address | pods | calls |\n|---|---|---|--:|--:|\n")
		for _, v := range l.Items {
			fmt.Fprintf(&b, "| %s | %s | %s | %d/%d | %d |\n", mark(v.Verdict), md(v.Name), md(v.Address), v.Coverage.Seen, v.Coverage.Of, v.Calls)
		}
		b.WriteString("\n")
	}
	for _, v := range d.Reports() {
		markdownOne(&b, v)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mark shows a verdict at a glance.
func mark(v check.Verdict) string {
	return map[check.Verdict]string{check.Pass: "✅", check.Fail: "❌", check.Inconclusive: "❔"}[v]
}

func markdownOne(b *strings.Builder, v *Verify) {
	if v.Name == "" {
		fmt.Fprintf(b, "### %s grpcmesh verify: %s\n\n", mark(v.Verdict), strings.ToUpper(string(v.Verdict)))
	} else {
		fmt.Fprintf(b, "#### %s %s: %s\n\n", mark(v.Verdict), md(v.Name), strings.ToUpper(string(v.Verdict)))
	}
	fmt.Fprintf(b, "%s · %s\n\n", md(v.Address), md(v.Target))
	if v.Verdict == check.Pass || v.Error != "" {
		fmt.Fprintf(b, "%s.\n\n", md(v.sentence()))
	}
	for _, f := range v.Findings {
		fmt.Fprintf(b, "- **%s** %s: %s", f.Code, md(f.Subject), md(f.Message))
		if f.Hint != "" {
			fmt.Fprintf(b, "  \n  next: %s", md(f.Hint))
		}
		b.WriteString("\n")
	}
	if len(v.Findings) > 0 {
		b.WriteString("\n")
	}
	if len(v.PerEndpoint) > 0 {
		b.WriteString("| pod | calls | share | expected |\n|---|--:|--:|--:|\n")
		for _, c := range v.PerEndpoint {
			fmt.Fprintf(b, "| %s | %d | %.1f %% | %s |\n", md(cmp.Or(c.Endpoint.Pod, c.Endpoint.Address)), c.Calls, c.Share*100, expected(c.Endpoint, " "))
		}
		b.WriteString("\n")
	}
	v.Load.markdown(b)
	for _, line := range v.evidence() {
		fmt.Fprintf(b, "- %s\n", md(line))
	}
	b.WriteString("\n")
}

// md makes text stand for itself in Markdown: on one line, with no markup,
// HTML, link, mention or emoji of its own.
func md(s string) string {
	var b strings.Builder
	for _, r := range Clean(s) {
		switch {
		case strings.ContainsRune("\\`*_{}[]()#+-.!|~=", r):
			b.WriteRune('\\')
			b.WriteRune(r)
		case strings.ContainsRune("<>&\"'@:/", r): // "@" mentions, ":" and "/" make links
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
