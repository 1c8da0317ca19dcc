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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"grpcmesh/internal/typed/fake"
)

// TestTogether: however many wait in a namespace, each kind is listed once and
// watched once, and each wait is told of its own pods, as soon as they change.
func TestTogether(t *testing.T) {
	t.Parallel()
	const waits = 8
	synctest.Test(t, func(t *testing.T) {
		core := fake.NewClientset()
		add := func(o runtime.Object) {
			if err := core.Tracker().Add(o); err != nil {
				t.Error(err)
			}
		}
		for i := range waits {
			set := badSet()
			set.Name, set.UID, set.Status.UpdateRevision = fmt.Sprint("bad", i), types.UID(fmt.Sprint("bad", i)), fmt.Sprint("bad", i, "-r")
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": set.Name}}
			add(set)
		}
		c, stop := (&Cluster{Core: core}).Watching(t.Context(), Namespaces)
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		start := time.Now()
		time.AfterFunc(5*time.Second, func() {
			for i := range waits {
				pod := crashing(1)
				pod.Name, pod.UID = fmt.Sprint("bad", i, "-1"), types.UID(fmt.Sprint("p", i))
				pod.Labels = map[string]string{"app": fmt.Sprint("bad", i), appsv1.ControllerRevisionHashLabelKey: fmt.Sprint("bad", i, "-r")}
				add(&pod)
			}
		})
		told := make([][]string, waits)
		var wg sync.WaitGroup
		for i := range waits {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond) // none begins with another
				name := fmt.Sprint("bad", i)
				w := Workload{Kind: "StatefulSet", Namespace: "test", Name: name, UID: types.UID(name), Replicas: 2,
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}
				_ = c.Live().Beside(ctx, w, func(s string) { told[i] = append(told[i], fmt.Sprint(time.Since(start), " ", s)) },
					func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			})
		}
		wg.Wait()
		stop()
		for i := range told {
			if want := fmt.Sprintf("%s pod bad%d-1: container app: CrashLoopBackOff", 5*time.Second+gather, i); len(told[i]) != 1 || !strings.HasPrefix(told[i][0], want) {
				t.Errorf("the wait for bad%d was told %q, want %q", i, told[i], want)
			}
		}
		asked := map[string]int{}
		for _, a := range core.Actions() {
			asked[a.GetVerb()+" "+a.GetResource().Resource]++
		}
		for _, kind := range []string{"statefulsets", "pods", "events"} {
			for _, verb := range []string{"list", "watch"} {
				if asked[verb+" "+kind] != 1 {
					t.Errorf("%d times: %s %s", asked[verb+" "+kind], verb, kind)
				}
				delete(asked, verb+" "+kind)
			}
		}
		if len(asked) > 0 {
			t.Errorf("also asked: %v", asked)
		}
	})
}

// script is a source that notes when it is asked for what.
type script struct {
	start time.Time
	mu    sync.Mutex
	asked []string
	has   []runtime.Object
	lists func() error
	each  func(ctx context.Context, n int, w *watch.RaceFreeFakeWatcher) error // the n-th watch
	n     int
}

func (s *script) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf("%s "+format, append([]any{time.Since(s.start).Round(100 * time.Millisecond)}, args...)...))
}

func (s *script) source() source {
	return source{
		list: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			s.note("list")
			if s.lists != nil {
				return nil, s.lists()
			}
			list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "10"}}
			for _, o := range s.has {
				list.Items = append(list.Items, *o.(*corev1.Pod))
			}
			return list, nil
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			s.note("watch from %s for %d s", opts.ResourceVersion, *opts.TimeoutSeconds)
			w := watch.NewRaceFreeFake()
			s.n++
			return w, s.each(ctx, s.n, w)
		},
	}
}

func podAt(name, version string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: version}}
}

