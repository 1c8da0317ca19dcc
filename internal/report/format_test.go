package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// hostile is text that means something to some reader of reports: a terminal,
// XML, HTML, Markdown, GitHub's commands and mentions, Prometheus.
const hostile = "a\x1b[31m\x07\r\u202eb\xff <script>alert(1)</script> & ]]> | `x` **b** [l](http://e.com) ![i](http://e.com/i) @team #1 ::error::no \"q\" 'r' \\ {{.}} https://e.com <a href=x>"

// documents are a report of each verdict, with hostile text wherever a server
// or an object can put it.
func documents() map[check.Verdict]*Verify {
	made := map[check.Verdict]*Verify{}
	for _, v := range []check.Verdict{check.Pass, check.Fail, check.Inconclusive} {
		e := func(n int) check.Endpoint {
			return check.Endpoint{Address: fmt.Sprintf("10.0.0.%d:50051", n), Pod: fmt.Sprintf("pod-%d %s", n, hostile), Share: .5}
		}
		made[v] = &Verify{APIVersion: APIVersion, Kind: "VerifyReport", Address: "203.0.113.10:8000", Authority: hostile, Target: hostile, Identified: check.RungRoute,
			Witness: &Witness{Calls: 1, Upstream: 1, Paths: []string{hostile}}, Calls: 5, Dials: 1,
			Result: check.Result{Verdict: v, Unidentified: 2, Proof: check.Proof{Connection: hostile, Gateway: hostile, Calls: 5, Pods: []string{"a", "b"}},
				Coverage:    check.Coverage{Seen: 2, Of: 2, Calls: 5, Needed: 11, Alpha: .001},
				PerEndpoint: []check.Count{{Endpoint: e(1), Calls: 3, Share: .6}, {Endpoint: e(2), Calls: 2, Share: .4}},
				Findings:    []check.Finding{{Code: "GM220", Severity: check.Error, Subject: hostile, Message: hostile, Hint: hostile}}}}
	}
	return made
}

func written(t *testing.T, v *Verify, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, v, format); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	if s := b.String(); strings.ContainsAny(s, "\x1b\x07\r\u202e") || !strings.HasSuffix(s, "\n") {
		t.Errorf("%s: control characters, or no end of line: %q", format, s)
	}
	return b.String()
}

// plain is the text of what was hostile, as each reader must show it: as it
// stands, with what would act on a terminal written out.
func plain() string { return Clean(hostile) }

// faults: 56
func TestJUnit(t *testing.T) {
	for verdict, v := range documents() {
		var doc struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Cases    []struct {
				Failure *struct {
					Message string `xml:"message,attr"`
					Type    string `xml:"type,attr"`
				} `xml:"failure"`
				Error *struct {
					Message string `xml:"message,attr"`
				} `xml:"error"`
				Out string `xml:"system-out"`
			} `xml:"testsuite>testcase"`
		}
		d := xml.NewDecoder(strings.NewReader(written(t, v, "junit")))
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%s: %v", verdict, err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) && err != nil {
			t.Errorf("%s: %v after the end", verdict, err)
		}
		c := doc.Cases[0]
		if doc.Tests != 1 || len(doc.Cases) != 1 || (c.Failure != nil) != (verdict == check.Fail) || (c.Error != nil) != (verdict == check.Inconclusive) ||
			doc.Failures != map[check.Verdict]int{check.Fail: 1}[verdict] || doc.Errors != map[check.Verdict]int{check.Inconclusive: 1}[verdict] {
			t.Errorf("%s: %+v", verdict, doc)
		}
		if f := c.Failure; f != nil && (f.Type != "GM220" || f.Message != plain()+": "+plain()) {
			t.Errorf("failure %+v", f)
		}
		if !strings.Contains(c.Out, strings.ToUpper(string(verdict))) {
			t.Errorf("%s: the output is not the report: %s", verdict, c.Out)
		}
	}
}

// faults: 56
//
// TestMarkdown: read by GitHub's rules there is no link, image, HTML or code
// in it, and the texts are what they were.
func TestMarkdown(t *testing.T) {
	for verdict, v := range documents() {
		source := []byte(written(t, v, "markdown"))
		root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
		var all strings.Builder
		tables := 0
		err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n.Kind() {
			case ast.KindLink, ast.KindImage, ast.KindAutoLink, ast.KindRawHTML, ast.KindHTMLBlock, ast.KindCodeSpan, ast.KindCodeBlock, ast.KindFencedCodeBlock:
				t.Errorf("%s: a %s in\n%s", verdict, n.Kind(), source)
			}
			if n.Kind().String() == "Table" {
				tables++
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert(source, &all); err != nil {
			t.Fatal(err)
		}
		shown := visible(t, all.String())
		if tables != 1 || !strings.Contains(shown, "grpcmesh verify: "+strings.ToUpper(string(verdict))) || strings.Count(shown, plain()) < 7 {
			t.Errorf("%s: %d tables; shown is\n%s", verdict, tables, shown)
		}
		for _, line := range strings.Split(string(source), "\n") {
			if strings.HasPrefix(line, "::") {
				t.Errorf("a command to GitHub's runner: %s", line)
			}
		}
	}
}

// visible is the text that a browser would show of a page.
func visible(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "title" {
			b.WriteString(n.Data)
		}
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "a" || n.Data == "img") {
			t.Errorf("a <%s> in\n%s", n.Data, page)
		}
	}
	return b.String()
}

