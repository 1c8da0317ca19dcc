package k8s_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// shelf keeps one object, and minds versions as the API server does: a version
// that the object has not is a conflict, where there is one at all.
type shelf struct {
	hosts   string
	version int
}

func (s *shelf) Get(context.Context, manifest.ID) (*plan.State, error) {
	if s.version == 0 {
		return nil, nil //nolint:nilnil // absent is an answer here
	}
	return s.state(s.hosts), nil
}

func (s *shelf) state(hosts string) *plan.State {
	return &plan.State{ResourceVersion: strconv.Itoa(s.version), Labels: map[string]string{manifest.ManagedBy: manifest.FieldManager},
		Object: map[string]any{"hosts": hosts}}
}

func (s *shelf) Apply(_ context.Context, obj manifest.Object, version string, opts metav1.ApplyOptions) (*plan.State, error) {
	hosts, _ := obj.Apply.Spec.(string)
	if len(opts.DryRun) > 0 {
		return s.state(hosts), nil
	}
	if version != "" && s.version > 0 && version != strconv.Itoa(s.version) {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "gateways"}, obj.Name, errors.New("modified"))
	}
	s.hosts, s.version = hosts, max(s.version+1, 100)
	return s.state(hosts), nil
}

func (s *shelf) Delete(context.Context, manifest.ID, metav1.DeleteOptions) error { return nil }

// TestSettle: two runs that both found no Gateway don't write over each other's:
// the second plans anew, with what the first wrote.
func TestSettle(t *testing.T) {
	store := &shelf{}
	by := k8s.Appliers{"Gateway": store}
	propose := func(host string) plan.Plan {
		t.Helper()
		hosts := strings.TrimSpace(store.hosts + " " + host)
		steps, err := k8s.Propose(t.Context(), by, []manifest.Object{{ID: manifest.ID{Kind: "Gateway", Namespace: "test", Name: "grpc"}, Apply: &manifest.Wanted{Spec: hosts}}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Build(steps)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := propose("a.com"), propose("b.com")
	told := 0
	run := func(p plan.Plan, host string) error {
		return k8s.Settle(t.Context(), func(error) { told++; p = propose(host) }, func(ctx context.Context) error {
			return k8s.Carry(ctx, by, p, func(plan.Change) {})
		})
	}
	if err := errors.Join(run(a, "a.com"), run(b, "b.com")); err != nil {
		t.Fatal(err)
	}
	if store.hosts != "a.com b.com" || told != 1 {
		t.Errorf("the Gateway has %q, planned anew %d times; want both hosts, and once", store.hosts, told)
	}
}

// TestSettleEnds: what never comes to rest is a conflict in the end, and what is
// no change under the run is told at once.
func TestSettleEnds(t *testing.T) {
	n := 0
	try := func(err error) func(context.Context) error {
		return func(context.Context) error { n++; return err }
	}
	err := k8s.Settle(t.Context(), func(error) {}, try(k8s.Changed(manifest.ID{Kind: "Gateway", Namespace: "test", Name: "grpc"})))
	if want := "Gateway/grpc in namespace test: it changed while grpcmesh was at work, 5 times over\n"; n != 5 || err == nil || !strings.HasPrefix(err.Error(), want) ||
		!strings.Contains(err.Error(), "kubectl -n test get gateway grpc -o yaml --show-managed-fields") {
		t.Errorf("after %d tries: %v", n, err)
	}
	n = 0
	if err := k8s.Settle(t.Context(), func(error) {}, try(&plan.ConflictError{Reason: "theirs"})); n != 1 || err == nil {
		t.Errorf("after %d tries: %v; want one", n, err)
	}
	n = 0
	ctx, cancel := context.WithCancel(t.Context())
	if err := k8s.Settle(ctx, func(error) { cancel() }, try(k8s.Changed(manifest.ID{}))); n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %d tries, %v", n, err)
	}
}

// refusing is a Service that is there, and a server that finds what it would
// become invalid.
type refusing struct{ labels map[string]string }

func (r refusing) Get(context.Context, manifest.ID) (*plan.State, error) {
	return &plan.State{ResourceVersion: "7", Labels: r.labels}, nil
}

func (r refusing) Apply(context.Context, manifest.Object, string, metav1.ApplyOptions) (*plan.State, error) {
	return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "server", nil)
}

func (r refusing) Delete(context.Context, manifest.ID, metav1.DeleteOptions) error { return nil }

// TestProposeBesideForeign: that another's object can't become what is wanted
// is a conflict with a way out; that one of ours can't is the server's refusal.
func TestProposeBesideForeign(t *testing.T) {
	for _, labels := range []map[string]string{nil, {manifest.ManagedBy: manifest.FieldManager}} {
		objs := []manifest.Object{{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}}}
		_, err := k8s.Propose(t.Context(), k8s.Appliers{"Service": refusing{labels}}, objs)
		var conflict *plan.ConflictError
		if is := errors.As(err, &conflict); err == nil || is != (labels == nil) {
			t.Errorf("labels %v: %v", labels, err)
		} else if is && !strings.Contains(conflict.Hint, "kubectl -n test get service server") {
			t.Errorf("the hint %q names no way out", conflict.Hint)
		}
	}
}

// TestProposeTellsAll: every refusal is told, and one that several objects meet,
// such as a server that hangs up, once.
func TestProposeTellsAll(t *testing.T) {
	objs := []manifest.Object{{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "one"}}, {ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "two"}}}
	steps, err := k8s.Propose(t.Context(), k8s.Appliers{"Service": refusing{}}, objs)
	if err == nil || steps != nil || !strings.Contains(err.Error(), "Service/one") || !strings.Contains(err.Error(), "Service/two") {
		t.Errorf("steps %v, %v", steps, err)
	}
	_, err = k8s.Propose(t.Context(), k8s.Appliers{"Service": refusing{}}, []manifest.Object{objs[0], objs[0]})
	if err == nil || strings.Count(err.Error(), "Service/one in namespace") != 1 {
		t.Errorf("said twice: %v", err)
	}
}
