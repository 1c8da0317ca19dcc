package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"grpcmesh/internal/check"
)

// several are reports of each verdict, and one that could not be judged.
func several(verdicts ...check.Verdict) *VerifyList {
	var items []*Verify
	for i, v := range verdicts {
		d := documents()[v]
		d.Name = "test/server-" + string(rune('a'+i)) + " " + hostile
		items = append(items, d)
	}
	return NewVerifyList(items, .001)
}

func TestVerifyListVerdict(t *testing.T) {
	for _, tc := range []struct {
		of       []check.Verdict
		verdict  check.Verdict
		sentence string
	}{
		{[]check.Verdict{check.Pass, check.Pass}, check.Pass, "2 of 2 services balanced (false"},
		{[]check.Verdict{check.Pass, check.Inconclusive}, check.Inconclusive, "1 of 2 services balanced, 1 inconclusive (false"},
		{[]check.Verdict{check.Fail, check.Inconclusive, check.Pass}, check.Fail, "1 of 3 services balanced, 1 not, 1 inconclusive (false"},
		{nil, check.Inconclusive, "0 of 0 services balanced (false"},
	} {
		l := several(tc.of...)
		if l.Verdict != tc.verdict || !strings.HasPrefix(l.Sentence(), tc.sentence) {
			t.Errorf("%v: %s, %s", tc.of, l.Verdict, l.Sentence())
		}
	}
	unjudged := several(check.Pass, check.Inconclusive)
	unjudged.Items[1].Error = "refused"
	if l := NewVerifyList(unjudged.Items, .001); l.Verdict != check.Inconclusive || l.Unjudged != 1 || l.Inconclusive != 0 {
		t.Errorf("%+v", l)
	}
}

// TestVerifyListFormats: each format, read back by its own parser, holds all
// the services and their verdicts.
func TestVerifyListFormats(t *testing.T) {
	l := several(check.Pass, check.Fail, check.Inconclusive)
	l.Items[2].Error = hostile
	l = NewVerifyList(l.Items, .001)
	write := func(format string) string {
		var b bytes.Buffer
		if err := Write(&b, l, format); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\r\u202e") {
			t.Errorf("%s: control characters", format)
		}
		return b.String()
	}
	var suites struct {
		Tests  int `xml:"tests,attr"`
		Suites []struct {
			Name string `xml:"name,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(write("junit")), &suites); err != nil || suites.Tests != 3 || len(suites.Suites) != 3 || suites.Suites[1].Name != Clean("grpcmesh verify "+l.Items[1].Name) {
		t.Errorf("junit: %v, %+v", err, suites)
	}
	var read VerifyList
	if err := json.Unmarshal([]byte(write("json")), &read); err != nil || len(read.Items) != 3 || read.Failed != 1 || read.Items[2].Error == "" {
		t.Errorf("json: %v, %+v", err, read)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(write("prometheus")))
	if err != nil || len(families["grpcmesh_verify_verdict"].GetMetric()) != 9 || len(families["grpcmesh_verify_pod_calls"].GetMetric()) != 6 {
		t.Errorf("prometheus: %v, %v", err, families)
	}
	var page bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(write("markdown")), &page); err != nil {
		t.Fatal(err)
	}
	for format, shown := range map[string]string{"markdown": visible(t, page.String()), "html": visible(t, write("html")), "text": write("text")} {
		for _, v := range l.Items {
			if !strings.Contains(shown, Clean(v.Name)) {
				t.Errorf("%s: %q is not shown in\n%s", format, v.Name, shown)
			}
		}
		if !strings.Contains(shown, "FAIL") || !strings.Contains(shown, l.Sentence()) || !strings.Contains(shown, plain()) {
			t.Errorf("%s: it does not say that one failed:\n%s", format, shown)
		}
	}
}

// TestControl: where the control stuck, each format that shows pods says so.
func TestControl(t *testing.T) {
	v := documents()[check.Pass]
	v.Control = &check.Control{Service: "test/server", Calls: 20, Landed: []check.Count{{Endpoint: v.PerEndpoint[1].Endpoint, Calls: 20, Share: 1}}}
	const want = "on one connection to Service test/server itself (layer 4), all on pod-2"
	for _, format := range []string{"text", "html"} {
		var b bytes.Buffer
		if err := Write(&b, v, format); err != nil {
			t.Fatal(err)
		}
		shown := b.String()
		if format == "html" {
			if strings.Count(shown, "<svg") != 4 {
				t.Errorf("html: no bars of the control beside the two pods':\n%s", shown)
			}
			shown = visible(t, shown)
		}
		if !strings.Contains(shown, want) {
			t.Errorf("%s: %q is not in\n%s", format, want, shown)
		}
	}
	v.Control.Why = "refused"
	var b bytes.Buffer
	if err := Write(&b, v, "html"); err != nil || strings.Contains(b.String(), "layer 4") {
		t.Errorf("%v: a control that could not be made is shown:\n%s", err, b.String())
	}
}
