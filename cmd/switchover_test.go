package cmd

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// TestInTwo: what a new route leads to is written before it, and what the old
// one led to stays until the new one is live.
func TestInTwo(t *testing.T) {
	selector := func(path, from, to string) plan.Change {
		return plan.Change{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Action: plan.Update, Diff: []plan.Field{{Path: path, From: from, To: to}}}
	}
	vs := plan.Change{ID: manifest.ID{Kind: "VirtualService", Namespace: "test", Name: "server"}, Action: plan.Update}
	rule := func(a plan.Action) plan.Change {
		return plan.Change{ID: manifest.ID{Kind: "DestinationRule", Namespace: "test", Name: "server"}, Action: a}
	}
	const canary = "{spec: {subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}}"
	for _, tc := range []struct {
		name        string
		was         string // the rule; "": none
		wait        bool
		changes     []plan.Change
		first, then string
		held        bool
	}{
		{"a canary begins", "", true, []plan.Change{selector("spec.selector.version", "v1", ""), rule(plan.Create), vs}, "update Service, create DestinationRule", "update VirtualService", false},
		{"it ends", canary, true, []plan.Change{selector("spec.selector.version", "", "v1"), vs, rule(plan.Delete)}, "", "update VirtualService", true},
		{"it ends, and its Service changes otherwise", canary, true, []plan.Change{selector("spec.ports[0].port", "1", "2"), vs, rule(plan.Delete)}, "update Service", "update VirtualService", true},
		{"no one waits", canary, false, []plan.Change{selector("spec.selector.version", "", "v1"), vs, rule(plan.Delete)}, "update Service", "update VirtualService, delete DestinationRule", false},
		{"another version", canary, true, []plan.Change{rule(plan.Update), vs}, "update DestinationRule", "update VirtualService", true},
		{"a rule without subsets goes", "{spec: {}}", true, []plan.Change{vs, rule(plan.Delete)}, "", "update VirtualService, delete DestinationRule", false},
	} {
		x := exposing()
		x.again, x.o.wait = newReplanning(), tc.wait
		x.exposure = manifest.Exposure{Namespace: "test", WorkloadName: "server", Subsets: []manifest.Subset{{Name: "v1"}, {Name: "v3"}}}
		x.exposure.Route.Canary = map[string]int{"v3": 10}
		if tc.was != "" {
			was := &plan.State{}
			if err := yaml.Unmarshal([]byte(tc.was), &was.Object); err != nil {
				t.Fatal(err)
			}
			x.again.keep(x.ruleID(), was)
		}
		x.planned.Changes = tc.changes
		first, then, err := batch{x}.inTwo()
		if err != nil {
			t.Fatal(err)
		}
		words := func(p plan.Plan) string {
			var all []string
			for _, c := range p.Changes {
				all = append(all, string(c.Action)+" "+c.ID.Kind)
			}
			return strings.Join(all, ", ")
		}
		if words(first[0]) != tc.first || words(then[0]) != tc.then || x.again.held != tc.held {
			t.Errorf("%s: %q, then %q, held %v; want %q, %q, %v", tc.name, words(first[0]), words(then[0]), x.again.held, tc.first, tc.then, tc.held)
		}
		if tc.name != "another version" {
			continue
		}
		var subsets []string
		for _, s := range first[0].Changes[0].Object.Apply.Spec.(*networking.DestinationRule).Subsets {
			subsets = append(subsets, s.Name)
		}
		if got := strings.Join(subsets, " "); got != "v1 v3 v2" {
			t.Errorf("the rule has the subsets %s meanwhile", got)
		}
	}
}
