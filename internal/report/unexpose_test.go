package report

import (
	"strings"
	"testing"

	"grpcmesh/internal/plan"
)

// TestUnexposeTail: the last words claim no more than was done.
func TestUnexposeTail(t *testing.T) {
	t.Parallel()
	of := func(actions ...plan.Action) (changes []Change) {
		for _, a := range actions {
			changes = append(changes, Change{Action: a, Kind: "Service", Name: "srv"})
		}
		return changes
	}
	const kept = "Kept, as it is not grpcmesh's alone: Service/srv."
	for _, tc := range []struct {
		name, workload, dryRun string
		changes                []Change
		want, kept             string
	}{
		{"nothing", "", "", nil, "Nothing to undo in namespace test.", ""},
		{"all of it", "deployment/srv", "", of(plan.Delete, plan.Update), "deployment/srv in namespace test is no longer exposed.", ""},
		{"all but one", "deployment/srv", "", of(plan.Delete, plan.Keep), "deployment/srv in namespace test is no longer exposed.", kept},
		{"all is someone else's", "deployment/srv", "", of(plan.Keep), "Nothing was undone in namespace test.", kept},
		{"leftovers", "", "", of(plan.Update), "What a run that was cut short had left in namespace test is gone.", ""},
		{"sidecars alone", "", "", of(plan.Restart), "The sidecars are gone; nothing else was to undo in namespace test.", ""},
		{"a dry run", "deployment/srv", "server", of(plan.Delete, plan.Keep), "Dry run (server): nothing was written.", kept},
	} {
		var b strings.Builder
		u := &Unexpose{Namespace: "test", Workload: tc.workload, DryRun: tc.dryRun, Changes: tc.changes}
		if err := u.Tail(&b); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(tc.want + "\n" + tc.kept); strings.TrimSpace(b.String()) != want {
			t.Errorf("%s: %q, want %q", tc.name, b.String(), want)
		}
	}
}
