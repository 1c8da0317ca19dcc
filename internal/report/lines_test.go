package report

import (
	"strings"
	"testing"

	"grpcmesh/internal/check"
	"grpcmesh/internal/plan"
)

func TestCleanLines(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"one":                        "one",
		"one\n  two\n":               "one\n  two\n",
		"one\r\ntwo":                 "one\\x0d\ntwo",
		"a\x1b[2J\n\u202eb\n\x9b\tc": "a\\x1b[2J\n\\u202eb\n\\x9b\\x09c",
	} {
		if got := CleanLines(in); got != want {
			t.Errorf("CleanLines(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestLineOfForeignValues: what a plan shows of a live object was written by
// others.
func TestLineOfForeignValues(t *testing.T) {
	evil := "\x1b]52;c;eA==\a\u202e\nPASS"
	c := Change{Action: plan.Update, Kind: "VirtualService", Name: "server", Reason: evil,
		Diff: []plan.Field{{Path: "spec.http[0].headers." + evil, From: evil, To: "x" + evil}}}
	got := c.Line("")
	if lines := strings.Split(got, "\n"); len(lines) != 2 || CleanLines(got) != got {
		t.Errorf("Line = %q; want 2 lines without a control character", got)
	}
	if strings.Count(got, `\x1b]52;c;eA==\x07\u202e\x0aPASS`) != 4 {
		t.Errorf("Line = %q; want each value there, escaped", got)
	}
	var b strings.Builder
	e := Expose{Host: "*", Workload: "Deployment/server", Addresses: []string{"lb" + evil + ":8000"}, Verify: "grpcmesh verify --addr lb" + evil}
	if err := e.Tail(&b); err != nil {
		t.Fatal(err)
	}
	if CleanLines(b.String()) != b.String() || strings.Contains(b.String(), "\nPASS") {
		t.Errorf("Tail = %q; want no control character of the address", b.String())
	}
}

// TestAlphaAsAShare: a rate is shown as it was given, not with the last bits
// of a binary fraction.
func TestAlphaAsAShare(t *testing.T) {
	for alpha, want := range map[float64]string{0.001: "0.1 %", 0.05: "5 %", 0.07: "7 %", 0.29: "29 %", 0.0000001: "1e-05 %"} {
		v := Verify{Result: check.Result{Coverage: check.Coverage{Seen: 1, Of: 2, Alpha: alpha}}}
		var b strings.Builder
		if err := v.Text(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "at most "+want+")") {
			t.Errorf("alpha %v: %q; want %s in it", alpha, b.String(), want)
		}
	}
}
