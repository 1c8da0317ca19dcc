package plan_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// state makes a State of an object given as JSON.
func state(t interface {
	Helper()
	Fatal(args ...any)
}, object string) *plan.State {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		t.Fatal(err, object)
	}
	s := &plan.State{UID: "u", ResourceVersion: "7", Object: o, Labels: map[string]string{}}
	if meta, ok := o["metadata"].(map[string]any); ok {
		labels, _ := meta["labels"].(map[string]any)
		for k, v := range labels {
			if text, ok := v.(string); ok {
				s.Labels[k] = text
			}
		}
	}
	return s
}

func want(kind string) manifest.Object {
	id := manifest.ID{Kind: kind, Namespace: "test", Name: "server"}
	if kind == "Namespace" {
		id = manifest.ID{Kind: kind, Name: "test"}
	}
	return manifest.Object{ID: id, Apply: &manifest.Wanted{Spec: "what is to be applied"}}
}

const (
	ours      = `"app.kubernetes.io/managed-by":"grpcmesh","grpcmesh.dev/workload":"deployment.server"`
	oursOther = `"app.kubernetes.io/managed-by":"grpcmesh","grpcmesh.dev/workload":"statefulset.server"`
	theirs    = `"app.kubernetes.io/managed-by":"Helm"`
)

func object(labels, port string) string {
	return `{"metadata":{"labels":{` + labels + `},"resourceVersion":"1"},"spec":{"port":` + port + `}}`
}