// faults: 16
//
// TestMirror: a watch that ended in its time is gone on with, from where it was.
// After any other end, or silence, all is listed anew, once a second at most; so
// it is where this user may not watch. What may not be listed is not asked again.
func TestMirror(t *testing.T) {
	t.Parallel()
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("not this user"))
	for name, tc := range map[string]struct {
		lists error
		each  func(ctx context.Context, n int, w *watch.RaceFreeFakeWatcher) error
		asked []string // of the first 30 s
		holds string   // names, at the end
		fails bool
	}{
		"in time": {each: func(_ context.Context, n int, w *watch.RaceFreeFakeWatcher) error {
			time.AfterFunc(time.Second, func() {
				if n == 1 {
					w.Delete(podAt("a", "11"))
					w.Add(podAt("b", "12"))
					w.Modify(podAt("b", "13"))
					w.Action(watch.Bookmark, podAt("", "17"))
				}
			})
			time.AfterFunc(watchFor, w.Stop)
			return nil
		}, asked: []string{"0s list", "0s watch from 10 for 20 s", "20s watch from 17 for 20 s"}, holds: "b 13"},
		"closed at once": {each: func(_ context.Context, n int, w *watch.RaceFreeFakeWatcher) error {
			if n < 3 {
				w.Stop()
			}
			return nil
		}, asked: []string{"0s list", "0s watch from 10 for 20 s", "1s list", "1s watch from 10 for 20 s", "2s list", "2s watch from 10 for 20 s", "25s list", "25s watch from 10 for 20 s"}, holds: "a 1"},
		"expired": {each: func(_ context.Context, n int, w *watch.RaceFreeFakeWatcher) error {
			if n == 1 {
				w.Error(&metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired})
			}
			return nil
		}, asked: []string{"0s list", "0s watch from 10 for 20 s", "1s list", "1s watch from 10 for 20 s", "24s list", "24s watch from 10 for 20 s"}, holds: "a 1"},
		"refused from the start": {each: func(_ context.Context, n int, _ *watch.RaceFreeFakeWatcher) error {
			if n == 1 {
				return apierrors.NewResourceExpired("too old")
			}
			return nil
		}, asked: []string{"0s list", "0s watch from 10 for 20 s", "1s list", "1s watch from 10 for 20 s", "24s list", "24s watch from 10 for 20 s"}, holds: "a 1"},
		"never to be watched": {each: func(context.Context, int, *watch.RaceFreeFakeWatcher) error { return forbidden },
			asked: slices.Insert(seconds("list", 30), 1, "0s watch from 10 for 20 s"), holds: "a 1"},
		"never to be listed": {lists: forbidden, asked: []string{"0s list"}, fails: true},
		"busy":               {lists: apierrors.NewInternalError(errors.New("busy")), asked: seconds("list", 30)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{start: time.Now(), each: tc.each, has: []runtime.Object{podAt("a", "1")}}
				if tc.lists != nil {
					s.lists = func() error { return tc.lists }
				}
				m := &mirror{source: s.source(), changed: func() {}}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second-time.Millisecond)
				defer cancel()
				m.run(ctx)
				if !slices.Equal(s.asked, tc.asked) {
					t.Errorf("asked %q, want %q", s.asked, tc.asked)
				}
				objects, known, refused := m.all()
				var holds []string
				for _, o := range objects {
					holds = append(holds, o.(*corev1.Pod).Name+" "+o.(*corev1.Pod).ResourceVersion)
				}
				if got := strings.Join(holds, ","); got != tc.holds || known != (tc.lists == nil) || (refused != nil) != tc.fails {
					t.Errorf("it holds %q, known %v, refused %v; want %q", got, known, refused, tc.holds)
				}
			})
		})
	}
}

func seconds(what string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%ds %s", i, what))
	}
	return all
}

// TestLately: what one of several waits has listed serves the others for a
// second; one that waits alone lists for itself.
func TestLately(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for reach, want := range map[Reach]int{Namespaces: 2, Asked: 12} {
			core := fake.NewClientset()
			c, stop := (&Cluster{Core: core}).Watching(t.Context(), reach)
			for i := range 12 {
				if i == 6 {
					time.Sleep(latelyFor)
				}
				if _, err := c.Lately().AllServices(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if n := len(core.Actions()); n != want {
				t.Errorf("reach %d: %d lists, want %d", reach, n, want)
			}
		}
	})
}

// TestNewestSeen: a wait goes by the workload as this run has last made it, and
// by the revision that it names: one that is yet to be seen is not taken for an
// older one.
func TestNewestSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		meta := func(name string, labels map[string]string) metav1.ObjectMeta {
			return metav1.ObjectMeta{Name: name, Namespace: "test", UID: types.UID(name), Labels: labels}
		}
		owned := func(m metav1.ObjectMeta, owner types.UID) metav1.ObjectMeta {
			m.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: new(true)}}
			return m
		}
		app := map[string]string{"app": "x"}
		d := &appsv1.Deployment{ObjectMeta: meta("app", nil), Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: app}}}
		d.Generation, d.Status.ObservedGeneration, d.Annotations = 3, 3, map[string]string{revisionAnnotation: "2"}
		first := &appsv1.ReplicaSet{ObjectMeta: owned(meta("first", map[string]string{"app": "x", "pod-template-hash": "1"}), "app")}
		first.Annotations = map[string]string{revisionAnnotation: "1"}
		old := &corev1.Pod{ObjectMeta: meta("old", map[string]string{"app": "x", "pod-template-hash": "1"})}
		core := fake.NewClientset(d, first, old)
		c, stop := (&Cluster{Core: core}).Watching(t.Context(), Asked)
		defer stop()
		w := fromDeployment(d)
		look := func() string {
			_, _, _ = c.live.workload(w)
			synctest.Wait()
			now, obj, err := c.live.workload(w)
			if obj == nil || err != nil {
				return fmt.Sprint("not yet ", err)
			}
			_, _ = c.live.newestPods(now)
			synctest.Wait()
			_, _ = c.live.newestPods(now)
			synctest.Wait()
			pods, known := c.live.newestPods(now)
			names := ""
			for _, p := range pods {
				names += p.Name
			}
			return fmt.Sprintf("%v %q", known, names)
		}
		if got := look(); got != `false ""` {
			t.Errorf("before the second revision's ReplicaSet is seen: %s", got)
		}
		second := &appsv1.ReplicaSet{ObjectMeta: owned(meta("second", map[string]string{"app": "x", "pod-template-hash": "2"}), "app")}
		second.Annotations = map[string]string{revisionAnnotation: "2"}
		if err := errors.Join(core.Tracker().Add(second), core.Tracker().Add(&corev1.Pod{ObjectMeta: meta("new", map[string]string{"app": "x", "pod-template-hash": "2"})})); err != nil {
			t.Fatal(err)
		}
		if got := look(); got != `true "new"` {
			t.Errorf("then: %s", got)
		}
		c.wrote("app", 4)
		if got := look(); got != "not yet <nil>" {
			t.Errorf("after this run has restarted it: %s", got)
		}
		w.UID = "another"
		if _, _, err := c.live.workload(w); !errors.As(err, new(*NotReadyError)) {
			t.Errorf("of a workload that is gone: %v", err)
		}
	})
}
