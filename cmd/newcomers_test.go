package cmd

import (
	"context"
	"slices"
	"testing"
	"time"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// TestNewcomers: a pod that comes in the middle is noted before its answers end
// the run as a stranger's; a real stranger does end it.
func TestNewcomers(t *testing.T) {
	stamped := func(address string) probe.Sample {
		return probe.Sample{Stamped: true, Upstream: true, Stamp: probe.Stamp{Backend: address, Flags: "-", Gateway: "g", Connection: "1"}}
	}
	before := []check.Endpoint{{Address: "10.0.0.1:1", Pod: "a", Share: 0.5}, {Address: "10.0.0.2:1", Pod: "b", Share: 0.5}}
	reads := 0
	n := &newcomers{list: func(context.Context) ([]check.Endpoint, error) {
		reads++
		return append(slices.Clone(before), check.Endpoint{Address: "10.0.0.3:1", Pod: "c"}), nil
	}}
	e := &check.Evidence{Rung: check.RungRoute, Alpha: 0.001, Expected: before}
	for range 12 {
		for _, address := range []string{"10.0.0.1:1", "10.0.0.3:1"} {
			e.Samples = append(e.Samples, stamped(address))
			n.note(t.Context(), e, address)
		}
	}
	if !slices.Equal(e.Changed, []string{"c (10.0.0.3:1) came"}) || reads != 1 {
		t.Errorf("changed %q after %d reads; want the newcomer once, of one", e.Changed, reads)
	}
	if check.Enough(*e) {
		t.Error("the newcomer's answers end the run")
	}
	start := time.Now()
	e.Samples = append(e.Samples, stamped("10.9.9.9:1"))
	n.note(t.Context(), e, "10.9.9.9:1")
	n.note(t.Context(), e, "10.9.9.9:1")
	if len(e.Changed) != 1 || !check.Enough(*e) {
		t.Errorf("changed %q; want the stranger to be one, and the run's end", e.Changed)
	}
	if reads != 3 || time.Since(start) < readAgain {
		t.Errorf("%d reads of the endpoints in %s, want 3, %s apart", reads, time.Since(start), readAgain)
	}
	n.list = func(context.Context) ([]check.Endpoint, error) { return nil, errUnderTest }
	if n.note(t.Context(), e, "10.0.0.4:1"); len(e.Changed) != 1 {
		t.Errorf("changed %q by endpoints that can't be read", e.Changed)
	}
}