func TestBuild(t *testing.T) {
	changed := []plan.Field{{Path: "spec.port", From: "1", To: "2"}}
	for _, tc := range []struct {
		name      string
		kind      string
		live, dry string // empty: not there
		action    plan.Action
		diff      []plan.Field
		conflict  string // in the reason; empty: no conflict
	}{
		{"nothing there", "Service", "", object(ours, "1"), plan.Create, nil, ""},
		{"no namespace there", "Namespace", "", object("", "1"), plan.Create, nil, ""},
		{"ours, differs", "Service", object(ours, "1"), object(ours, "2"), plan.Update, changed, ""},
		{"ours, the same", "Service", object(ours, "1"), object(ours, "1"), plan.Unchanged, nil, ""},
		{"ours, only the server's fields differ", "Service",
			`{"metadata":{"labels":{` + ours + `},"resourceVersion":"1","generation":1,"uid":"a","managedFields":[{"time":"1"}]},"status":{"a":1},"spec":{}}`,
			`{"metadata":{"labels":{` + ours + `},"resourceVersion":"2","generation":2,"uid":"b","managedFields":[],"creationTimestamp":"x"},"status":{"a":2},"spec":{}}`,
			plan.Unchanged, nil, ""},
		{"ours, of another workload", "Service", object(oursOther, "1"), object(ours, "1"), "", nil, "GM172: Service/server in namespace test: grpcmesh made it for another workload (statefulset.server)"},
		{"theirs, differs", "Service", object(theirs, "1"), object(ours, "2"), "", nil, "was not made by grpcmesh; it differs in spec.port"},
		{"theirs, the same but for our labels", "Service", object(theirs, "1"), object(ours, "1"), plan.Reuse, nil, ""},
		{"theirs, the same but for our marks", "VirtualService", `{"metadata":{"annotations":{"a":"b"}},"spec":{"port":1}}`,
			`{"metadata":{"annotations":{"a":"b","grpcmesh.dev/gateway-port":"80"},"labels":{"app.kubernetes.io/managed-by":"grpcmesh"}},"spec":{"port":1}}`, plan.Reuse, nil, ""},
		{"theirs, without annotations", "VirtualService", `{"metadata":{},"spec":{"port":1}}`, `{"metadata":{"annotations":{"grpcmesh.dev/gateway-port":"80"}},"spec":{"port":1}}`, plan.Reuse, nil, ""},
		{"nobody's, the same", "Service", `{"metadata":{},"spec":{"port":1}}`, object(ours, "1"), plan.Reuse, nil, ""},
		{"nobody's, differs", "Service", `{"metadata":{},"spec":{"port":1}}`, object(ours, "2"), "", nil, "it differs in spec.port"},
		{"forged label of another kind", "Gateway", object(`"grpcmesh.dev/workload":"deployment.server"`, "1"), object(ours, "2"), "", nil, "was not made by grpcmesh"},
		{"the Gateway is every workload's", "Gateway",
			object(`"app.kubernetes.io/managed-by":"grpcmesh"`, "1"), object(`"app.kubernetes.io/managed-by":"grpcmesh"`, "2"), plan.Update, changed, ""},
		{"a namespace is never foreign", "Namespace", object(theirs, "1"), object(theirs+`,"istio-injection":"enabled"`, "1"), plan.Update,
			[]plan.Field{{Path: "metadata.labels.istio-injection", To: "enabled"}}, ""},
		{"a namespace that is as it should be", "Namespace", object(theirs, "1"), object(theirs, "1"), plan.Unchanged, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := plan.Step{Want: want(tc.kind), Dry: state(t, tc.dry)}
			version := ""
			if tc.live != "" {
				step.Live, version = state(t, tc.live), "7"
			}
			p, err := plan.Build([]plan.Step{step})
			if tc.conflict != "" {
				var conflict *plan.ConflictError
				if !errors.As(err, &conflict) {
					t.Fatalf("Build: %v; want a ConflictError", err)
				}
				if conflict.ID != step.Want.ID || !strings.Contains(err.Error(), tc.conflict) {
					t.Errorf("conflict of %s: %q; want of %s: %q", conflict.ID, conflict.Reason, step.Want.ID, tc.conflict)
				}
				if len(p.Changes) != 0 {
					t.Errorf("a plan beside the conflict: %v", p.Changes)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := p.Changes[0]
			if got.Action != tc.action || got.ID != step.Want.ID || got.ResourceVersion != version || got.Object != step.Want {
				t.Errorf("change = %+v; want %s of %s at version %q", got, tc.action, step.Want.ID, version)
			}
			if diff := cmp.Diff(tc.diff, got.Diff); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
			writes := 0
			if tc.action == plan.Create || tc.action == plan.Update {
				writes = 1
			}
			if p.Writes() != writes {
				t.Errorf("the plan counts %d writes, want %d", p.Writes(), writes)
			}
		})
	}
}

// TestBuildInOrder: what is pointed at is written before what points; and one
// conflict anywhere means that nothing is written at all.
func TestBuildInOrder(t *testing.T) {
	var steps []plan.Step
	for _, kind := range []string{"Namespace", "Service", "Gateway", "VirtualService"} {
		steps = append(steps, plan.Step{Want: want(kind), Dry: state(t, object(ours, "1"))})
	}
	steps[1].Live = state(t, object(ours, "1"))
	p, err := plan.Build(steps)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Changes {
		got = append(got, string(c.Action)+" "+c.ID.Kind)
	}
	if s := strings.Join(got, ", "); s != "create Namespace, unchanged Service, create Gateway, create VirtualService" {
		t.Errorf("plan: %s", s)
	}
	if p.Writes() != 3 {
		t.Errorf("Writes = %d, want 3", p.Writes())
	}
	steps[3].Live = state(t, object(theirs, "2"))
	if p, err = plan.Build(steps); err == nil || len(p.Changes) != 0 {
		t.Errorf("Build with a conflict at its end = %v, %v; want no plan", p, err)
	}
	steps[2].Live = state(t, object(`"app.kubernetes.io/managed-by":"someone"`, "2"))
	_, err = plan.Build(steps)
	for _, kind := range []string{"Gateway/", "VirtualService/"} {
		if err == nil || !strings.Contains(err.Error(), "GM170: "+kind) {
			t.Errorf("Build with two conflicts: %v; want %s told", err, kind)
		}
	}
}

func TestWrites(t *testing.T) {
	writes := map[plan.Action]bool{plan.Create: true, plan.Update: true, plan.Restart: true, plan.Unchanged: false, plan.Reuse: false}
	for action, want := range writes {
		if got := (plan.Change{Action: action}).Writes(); got != want {
			t.Errorf("%s writes: %v, want %v", action, got, want)
		}
	}
}

func TestConflictError(t *testing.T) {
	e := &plan.ConflictError{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Reason: "it is theirs", Hint: "Rename it."}
	if got, want := e.Error(), "Service/server in namespace test: it is theirs\nRename it."; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	e = &plan.ConflictError{ID: manifest.ID{Kind: "Namespace", Name: "test"}, Reason: "r"}
	if got, want := e.Error(), "Namespace/test: r"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestDiff(t *testing.T) {
	for _, tc := range []struct {
		name, from, to string
		want           []plan.Field
	}{
		{"the same", `{"a":1}`, `{"a":1}`, nil},
		{"both empty", `{}`, `{}`, nil},
		{"a value", `{"spec":{"a":1}}`, `{"spec":{"a":2}}`, []plan.Field{{Path: "spec.a", From: "1", To: "2"}}},
		{"text without quotes", `{"a":"x"}`, `{"a":"y z"}`, []plan.Field{{Path: "a", From: "x", To: "y z"}}},
		{"one more", `{"a":{"b":1}}`, `{"a":{"b":1,"c":true}}`, []plan.Field{{Path: "a.c", To: "true"}}},
		{"one less", `{"a":{"b":1,"c":[1]}}`, `{"a":{"b":1}}`, []plan.Field{{Path: "a.c", From: "[1]"}}},
		{"a whole object", `{}`, `{"a":{"b":1}}`, []plan.Field{{Path: "a", To: `{"b":1}`}}},
		{"null is as absent", `{"a":null}`, `{}`, nil},
		{"in a list", `{"p":[{"n":1},{"n":2}]}`, `{"p":[{"n":1},{"n":3}]}`, []plan.Field{{Path: "p[1].n", From: "2", To: "3"}}},
		{"a longer list", `{"p":[1]}`, `{"p":[1,2]}`, []plan.Field{{Path: "p", From: "[1]", To: "[1,2]"}}},
		{"another type", `{"p":[1]}`, `{"p":{"a":1}}`, []plan.Field{{Path: "p", From: "[1]", To: `{"a":1}`}}},
		{"in the order of paths", `{"b":1,"a":1,"c":{"y":1,"x":1}}`, `{"b":2,"a":2,"c":{"y":2,"x":2}}`, []plan.Field{
			{Path: "a", From: "1", To: "2"}, {Path: "b", From: "1", To: "2"}, {Path: "c.x", From: "1", To: "2"}, {Path: "c.y", From: "1", To: "2"}}},
		{"the server's fields",
			`{"metadata":{"managedFields":1,"resourceVersion":1,"generation":1,"uid":1,"creationTimestamp":1,"name":"a"},"status":1}`,
			`{"metadata":{"managedFields":2,"resourceVersion":2,"generation":2,"uid":2,"creationTimestamp":2,"name":"a"},"status":{"x":1}}`, nil},
		{"a status that is not the server's", `{"spec":{"status":1}}`, `{"spec":{"status":2}}`, []plan.Field{{Path: "spec.status", From: "1", To: "2"}}},
	} {
		got := plan.Diff(state(t, tc.from).Object, state(t, tc.to).Object)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	if got := plan.Diff(nil, map[string]any{"a": "b"}); !cmp.Equal(got, []plan.Field{{Path: "a", To: "b"}}) {
		t.Errorf("Diff from nothing = %v", got)
	}
}

// values draws JSON values.
func values(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any](""),
		rapid.Map(rapid.Float64Range(-9, 9), func(f float64) any { return f }),
		rapid.Map(rapid.StringN(0, 4, -1), func(s string) any { return s }),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(values(depth-1), 0, 3), func(l []any) any { return l }),
		rapid.Map(objects(depth-1), func(m map[string]any) any { return m }))
}

