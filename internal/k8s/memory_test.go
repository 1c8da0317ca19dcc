package k8s

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	k8stesting "k8s.io/client-go/testing"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/typed/fake"
)

func labelledPod(namespace, name string, l labels.Set) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: l}}
}

// TestRemembering: each kind is listed once as far as the reach goes, again when
// it is forgotten, and namespace by namespace where it must be.
func TestRemembering(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reach Reach
		may   bool // list in all namespaces
		lists string
	}{
		{"a few namespaces", Namespaces, true, "a b a"},
		{"many", Everywhere, true, "* *"},
		{"many, each by itself", Everywhere, false, "* a b * a"},
		{"one workload", Asked, true, "a/app=x a/app in (x),tier b/app=x a/app=x"},
	} {
		core := fake.NewClientset(labelledPod("a", "one", labels.Set{"app": "x", "tier": "1"}), labelledPod("a", "two", labels.Set{"app": "y"}), labelledPod("b", "three", labels.Set{"app": "x"}))
		var lists []string
		core.PrependReactor("list", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
			of := action.GetNamespace()
			if of == "" {
				of = "*"
			}
			if s := action.(k8stesting.ListAction).GetListRestrictions().Labels; !s.Empty() {
				of += "/" + s.String()
			}
			lists = append(lists, of)
			if of == "*" && !tc.may {
				return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no"))
			}
			return false, nil, nil
		})
		c := (&Cluster{Core: core}).Remembering(tc.reach)
		names := func(namespace, selector string) string {
			s, err := labels.Parse(selector)
			if err != nil {
				t.Fatal(err)
			}
			pods, err := c.PodsBy(t.Context(), namespace, s)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range pods {
				names = append(names, p.Name)
			}
			return strings.Join(names, " ")
		}
		for range 2 {
			for _, ask := range [][3]string{{"a", "app=x", "one"}, {"a", "app in (x),tier", "one"}, {"b", "app=x", "three"}} {
				if got := names(ask[0], ask[1]); got != ask[2] {
					t.Errorf("%s: %s of %s: %q, want %q", tc.name, ask[1], ask[0], got, ask[2])
				}
			}
		}
		c.Forget("Pod")
		_ = names("a", "app=x")
		if got := strings.Join(lists, " "); got != tc.lists {
			t.Errorf("%s: listed %s, want %s", tc.name, got, tc.lists)
		}
	}
}

// TestSelectingByMark: a Service is found by its selector whichever labels a
// pod has beside.
func TestSelectingByMark(t *testing.T) {
	svc := func(name string, selector map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Spec: corev1.ServiceSpec{Selector: selector}}
	}
	c := &Cluster{Core: fake.NewClientset(svc("both", map[string]string{"app": "x", "tier": "1"}), svc("narrower", map[string]string{"app": "x", "zone": "1"}),
		svc("tier", map[string]string{"tier": "1"}), svc("none", nil))}
	found, err := c.Selecting(t.Context(), "a", map[string]string{"app": "x", "tier": "1"})
	var names []string
	for _, s := range found {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); err != nil || got != "both tier" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAtOnce: no more than InFlight are under way, and all are told of in order.
func TestAtOnce(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	var told []int
	AtOnce(100, InFlight, func(i int) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(time.Duration(100-i) * 10 * time.Microsecond)
		mu.Lock()
		now--
		mu.Unlock()
	}, func(i int) { told = append(told, i) })
	if most > InFlight || most < 2 || len(told) != 100 || !slices.IsSorted(told) {
		t.Errorf("%d at once, told of %v", most, told)
	}
}

// ledger notes what was applied.
type ledger struct {
	Applier
	mu    sync.Mutex
	asked []string
	fails string
}

func (l *ledger) Apply(_ context.Context, obj manifest.Object, _ string, _ metav1.ApplyOptions) (*plan.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, obj.String())
	if obj.String() == l.fails {
		return nil, errors.New("no")
	}
	return nil, nil //nolint:nilnil // what it would be is not looked at
}

// TestCarryAll: what is pointed at is written before what points, and nothing
// of a later kind once one has failed.
func TestCarryAll(t *testing.T) {
	of := func(ids ...manifest.ID) plan.Plan {
		var p plan.Plan
		for _, id := range ids {
			p.Changes = append(p.Changes, plan.Change{ID: id, Action: plan.Create, Object: manifest.Object{ID: id}})
		}
		return p
	}
	id := func(kind, name string) manifest.ID { return manifest.ID{Kind: kind, Name: name} }
	plans := []plan.Plan{of(id("Service", "a"), id("Gateway", "g"), id("Route", "a")), of(id("Namespace", "n"), id("Service", "b"), id("Rule", "b"), id("Route", "b"))}
	for _, tc := range []struct{ fails, done, last string }{
		{"", "Namespace/n Service/a Service/b Gateway/g Rule/b Route/a Route/b", "Route"},
		{"Service/b", "Namespace/n Service/a", "Service"},
	} {
		l := &ledger{fails: tc.fails}
		var done []string
		err := CarryAll(t.Context(), Appliers{"Namespace": l, "Service": l, "Gateway": l, "Rule": l, "Route": l}, plans, func(_ int, c plan.Change) { done = append(done, c.ID.String()) })
		got := strings.Join(done, " ")
		if got == "Namespace/n" && tc.fails != "" { // the other Service may not have been begun
			got = tc.done
		}
		if (err != nil) != (tc.fails != "") || got != strings.ReplaceAll(tc.done, "Gateway/g Rule/b", "Rule/b Gateway/g") && got != tc.done || !strings.HasPrefix(l.asked[len(l.asked)-1], tc.last) {
			t.Errorf("failing %q: %v, done %s, asked %v", tc.fails, err, got, l.asked)
		}
	}
}

// TestObservedTogether: however many workloads wait for their controller, each
// kind is listed for all of them, and none is read by itself.
func TestObservedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workloads = 20
		core := fake.NewClientset()
		all := make([]*appsv1.Deployment, workloads)
		for i := range all {
			name := fmt.Sprint("app", i)
			all[i] = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test", UID: types.UID(name), Generation: 2},
				Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}}
			if err := core.Tracker().Add(all[i]); err != nil {
				t.Fatal(err)
			}
		}
		c := (&Cluster{Core: core}).Remembering(Namespaces)
		time.AfterFunc(2*time.Second, func() {
			for _, d := range all {
				seen := d.DeepCopy()
				seen.Status.ObservedGeneration = 2
				if err := core.Tracker().Update(appsv1.SchemeGroupVersion.WithResource("deployments"), seen, "test"); err != nil {
					t.Error(err)
				}
			}
		})
		var wg sync.WaitGroup
		for _, d := range all {
			wg.Go(func() {
				if w, err := c.Observed(t.Context(), fromDeployment(d)); err != nil || !w.observed {
					t.Error(w, err)
				}
			})
		}
		wg.Wait()
		lists := 0
		for _, a := range core.Actions() {
			if a.GetVerb() == "get" {
				t.Fatalf("one was read by itself: %v", a)
			}
			if a.GetResource().Resource == "deployments" {
				lists++
			}
		}
		if lists < 3 || lists > 12 {
			t.Errorf("the Deployments were listed %d times", lists)
		}
	})
}
