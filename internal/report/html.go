package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"grpcmesh/internal/check"
)

//go:embed page.html.tmpl
var page string

type bar struct {
	Name, Address, Calls, Share, Expected string
	Width, Tick                           float64 // percent
}

// section is one report on the page.
type section struct {
	V        *Verify
	Verdict  string
	Sentence string
	Bars     []bar
	Control  []bar // where the same calls landed at the Service itself
	Evidence []string
	Load     [][]string // the first is its head
	Curve    string
}

// htmlPage writes reports as one page that needs nothing beside itself.
func htmlPage(w io.Writer, d Document) error {
	t, err := template.New("page").Funcs(template.FuncMap{"clean": Clean, "upper": strings.ToUpper}).Parse(page)
	if err != nil {
		return err
	}
	data := struct {
		Title    string
		All      *VerifyList // of a list
		Sections []section
	}{Title: "verify"}
	data.All, _ = d.(*VerifyList)
	for _, v := range d.Reports() {
		data.Sections = append(data.Sections, sectionOf(v))
		data.Title = strings.ToUpper(string(v.Verdict)) + " · grpcmesh verify " + v.Address
	}
	if data.All != nil {
		data.Title = strings.ToUpper(string(data.All.Verdict)) + " · grpcmesh verify"
	}
	return t.Execute(w, data)
}

func sectionOf(v *Verify) section {
	s := section{V: v, Verdict: string(v.Verdict), Sentence: v.sentence(), Evidence: v.evidence(), Load: v.Load.table(), Curve: v.Load.curve()}
	for _, c := range v.PerEndpoint {
		s.Bars = append(s.Bars, barOf(c))
	}
	if v.Control != nil && v.Control.Why == "" {
		for _, c := range v.PerEndpoint { // the same pods in the same order, to compare
			landed := check.Count{Endpoint: c.Endpoint}
			if i := slices.IndexFunc(v.Control.Landed, func(l check.Count) bool { return l.Endpoint.Address == c.Endpoint.Address }); i >= 0 {
				landed = v.Control.Landed[i]
			}
			s.Control = append(s.Control, barOf(landed))
		}
	}
	return s
}

func barOf(c check.Count) bar {
	return bar{Clean(cmp.Or(c.Endpoint.Pod, c.Endpoint.Address)), Clean(c.Endpoint.Address), fmt.Sprint(c.Calls),
		fmt.Sprintf("%.1f", c.Share*100), fmt.Sprintf("%.1f", c.Endpoint.Share*100), c.Share * 100, c.Endpoint.Share * 100}
}
