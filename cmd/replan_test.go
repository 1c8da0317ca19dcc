package cmd

import (
	"errors"
	"strings"
	"testing"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// TestUnmoved: what others share is planned anew; what is this exposure's alone
// and another run wrote otherwise is not overruled.
func TestUnmoved(t *testing.T) {
	one := func(kind string, action plan.Action, version string) plan.Plan {
		return plan.Plan{Changes: []plan.Change{{ID: manifest.ID{Kind: kind, Namespace: "test", Name: "server"}, Action: action,
			ResourceVersion: version, Diff: []plan.Field{{Path: "spec.hosts", From: "b", To: "a"}}}}}
	}
	for _, tc := range []struct {
		name          string
		gateway       string // its version when the routes were read
		first, second plan.Plan
		want          string // in the error of the second; empty: none
		stale         bool
	}{
		{"nothing moved", "", one("VirtualService", plan.Update, "7"), one("VirtualService", plan.Update, "7"), "", false},
		{"written by another run meanwhile", "", one("VirtualService", plan.Create, ""), one("VirtualService", plan.Update, "8"), "wants it otherwise: spec.hosts", false},
		{"changed by someone meanwhile", "", one("Service", plan.Update, "7"), one("Service", plan.Update, "8"), "wants it otherwise", false},
		{"written as wanted", "", one("VirtualService", plan.Create, ""), one("VirtualService", plan.Unchanged, "8"), "", false},
		{"a namespace changes often", "", one("Namespace", plan.Update, "7"), one("Namespace", plan.Update, "8"), "", false},
		{"the Gateway since the routes were read", "7", one("Gateway", plan.Update, "7"), one("Gateway", plan.Update, "8"), "changed while", true},
		{"the Gateway as the routes had it", "7", one("Gateway", plan.Update, "7"), one("Gateway", plan.Update, "7"), "", false},
	} {
		r := newReplanning()
		r.gateway = tc.gateway
		if err := r.unmoved(tc.first); err != nil {
			t.Errorf("%s: the first plan: %v", tc.name, err)
		}
		err := r.unmoved(tc.second)
		var conflict *plan.ConflictError
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		} else if !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, tc.want) || conflict.Stale != tc.stale {
			t.Errorf("%s: %v; want a conflict: %s", tc.name, err, tc.want)
		}
	}
}

// TestUnmovedSinceFirstSeen: another run's route that came between this run's
// look at the routes and its first plan is that run's wish, too.
func TestUnmovedSinceFirstSeen(t *testing.T) {
	id := manifest.ID{Kind: "VirtualService", Namespace: "test", Name: "server"}
	p := plan.Plan{Changes: []plan.Change{{ID: id, Action: plan.Update, ResourceVersion: "8"}}}
	r := newReplanning()
	r.saw(id, "")
	r.saw(id, "8") // a later look changes nothing
	if err := r.unmoved(p); !errors.As(err, new(*plan.ConflictError)) {
		t.Errorf("%v; want a conflict", err)
	}
	r = newReplanning()
	r.saw(id, "8")
	if err := r.unmoved(p); err != nil {
		t.Errorf("as it was seen: %v", err)
	}
}
