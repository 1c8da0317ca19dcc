package cmd

import (
	"errors"
	"strings"
	"testing"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

func TestSummedUp(t *testing.T) {
	target, denied := &manifest.TargetError{What: "none"}, errors.New("refused")
	for _, tc := range []struct {
		name     string
		verdicts []check.Verdict
		failed   error
		written  error
		want     int
	}{
		{"a FAIL, an INCONCLUSIVE, one not judged", []check.Verdict{check.Fail, check.Inconclusive, ""}, target, nil, exitNo},
		{"a PASS, one not judged", []check.Verdict{check.Pass, ""}, target, nil, exitUsage},
		{"an INCONCLUSIVE, one not judged", []check.Verdict{check.Inconclusive, ""}, denied, nil, exitError},
		{"a PASS, an INCONCLUSIVE", []check.Verdict{check.Pass, check.Inconclusive}, nil, nil, exitInconclusive},
		{"all pass", []check.Verdict{check.Pass, check.Pass}, nil, nil, exitYes},
		{"a FAIL, and a full disk", []check.Verdict{check.Fail}, nil, errors.New("full"), exitError},
	} {
		var items []*report.Verify
		for _, v := range tc.verdicts {
			item := &report.Verify{Result: check.Result{Verdict: v}}
			if v == "" {
				item.Verdict, item.Error = check.Inconclusive, tc.failed.Error()
			}
			items = append(items, item)
		}
		list := report.NewVerifyList(items, .001)
		o := &verifyOptions{IO: IO{Out: &strings.Builder{}}, output: "text"}
		finished := o.finish(list, list.Verdict)
		if tc.written != nil {
			finished = tc.written
		}
		if got := ExitCode(summedUp(list, finished, tc.failed)); got != tc.want {
			t.Errorf("%s: exit %d, want %d", tc.name, got, tc.want)
		}
	}
}

// What a file names and is not there is one of the run's items, by its name.
func TestWithout(t *testing.T) {
	o := &verifyOptions{addr: "127.0.0.1:8000"}
	one := o.without(manifest.Intent{Namespace: "test", Workload: "deployment/three", Host: "{workload}.x"})
	doc, err := one.judged(t.Context(), nil, nil)
	if ExitCode(err) != exitUsage || doc.Name != "test/three" || doc.Authority != "three.x" || !strings.Contains(doc.Error, "test/three is not exposed under host three.x") {
		t.Errorf("%v, %+v", err, doc)
	}
}
