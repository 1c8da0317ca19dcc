package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"grpcmesh/internal/check"
)

// VerifyList is what a run of verify over several services found.
type VerifyList struct {
	APIVersion   string        `json:"apiVersion"`
	Kind         string        `json:"kind"`    // VerifyReportList
	Verdict      check.Verdict `json:"verdict"` // the worst of all
	Alpha        float64       `json:"alpha"`   // false-alarm rate of all together
	Passed       int           `json:"passed"`  // how many, of Items
	Failed       int           `json:"failed"`
	Inconclusive int           `json:"inconclusive"` // judged so
	Unjudged     int           `json:"unjudged"`     // each with its error
	Items        []*Verify     `json:"items"`
}

// NewVerifyList sums up reports, in their order. alpha is the false-alarm rate
// of all together.
func NewVerifyList(items []*Verify, alpha float64) *VerifyList {
	l := &VerifyList{APIVersion: APIVersion, Kind: "VerifyReportList", Verdict: check.Pass, Alpha: alpha, Items: items}
	for _, v := range items {
		switch {
		case v.Error != "":
			l.Unjudged++
		case v.Verdict == check.Pass:
			l.Passed++
		case v.Verdict == check.Fail:
			l.Failed++
		default:
			l.Inconclusive++
		}
	}
	switch {
	case l.Failed > 0:
		l.Verdict = check.Fail
	case l.Passed < len(items) || len(items) == 0:
		l.Verdict = check.Inconclusive
	}
	return l
}

// Reports are the reports in it.
func (l *VerifyList) Reports() []*Verify { return l.Items }

// Sentence says in one line how many services are balanced.
func (l *VerifyList) Sentence() string {
	words := fmt.Sprintf("%d of %s balanced", l.Passed, count(len(l.Items), "service"))
	for _, part := range []struct {
		n    int
		what string
	}{{l.Failed, "not"}, {l.Inconclusive, "inconclusive"}, {l.Unjudged, "not judged"}} {
		if part.n > 0 {
			words += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return words + fmt.Sprintf(" (false alarms, of all together: at most %.4g %%)", l.Alpha*100)
}

// Text writes a line for each service, then what was found wrong with any, and
// last the verdict on all.
func (l *VerifyList) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "SERVICE\tADDRESS\tAUTHORITY\tPODS\tCALLS\tVERDICT")
	for _, v := range l.Items {
		verdict := strings.ToUpper(string(v.Verdict))
		if v.Error != "" {
			verdict = "NOT JUDGED"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%d/%d\t%d\t%s\n", Clean(v.Name), Clean(v.Address), Clean(v.Authority), v.Coverage.Seen, v.Coverage.Of, v.Calls, verdict)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, v := range l.Items {
		if v.Error != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", Clean(v.Name), CleanLines(v.Error))
		} else if len(v.Findings) > 0 {
			fmt.Fprintf(&b, "\n%s\n", Clean(v.Name))
			v.findings(&b)
		}
	}
	fmt.Fprintf(&b, "\n%s  %s\n", strings.ToUpper(string(l.Verdict)), l.Sentence())
	_, err := io.WriteString(w, b.String())
	return err
}