func objects(depth int) *rapid.Generator[map[string]any] {
	keys := rapid.SampledFrom([]string{"metadata", "spec", "labels", "a", "status", "uid"})
	return rapid.MapOfN(keys, values(depth), 0, 4)
}

// TestDiffOfTheSame: an object doesn't differ from itself, nor from what it is
// after a way over the wire.
func TestDiffOfTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := objects(3).Draw(t, "x")
		if got := plan.Diff(x, x); len(got) != 0 {
			t.Errorf("Diff(x, x) = %v", got)
		}
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Diff(x, state(t, string(b)).Object); len(got) != 0 {
			t.Errorf("Diff(x, x over the wire) = %v", got)
		}
	})
}

// TestDiffBothWays: the way back is the same fields with their sides swapped.
func TestDiffBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := objects(3).Draw(t, "x"), objects(3).Draw(t, "y")
		forth, back := plan.Diff(x, y), plan.Diff(y, x)
		for i := range back {
			back[i].From, back[i].To = back[i].To, back[i].From
		}
		if diff := cmp.Diff(forth, back); diff != "" {
			t.Errorf("there and back differ (-there +back):\n%s", diff)
		}
	})
}

// TestDiffMissesNothing: one value that was altered outside of what the server
// alone keeps is always told.
func TestDiffMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := objects(3).Draw(t, "x")
		y := maps.Clone(x)
		if y == nil {
			y = map[string]any{}
		}
		y["altered"] = map[string]any{"deep": []any{rapid.IntRange(1, 9).Draw(t, "n")}}
		got := plan.Diff(x, y)
		if !slices.ContainsFunc(got, func(f plan.Field) bool { return strings.HasPrefix(f.Path, "altered") && f.From == "" }) {
			t.Errorf("Diff = %v: what was altered is not in it", got)
		}
	})
}

