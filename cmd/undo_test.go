package cmd

import (
	"errors"
	"io"
	"strings"
	"testing"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

func undoing(arg string) *undoer {
	o := &unexposeOptions{IO: IO{Out: io.Discard, Err: io.Discard}, output: "text", called: called{program: "grpcmesh"}}
	return &undoer{o: o, namespace: "test", named: strings.Fields(arg), doc: &report.Unexpose{},
		workloads: []k8s.Workload{{Kind: "Deployment", Name: "a"}, {Kind: "Deployment", Name: "b"}, {Kind: "StatefulSet", Name: "b"}}}
}

// TestChooseExposure: a workload that is there and not exposed is undone
// already; a name of nothing is the user's mistake.
func TestChooseExposure(t *testing.T) {
	for _, tc := range []struct {
		arg     string
		exposed string
		want    string
		rest    string
		refused string // the candidates; empty: it is taken
	}{
		{"", "", "", "", ""},
		{"", "deployment/a", "deployment/a", "", ""},
		{"", "deployment/a deployment/c", "", "", "deployment/a deployment/c"},
		{"a", "deployment/a deployment/c", "deployment/a", "deployment/c", ""},
		{"c", "deployment/a deployment/c", "deployment/c", "deployment/a", ""}, // the workload itself is gone
		{"b", "deployment/a", "", "deployment/a", ""},
		{"sts/b", "", "", "", ""},
		{"mistyped", "deployment/a", "", "", "deployment/a"},
		{"mistyped", "", "", "", "deployment/a deployment/b statefulset/b"},
		{"ds/b", "", "", "", "deployment/a deployment/b statefulset/b"},
		{"c a", "deployment/a deployment/c deployment/d", "deployment/c deployment/a", "deployment/d", ""}, // as a file has them
		{"a b", "deployment/a", "deployment/a", "", ""},
	} {
		got, rest, err := undoing(tc.arg).choose(strings.Fields(tc.exposed))
		candidates := ""
		if e := new(manifest.TargetError); errors.As(err, &e) {
			candidates = strings.Join(e.Candidates, " ")
		} else if err != nil {
			t.Errorf("%q of %s: %v", tc.arg, tc.exposed, err)
		}
		if strings.Join(got, " ") != tc.want || candidates != tc.refused || strings.Join(rest, " ") != tc.rest {
			t.Errorf("%q of %s: %q beside %v, refused with %q; want %q beside %s, %q", tc.arg, tc.exposed, got, rest, candidates, tc.want, tc.rest, tc.refused)
		}
	}
}

// TestChooseAll: --all takes every exposure, and needs none.
func TestChooseAll(t *testing.T) {
	u := undoing("")
	u.all, u.o.all = true, true
	for _, exposed := range []string{"", "deployment/a", "deployment/a deployment/c"} {
		got, rest, err := u.choose(strings.Fields(exposed))
		if err != nil || strings.Join(got, " ") != exposed || len(rest) > 0 || strings.Join(u.doc.Workloads, " ") != exposed {
			t.Errorf("of %q: %q beside %q, %v; the report has %q", exposed, got, rest, err, u.doc.Workloads)
		}
	}
}

// TestKeptRoute: a VirtualService that stays and leads calls keeps the whole
// exposure, and is named with the way out.
func TestKeptRoute(t *testing.T) {
	vs := func(name string) plan.State {
		return plan.State{UID: "u-" + name, Labels: map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.srv"},
			Object: map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"gateways": []any{"test/grpc"}}}}
	}
	change := func(name string, a plan.Action) plan.Change {
		return plan.Change{ID: manifest.ID{Kind: "VirtualService", Namespace: "test", Name: name}, UID: "u-" + name, Action: a, Reason: "parts of it were written by kubectl-patch"}
	}
	u := undoing("srv")
	all := []plan.State{vs("srv"), vs("forged")}
	if got := u.conflict("deployment/srv", []plan.Change{change("srv", plan.Delete), change("forged", plan.Keep)}, all); got != nil {
		t.Errorf("a forged one beside it: %v", got)
	}
	got := u.conflict("deployment/srv", []plan.Change{change("srv", plan.Keep)}, all)
	if got == nil || ExitCode(got) != exitConflict || !strings.Contains(got.Error(), "kubectl-patch") || !strings.Contains(got.Error(), "kubectl delete virtualservice srv -n test") {
		t.Errorf("%v, want who wrote into it and how to delete it", got)
	}
}

// TestTellKept: what stays is told with a way out, and a Gateway that others
// lean on is not to be deleted by hand.
func TestTellKept(t *testing.T) {
	keep := func(kind, reason string) plan.Plan {
		return plan.Plan{Changes: []plan.Change{{ID: manifest.ID{Kind: kind, Namespace: "test", Name: "srv"}, Action: plan.Keep, Reason: reason}}}
	}
	for _, tc := range []struct {
		plan plan.Plan
		want string
	}{
		{keep("Service", "parts of it were written by x"), "kubectl delete service srv -n test"},
		{keep("Gateway", "parts of it were written by x"), "kubectl delete gateways.networking.istio.io srv -n test"},
		{keep("Gateway", boundTo+"VirtualService a/b"), "takes it away: grpcmesh unexpose -n test"},
		{plan.Plan{Changes: []plan.Change{{Action: plan.Delete}}}, ""},
	} {
		u := undoing("")
		u.tellKept(tc.plan)
		if got := strings.Join(u.doc.Warnings, ""); !strings.HasSuffix(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%v: %q, want %q", tc.plan.Changes[0].ID, got, tc.want)
		}
	}
}

// TestGoes: a Gateway lets go of a VirtualService's hosts only if that is
// deleted.
func TestGoes(t *testing.T) {
	p := plan.Plan{Changes: []plan.Change{
		{ID: manifest.ID{Kind: "VirtualService", Name: "a"}, Action: plan.Delete},
		{ID: manifest.ID{Kind: "VirtualService", Name: "b"}, Action: plan.Keep},
		{ID: manifest.ID{Kind: "Service", Name: "c"}, Action: plan.Delete},
	}}
	if got := goes(p); len(got) != 1 || got[0] != "a" {
		t.Errorf("%q go, want a", got)
	}
}
