package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html.tmpl
var page string

// htmlPage writes the report as one page that needs nothing beside itself.
func htmlPage(w io.Writer, v *Verify) error {
	type bar struct {
		Name, Address, Calls, Share, Expected string
		Width, Tick                           float64 // percent
	}
	t, err := template.New("page").Funcs(template.FuncMap{"clean": Clean, "upper": strings.ToUpper}).Parse(page)
	if err != nil {
		return err
	}
	var bars []bar
	for _, c := range v.PerEndpoint {
		bars = append(bars, bar{Clean(cmp.Or(c.Endpoint.Pod, c.Endpoint.Address)), Clean(c.Endpoint.Address), fmt.Sprint(c.Calls),
			fmt.Sprintf("%.1f", c.Share*100), fmt.Sprintf("%.1f", c.Endpoint.Share*100), c.Share * 100, c.Endpoint.Share * 100})
	}
	return t.Execute(w, map[string]any{"V": v, "Verdict": string(v.Verdict), "Sentence": v.sentence(), "Bars": bars, "Evidence": v.evidence()})
}