// TestForeignIsNeverUpdated: whatever an object looks like, if it isn't
// grpcmesh's then no plan updates it: it is used as it is where only the labels
// that say who made it would differ, and else nothing at all is planned.
func TestForeignIsNeverUpdated(t *testing.T) {
	kinds := rapid.SampledFrom([]string{"Service", "Gateway", "VirtualService"})
	labelSets := rapid.MapOfN(
		rapid.SampledFrom([]string{"app", "grpcmesh.dev/workload", "app.kubernetes.io/managed-by", "team"}),
		rapid.SampledFrom([]string{"Helm", "deployment.server", "a", "", "Grpcmesh", "grpcmesh "}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		labels := labelSets.Draw(t, "labels")
		spec := values(3).Draw(t, "spec")
		differs := rapid.Bool().Draw(t, "differs")
		asJSON := map[string]any{}
		for k, v := range labels {
			asJSON[k] = v
		}
		live := map[string]any{"spec": spec, "metadata": map[string]any{"labels": asJSON}}
		withOurs := maps.Clone(asJSON)
		withOurs[manifest.ManagedBy], withOurs[manifest.WorkloadLabel] = manifest.FieldManager, "deployment.server"
		dry := map[string]any{"spec": spec, "metadata": map[string]any{"labels": withOurs}}
		if differs {
			dry["extra"] = "more"
		}
		dryLabels := maps.Clone(labels)
		if dryLabels == nil {
			dryLabels = map[string]string{}
		}
		dryLabels[manifest.ManagedBy], dryLabels[manifest.WorkloadLabel] = manifest.FieldManager, "deployment.server"
		step := plan.Step{
			Want: want(kinds.Draw(t, "kind")),
			Live: &plan.State{Labels: labels, Object: live},
			Dry:  &plan.State{Labels: dryLabels, Object: dry},
		}
		p, err := plan.Build([]plan.Step{step})
		if differs {
			var conflict *plan.ConflictError
			if !errors.As(err, &conflict) || len(p.Changes) != 0 {
				t.Fatalf("Build = %v, %v; want a ConflictError alone", p, err)
			}
			return
		}
		if err != nil || p.Changes[0].Action != plan.Reuse || p.Writes() != 0 {
			t.Fatalf("Build = %v, %v; want it reused, nothing written", p, err)
		}
	})
}

// TestWhole: of an object that is to be made every field is told, as it is sent.
func TestWhole(t *testing.T) {
	e := manifest.Exposure{Namespace: "test", WorkloadName: "server", WorkloadKind: "Deployment", Selector: map[string]string{"app": "server"}, Port: 8000, TargetPort: 50051}
	fields, err := plan.Whole(e.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields {
		if f.From != "" {
			t.Errorf("%s was %q before there was anything", f.Path, f.From)
		}
		got = append(got, f.Path+"="+f.To)
	}
	for _, want := range []string{"kind=Service", "metadata.name=server", "spec.ports[0].targetPort=50051", "spec.selector.app=server", "spec.type=ClusterIP"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing of %v", want, got)
		}
	}
	if !slices.IsSortedFunc(fields, func(a, b plan.Field) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("out of order: %v", got)
	}
}
