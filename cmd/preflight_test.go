package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// TestPreflight: findings are collected; a cluster that can't be asked is asked
// no more.
func TestPreflight(t *testing.T) {
	t.Parallel()
	var p preflight
	step := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	paused := &k8s.NotReadyError{Code: finding.Paused, Subject: "Deployment/server", Cause: "it is paused"}
	foreign := &plan.ConflictError{Code: finding.NotOurs, ID: manifest.ID{Kind: "Service", Name: "server"}, Reason: "it exists"}
	for i, tc := range []struct {
		err  error
		pass bool
	}{{nil, true}, {paused, false}, {nil, true}, {foreign, false}, {errUnderTest, false}, {nil, false}} {
		if got := p.passes(t.Context(), step(tc.err)); got != tc.pass {
			t.Errorf("step %d passes: %v, want %v", i, got, tc.pass)
		}
	}
	if err := p.err(); !errors.Is(err, paused) || !errors.Is(err, foreign) || !errors.Is(err, errUnderTest) || ExitCode(err) != exitConflict {
		t.Errorf("%v, exit code %d", p.err(), ExitCode(err))
	}
}

// TestRefuse: one error is told as it is, several as a sorted list, and JSON
// and YAML hold them all.
func TestRefuse(t *testing.T) {
	t.Parallel()
	paused := &k8s.NotReadyError{Code: finding.Paused, Namespace: "test", Subject: "Deployment/server", Cause: "it is paused", Hint: "Nothing was written. Resume it."}
	foreign := &plan.ConflictError{Code: finding.NotOurs, ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Reason: "it exists"}
	x := exposing()
	var out strings.Builder
	x.o.Out = &out
	if err := x.o.refuse(batch{x}, []error{paused}); err.Error() != paused.Error() || !strings.HasPrefix(err.Error(), "GM131: ") || ExitCode(err) != exitNo {
		t.Errorf("one: %v", err)
	}
	x.found(finding.New(finding.Headless, "test", "Service/old", "it is headless", ""))
	err := x.o.refuse(batch{x}, []error{errors.Join(foreign, paused, errUnderTest)})
	want := `2 things in the way; nothing was written. 'grpcmesh doctor --explain CODE' tells the whole story of one.
GM131 error    Deployment/server in namespace test
    it is paused
    Resume it.
GM170 error    Service/server in namespace test
    it exists
GM145 warning  Service/old in namespace test
    it is headless
boom`
	if err.Error() != want || ExitCode(err) != exitConflict || out.Len() > 0 {
		t.Errorf("several, exit code %d:\n%s\nstdout %q", ExitCode(err), err, &out)
	}
	x.o.output = "yaml"
	_ = x.o.refuse(batch{x}, []error{errors.Join(foreign, paused)})
	var doc report.Expose
	if err := yaml.Unmarshal([]byte(out.String()), &doc); err != nil || doc.Kind != "ExposeReport" || len(doc.Findings) != 3 || doc.Findings[0].Code != finding.Paused || doc.Error == "" {
		t.Errorf("%v:\n%s", err, &out)
	}
	if other := errors.New("x"); x.o.refuse(batch{x, x}, []error{nil, other}).Error() == "" {
		t.Error("an error without a code is lost")
	}
}
