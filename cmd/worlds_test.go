package cmd

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"grpcmesh/internal/fieldowners"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// TestWorldsForeign: whatever others make and write between runs of expose and
// unexpose, nothing of theirs is overwritten or deleted; a run that is refused
// has written nothing; and one that comes again has nothing to write.
func TestWorldsForeign(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.furnish(t)
		for range rapid.IntRange(0, 4).Draw(t, "before") {
			w.meddle(t)
		}
		for range rapid.IntRange(1, 2).Draw(t, "runs") {
			before, written := w.snapshot(), len(w.Writes)
			if rapid.IntRange(0, 2).Draw(t, "run") == 0 {
				workload := rapid.SampledFrom(workloads).Draw(t, "workload")
				err := w.unexpose(workload)
				refusedCleanly(t, w, err, written)
				holdUnexposed(t, before, w.Objects, workload)
			} else {
				v := drawWish(t)
				err := w.expose(v)
				refusedCleanly(t, w, err, written)
				holdExposed(t, before, w.Objects)
				if err == nil {
					again(t, w, v)
				}
			}
			for range rapid.IntRange(0, 2).Draw(t, "after") {
				w.meddle(t)
			}
		}
	})
}

func refusedCleanly(t *rapid.T, w *world, err error, written int) {
	if !expected(err) {
		t.Fatalf("ended by %v", err)
	}
	if err != nil && len(w.Writes) != written {
		t.Fatalf("wrote %v, then refused: %v", w.Writes[written:], err)
	}
}

func again(t *rapid.T, w *world, v wish) {
	x, err := w.exposes(v)
	if err != nil {
		t.Fatalf("a second run of %+v is refused: %v", v, err)
	}
	if x.planned.Writes() != 0 {
		t.Fatalf("a second run of %+v writes: %+v", v, x.planned.Changes)
	}
}

// holdExposed: what was not grpcmesh's is as it was, the namespace's injection
// label aside, and of what was, every field that someone else owns.
func holdExposed(t *rapid.T, before, after map[manifest.ID]*unstructured.Unstructured) {
	for id, was := range before {
		is := after[id]
		if is == nil {
			t.Fatalf("%s: expose deleted it", id)
		}
		holdFields(t, id, was, is)
		if id == namespaceID {
			labels := is.GetLabels()
			if _, had := was.GetLabels()["istio-injection"]; !had {
				delete(labels, "istio-injection")
			}
			if diff := cmp.Diff(was.GetLabels(), labels); diff != "" {
				t.Fatalf("the namespace's labels (-before +after):\n%s", diff)
			}
		} else if was.GetLabels()[manifest.ManagedBy] != manifest.FieldManager {
			holdWhole(t, id, was, is)
		}
	}
}

// holdUnexposed: only what grpcmesh applied for the workload, carries its label
// and no one else has written into is deleted; the rest is as expose leaves it.
func holdUnexposed(t *rapid.T, before, after map[manifest.ID]*unstructured.Unstructured, workload string) {
	for id, was := range before {
		is := after[id]
		if is == nil {
			foreign, applied := fieldowners.ForeignSpec(was)
			ours := was.GetLabels()[manifest.ManagedBy] == manifest.FieldManager && applied && !foreign
			whose := was.GetLabels()[manifest.WorkloadLabel]
			if !ours || id == namespaceID || id.Kind != "Gateway" && whose != "deployment."+workload || id.Kind == "Gateway" && id.Name != manifest.GatewayName {
				t.Fatalf("%s was deleted, though %s is its workload, its label is %q, grpcmesh applied it: %v, others wrote into its spec: %v",
					id, whose, was.GetLabels()[manifest.ManagedBy], applied, foreign)
			}
			continue
		}
		holdFields(t, id, was, is)
		if id != namespaceID && was.GetLabels()[manifest.ManagedBy] != manifest.FieldManager {
			holdWhole(t, id, was, is)
		}
	}
	for id := range after {
		if before[id] == nil {
			t.Fatalf("%s: unexpose made it", id)
		}
	}
}

func holdWhole(t *rapid.T, id manifest.ID, was, is *unstructured.Unstructured) {
	if diff := cmp.Diff(was.Object, is.Object); diff != "" {
		t.Fatalf("%s is not grpcmesh's, and was written into (-before +after):\n%s", id, diff)
	}
}

func holdFields(t *rapid.T, id manifest.ID, was, is *unstructured.Unstructured) {
	mine, now := fieldowners.Theirs(was), fieldowners.Theirs(is)
	for path, value := range mine {
		if got, ok := now[path]; !ok || got != value {
			t.Fatalf("%s: field %s was %s, and is %q (still owned: %v)", id, path, value, got, ok)
		}
	}
}

// TestWorldsUndone: in a world where grpcmesh has made nothing yet, unexpose
// after expose leaves all as it was; and after a second exposure, as the first
// left it.
func TestWorldsUndone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.furnish(t)
		for range rapid.IntRange(0, 2).Draw(t, "before") {
			w.meddle(t)
		}
		unforge(w)
		var steps []map[manifest.ID]*unstructured.Unstructured
		var done []string
		for _, workload := range workloads {
			v := drawWish(t)
			v.Workload = workload
			before := w.snapshot()
			if w.expose(v) != nil {
				continue
			}
			steps, done = append(steps, before), append(done, workload)
		}
		for i := len(done) - 1; i >= 0; i-- {
			if err := w.unexpose(done[i]); err != nil {
				t.Fatalf("undoing %s: %v", done[i], err)
			}
			same(t, steps[i], w.Objects)
		}
	})
}

// unforge takes away what says that grpcmesh made it and did not, and routes
// bound to the Gateway that grpcmesh is to make: it stays for their sake.
func unforge(w *world) {
	for id, u := range w.Objects {
		if id == namespaceID {
			continue
		}
		gateways, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "gateways")
		if u.GetLabels()[manifest.ManagedBy] == manifest.FieldManager || slices.Contains(gateways, "test/grpc") {
			delete(w.Objects, id)
		}
	}
}

func same(t *rapid.T, before, after map[manifest.ID]*unstructured.Unstructured) {
	for id, was := range before {
		if after[id] == nil {
			t.Fatalf("%s is gone", id)
		}
		if fields := plan.Diff(was.Object, after[id].Object); len(fields) > 0 {
			t.Fatalf("%s is not as it was: %+v", id, fields)
		}
	}
	for id := range after {
		if before[id] == nil {
			t.Fatalf("%s is left", id)
		}
	}
}
