package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"grpcmesh/internal/check"
)

//go:embed page.css
var pageStyle string

// htmlPage writes reports as one page that needs nothing beside itself. It is
// made as a tree, whose writer escapes: a template calls methods by name, and
// for fear of that the linker keeps all that the program does not use.
func htmlPage(w io.Writer, d Document) error {
	title := "grpcmesh verify"
	var body []any
	all, several := d.(*VerifyList)
	if several {
		title = strings.ToUpper(string(all.Verdict)) + " · " + title
		body = append(body, headline(all.Verdict, all.Sentence()), tableOfAll(all))
	}
	for _, v := range d.Reports() {
		if !several {
			title = strings.ToUpper(string(v.Verdict)) + " · " + title + " " + v.Address
		}
		body = append(body, el("section", "", sectionOf(v)...))
	}
	page := el("html", "lang=en",
		el("head", "",
			el("meta", "charset=utf-8"),
			el("meta", "name=viewport|content=width=device-width, initial-scale=1"),
			el("meta", "http-equiv=Content-Security-Policy|content=default-src 'none'; style-src 'unsafe-inline'"),
			el("title", "", title),
			&html.Node{Type: html.ElementNode, Data: "style", FirstChild: &html.Node{Type: html.TextNode, Data: pageStyle}}),
		el("body", "", body...))
	if _, err := io.WriteString(w, "<!DOCTYPE html>\n"); err != nil {
		return err
	}
	if err := html.Render(w, page); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// el makes an element. Its attributes are written NAME=VALUE, with a bar
// between them; a child is a node or a text, which is cleaned.
func el(tag, attributes string, children ...any) *html.Node {
	n := &html.Node{Type: html.ElementNode, Data: tag}
	if attributes != "" {
		for _, pair := range strings.Split(attributes, "|") {
			name, value, _ := strings.Cut(pair, "=")
			n.Attr = append(n.Attr, html.Attribute{Key: name, Val: value})
		}
	}
	for _, child := range children {
		switch c := child.(type) {
		case *html.Node:
			n.AppendChild(c)
		case string:
			n.AppendChild(&html.Node{Type: html.TextNode, Data: Clean(c)})
		}
	}
	return n
}

// row is a table's row of the cells.
func row(cell string, texts ...string) *html.Node {
	tr := el("tr", "")
	for _, text := range texts {
		tr.AppendChild(el(cell, "", text))
	}
	return tr
}

// table has a head and rows; the columns named by number hold figures.
func table(head *html.Node, rows []*html.Node, figures ...int) *html.Node {
	body := el("tbody", "")
	for _, r := range rows {
		body.AppendChild(r)
	}
	for _, r := range append([]*html.Node{head}, rows...) {
		i := 0
		for cell := range r.ChildNodes() {
			if slices.Contains(figures, i) {
				cell.Attr = append(cell.Attr, html.Attribute{Key: "class", Val: "n"})
			}
			i++
		}
	}
	return el("table", "", el("thead", "", head), body)
}

func headline(v check.Verdict, sentence string) *html.Node {
	return el("h1", "", el("span", "class="+string(v), strings.ToUpper(string(v))), " "+sentence)
}

func tableOfAll(l *VerifyList) *html.Node {
	var rows []*html.Node
	for _, v := range l.Items {
		r := row("td", strings.ToUpper(string(v.Verdict)), v.Name, v.Address, fmt.Sprintf("%d/%d", v.Coverage.Seen, v.Coverage.Of), strconv.Itoa(v.Calls))
		r.FirstChild.Attr = []html.Attribute{{Key: "class", Val: string(v.Verdict)}}
		rows = append(rows, r)
	}
	return table(row("th", "verdict", "service", "address", "pods", "calls"), rows, 3, 4)
}

// sectionOf is what the page holds of one report.
func sectionOf(v *Verify) []any {
	about := el("p", "", v.Address, el("span", "class=soft", " · "+v.Target))
	if v.Name != "" {
		about = el("p", "", v.Name, el("span", "class=soft", " · "), v.Address, el("span", "class=soft", " · "+v.Target))
	}
	parts := []any{headline(v.Verdict, v.sentence()), about}
	if len(v.Findings) > 0 {
		list := el("ul", "")
		for _, f := range v.Findings {
			item := el("li", "", el("strong", "", f.Code), " "+f.Subject+": "+f.Message)
			if f.Hint != "" {
				item.AppendChild(el("br", ""))
				item.AppendChild(el("span", "class=soft", "next:"))
				item.AppendChild(el("code", "", " "+f.Hint))
			}
			list.AppendChild(item)
		}
		parts = append(parts, el("h2", "", "Findings"), list)
	}
	if len(v.PerEndpoint) > 0 {
		parts = append(parts, el("h2", "", "Which pod answered"), bars(v.PerEndpoint))
	}
	if v.Control != nil && v.Control.Why == "" {
		var landed []check.Count
		for _, c := range v.PerEndpoint { // the same pods in the same order, to compare
			at := slices.IndexFunc(v.Control.Landed, func(l check.Count) bool { return l.Endpoint.Address == c.Endpoint.Address })
			if at >= 0 {
				landed = append(landed, v.Control.Landed[at])
			} else {
				landed = append(landed, check.Count{Endpoint: c.Endpoint})
			}
		}
		parts = append(parts, el("h2", "", "The same calls at the Service itself: layer 4"), bars(landed))
	}
	parts = append(parts, underLoad(v)...)
	if evidence := v.evidence(); len(evidence) > 0 {
		list := el("ul", "")
		for _, line := range evidence {
			list.AppendChild(el("li", "", line))
		}
		parts = append(parts, el("h2", "", "Evidence"), list)
	}
	return parts
}

// bars show each pod's share of the calls, and a mark where it is expected.
func bars(counts []check.Count) *html.Node {
	var rows []*html.Node
	for _, c := range counts {
		share, expected := fmt.Sprintf("%.1f %%", c.Share*100), expected(c.Endpoint, " ")
		tick := fmt.Sprint(c.Endpoint.Share * 100)
		r := row("td", cmp.Or(c.Endpoint.Pod, c.Endpoint.Address), strconv.Itoa(c.Calls), share, expected)
		r.FirstChild.Attr = []html.Attribute{{Key: "title", Val: Clean(c.Endpoint.Address)}}
		bar := el("svg", "viewBox=0 0 100 10|preserveAspectRatio=none|role=img|aria-label="+share+" of the calls, "+expected+" expected",
			el("rect", "class=track|width=100|height=10"),
			el("rect", "class=got|height=10|width="+fmt.Sprint(c.Share*100)))
		if c.Endpoint.Share > 0 {
			bar.AppendChild(el("line", "class=tick|y1=0|y2=10|x1="+tick+"|x2="+tick))
		}
		r.AppendChild(el("td", "class=bar", bar))
		rows = append(rows, r)
	}
	return table(row("th", "pod", "calls", "share", "expected", "share, and a mark where it is expected"), rows, 1, 2, 3)
}

func underLoad(v *Verify) []any {
	var parts []any
	if load := v.Load.table(); len(load) > 0 {
		var rows []*html.Node
		for _, cells := range load[1:] {
			rows = append(rows, row("td", cells...))
		}
		parts = append(parts, el("h2", "", "Under load"),
			el("div", "class=wide", table(row("th", load[0]...), rows, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
	}
	parts = append(parts, latencyPlot(v.Load)...)
	if curve := v.Load.curve(); curve != "" {
		parts = append(parts, el("p", "class=soft", "The busiest pod's share of the calls, over time"),
			el("svg", "class=curve|viewBox=0 0 100 10|preserveAspectRatio=none|role=img|aria-label=the busiest pod's share over time",
				el("rect", "class=track|width=100|height=10"), el("polyline", "class=line|points="+curve)))
	}
	return parts
}
