package e2e

import (
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdOffers is `offers "CANDIDATE..." ARG...`: the shell is offered just these
// after the arguments, or with "... among others" at least these. On a machine
// that is busy with other tests the API server may be too late for the shell;
// then it is asked again.
func cmdOffers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf(`usage: offers "CANDIDATE..." ARG...`)
	}
	list, others := strings.CutSuffix(args[0], " among others")
	want := strings.Fields(list)
	var got []string
	for range 40 {
		start := time.Now()
		ts.Check(ts.Exec("grpcmesh", append([]string{"__complete"}, args[1:]...)...))
		if took := time.Since(start); took > 5*time.Second {
			ts.Fatalf("the shell was kept waiting for %s", took)
		}
		got = strings.Fields(strings.TrimSuffix(strings.TrimSpace(ts.ReadFile("stdout")), ":4"))
		if slices.Equal(got, want) || others && !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) }) {
			return
		}
	}
	ts.Fatalf("offered %q, want %q", got, want)
}
