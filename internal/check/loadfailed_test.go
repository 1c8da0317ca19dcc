package check

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// failing adds an even load of a hundred calls, of which so many were not well.
func failing(n int, why Reason) func(*Evidence) {
	return func(e *Evidence) {
		loaded(n, 40-n/3, 30-n/3, 30-n/3)(e)
		why.Calls = n
		e.Load.Calls, e.Load.Failed, e.Load.Reasons = 100, n, []Reason{why}
	}
}

// TestLoadFailed: the finding has the numbers, the most frequent reason and the
// next step; and of a load that few pods' answers are known of, shares are those
// of the answers.
func TestLoadFailed(t *testing.T) {
	e := route()
	failing(60, Reason{Flags: "UO", Code: codes.Unavailable})(&e)
	if f := Judge(e).Findings[0]; !strings.Contains(f.Message, `60 of the load's 100 calls failed, most often with flags "UO", status 14 (Unavailable): 60`) || !strings.Contains(f.Hint, "connectionPool") {
		t.Errorf("%+v", f)
	}
	for why, want := range map[string]string{
		"rule 1 takes calls before it; leave out --call to load another method": "leave out --call",
		"pods would be put out; give a real one with --call":                    "--call PACKAGE",
		"this user may not create virtualservices":                              "kubectl -n demo auth can-i",
		"no pod had answered before it":                                         "mend what",
	} {
		e := route()
		e.NoLoad = why
		if f := Judge(e).Findings[0]; f.Code != codeNoLoad || !strings.Contains(f.Message, why) || !strings.Contains(f.Hint, want) {
			t.Errorf("%s: %+v", why, f)
		}
	}
	e = route()
	e.TimedOut, e.WitnessOf, e.Witness = "10m0s", 24, repeat(6, witnessed())
	if f := Judge(e).Findings[0]; !strings.Contains(f.Message, "6 of 24 on the users' own route") || !strings.Contains(f.Hint, "--timeout 2400s") {
		t.Errorf("%+v", f)
	}
	loaded(26_553, 100, 60, 54)(&e)
	if lead := Judge(e).Coverage.Skew; lead > 5000 { // what no answer tells can't have shown a lead
		t.Errorf("a lead of %g times the odds", lead)
	}
	d := fold(e)
	if i, ok := d.unevenLoad(); ok {
		t.Errorf("%s is uneven, by calls that nobody answered", d.name(i))
	}
	if inLoad := d.loaded.Shown(d.Load.Calls, d.answeredLoad()); inLoad != 0 {
		t.Errorf("214 answers of 26,767 calls show a lead of %g", inLoad)
	}
}