// faults: 56
//
// TestHTML: nothing of it is fetched or run, and it says what the others say.
func TestHTML(t *testing.T) {
	for verdict, v := range documents() {
		page := written(t, v, "html")
		shown := visible(t, page)
		if !strings.Contains(shown, strings.ToUpper(string(verdict))) || strings.Count(shown, plain()) < 8 || strings.Count(page, "<svg") != 2 {
			t.Errorf("%s: shown is\n%s", verdict, shown)
		}
		for _, fetched := range []string{" src=", " href=", "url(", "@import", "<link"} {
			if strings.Contains(strings.ReplaceAll(page, "&lt;a href=x", ""), fetched) {
				t.Errorf("%s: it has %q", verdict, fetched)
			}
		}
	}
}

func TestPrometheus(t *testing.T) {
	for verdict, v := range documents() {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(written(t, v, "prometheus")))
		if err != nil {
			t.Fatalf("%s: %v", verdict, err)
		}
		for _, m := range families["grpcmesh_verify_verdict"].GetMetric() {
			want := 0.0
			for _, l := range m.GetLabel() {
				if l.GetName() == "verdict" && l.GetValue() == string(verdict) {
					want = 1
				}
			}
			if m.GetGauge().GetValue() != want {
				t.Errorf("%s: %v", verdict, m)
			}
		}
		pods := families["grpcmesh_verify_pod_calls"].GetMetric()
		if len(pods) != 2 || pods[0].GetGauge().GetValue() != 3 || pods[0].GetLabel()[3].GetValue() != "pod-1 "+plain() {
			t.Errorf("%s: %v", verdict, pods)
		}
	}
	if s := written(t, &Verify{}, "prometheus"); strings.Contains(s, "pod_calls") {
		t.Errorf("a family without a metric: %s", s)
	}
}

// TestWriteFile: a report is whole or not there.
func TestWriteFile(t *testing.T) {
	v, dir := documents()[check.Pass], t.TempDir()
	file := filepath.Join(dir, "r.json")
	if err := os.WriteFile(file, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, v, "nonsense"); err == nil {
		t.Error("an unknown format was written")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "older" {
		t.Errorf("after a failure: %q, %v", b, err)
	}
	if err := WriteFile(file, v, "json"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil || !json.Valid(b) {
		t.Errorf("%v: %s", err, b)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, bad := range []string{filepath.Join(dir, "no", "such"), dir} {
		if err := WriteFile(bad, v, "json"); err == nil || !strings.Contains(err.Error(), filepath.Dir(bad)) {
			t.Errorf("into %s: %v", bad, err)
		}
	}
	if err := WriteFile("/dev/full", v, "json"); err == nil || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("a full disk: %v", err)
	}
}

// FuzzFormats: whatever servers and objects say, each format is read back.
func FuzzFormats(f *testing.F) {
	f.Add(hostile)
	f.Add("]]>")
	f.Add("\n\n- a\n# b\n\n|x|\n|-|\n")
	f.Fuzz(func(t *testing.T, s string) {
		v := &Verify{Address: s, Target: s, Witness: &Witness{Calls: 1, Paths: []string{s}}, Result: check.Result{Verdict: check.Fail,
			PerEndpoint: []check.Count{{Endpoint: check.Endpoint{Address: s, Pod: s}}}, Findings: []check.Finding{{Code: "GM220", Subject: s, Message: s, Hint: s}}}}
		v.Reached(check.Evidence{Witness: []probe.Sample{{Path: s}}})
		var b bytes.Buffer
		if err := Write(&b, v, "junit"); err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(b.Bytes(), new(struct{})); err != nil {
			t.Errorf("junit: %v of\n%s", err, b.Bytes())
		}
		b.Reset()
		if err := Write(&b, v, "prometheus"); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := parser.TextToMetricFamilies(&b); err != nil {
			t.Errorf("prometheus: %v", err)
		}
		for _, format := range []string{"markdown", "html"} {
			b.Reset()
			if err := Write(&b, v, format); err != nil {
				t.Fatal(err)
			}
			page := b.String()
			if format == "markdown" {
				var out bytes.Buffer
				if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(page), &out); err != nil {
					t.Fatal(err)
				}
				page = out.String()
			}
			if !strings.Contains(visible(t, page), Clean(s)) && strings.TrimSpace(Clean(s)) == Clean(s) && !strings.Contains(Clean(s), "  ") {
				t.Errorf("%s: %q is not shown in\n%s", format, s, page)
			}
		}
	})
}
