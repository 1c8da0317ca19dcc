package k8s

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/typed/fake"
)

func crashing(restarts int32) corev1.Pod {
	ended := &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error"}
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bad-1", Namespace: "test", UID: "p", Labels: map[string]string{"app": "bad", appsv1.ControllerRevisionHashLabelKey: "bad-r"}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: restarts,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
			LastTerminationState: corev1.ContainerState{Terminated: ended}}}}}
}

// badSet is the StatefulSet of the pod that crashes, whose controller has seen it.
func badSet() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "test", UID: "w"},
		Spec:   appsv1.StatefulSetSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "bad"}}},
		Status: appsv1.StatefulSetStatus{UpdateRevision: "bad-r"}}
}

// TestSightings: a trouble is told once, when it appears, and one that lasts
// ends the wait, also where the pod runs in between; one that ran for long begins
// anew.
func TestSightings(t *testing.T) {
	t.Parallel()
	s := sightings{told: map[string]bool{}, since: map[types.UID]*spell{}}
	start := time.Now()
	at := func(seconds int, p corev1.Pod) ([]string, bool) {
		return s.look([]corev1.Pod{p}, start.Add(time.Duration(seconds)*time.Second))
	}
	ended := crashing(0)
	ended.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	ready := crashing(1)
	ready.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	ready.Status.ContainerStatuses[0].Ready = true
	for _, step := range []struct {
		at    int
		pod   corev1.Pod
		news  string
		stuck bool
	}{
		{0, ended, "pod bad-1: container app: ended with exit code 137 (OOMKilled)", false},
		{2, crashing(1), "pod bad-1: container app: CrashLoopBackOff back-off 10s; it ended with exit code 3 (Error)", false},
		{4, ended, "", false},
		{20, crashing(2), "", false},
		{21, ready, "", false},
		{41, crashing(3), "", false},
		{59, crashing(3), "", false},
		{60, ready, "", false},
		{62, ended, "", true},
	} {
		news, stuck := at(step.at, step.pod)
		if got := strings.Join(news, "|"); got != step.news || stuck != step.stuck {
			t.Errorf("at %d s: %q, stuck %v; want %q, %v", step.at, got, stuck, step.news, step.stuck)
		}
	}
}

// TestBesideStuck: a pod that is stuck ends the wait before its deadline, and
// the pod's trouble comes first; a wait that ends well is left alone.
func TestBesideStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Workload{Kind: "StatefulSet", Namespace: "test", Name: "bad", UID: "w", Replicas: 1,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "bad"}}}
		pod := crashing(4)
		c := &Cluster{Core: fake.NewClientset(badSet(), &pod, &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Name: "bad-r", Namespace: "test", Labels: w.Selector.MatchLabels,
				OwnerReferences: []metav1.OwnerReference{{UID: "w", Controller: new(true)}}}, Revision: 1})}
		var told []string
		start := time.Now()
		err := c.Beside(t.Context(), w, func(s string) { told = append(told, s) }, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if took := time.Since(start); !Stuck(err) || took < stuckFor || took > 2*stuckFor {
			t.Errorf("%v after %s", err, took)
		}
		if len(told) != 1 || !strings.Contains(told[0], "CrashLoopBackOff") {
			t.Errorf("told %q", told)
		}
		var not *NotReadyError
		if err := c.notReady(t.Context(), w, "0 of 1 ready"); !errors.As(err, &not) || !strings.HasPrefix(not.Cause, "pod bad-1: container app: CrashLoopBackOff") ||
			!strings.HasSuffix(not.Cause, "; 0 of 1 ready") || !strings.Contains(not.Hint, "logs bad-1 -c app --previous") {
			t.Errorf("%v", err)
		}
		if err := c.Beside(t.Context(), w, func(string) {}, func(context.Context) error { return nil }); err != nil {
			t.Errorf("a wait that ended well: %v", err)
		}
	})
}

// TestFailedCreate: the newest event of the workload's own controllers, and none
// from before the wait.
func TestFailedCreate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	event := func(name string, of types.UID, at time.Time, message string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test"}, Reason: "FailedCreate", Message: message,
			InvolvedObject: corev1.ObjectReference{UID: of, Name: "bad"}, LastTimestamp: metav1.NewTime(at)}
	}
	c := &Cluster{Core: fake.NewClientset(event("a", "w", now.Add(-time.Hour), "old"), event("b", "w", now.Add(-time.Minute), "newer"), event("c", "other", now, "another's"))}
	w := Workload{Kind: "StatefulSet", Namespace: "test", Name: "bad", UID: "w"}
	if got := c.failedCreate(t.Context(), w, time.Time{}); got != "newer" {
		t.Errorf("%q, want the newest of its own", got)
	}
	if got := c.failedCreate(t.Context(), w, now); got != "" {
		t.Errorf("%q from before the wait", got)
	}
}

// TestNotReadyAsScaled: why there is no pod is asked where the workload wants
// one by now, whatever it wanted before the wait.
func TestNotReadyAsScaled(t *testing.T) {
	t.Parallel()
	w := Workload{Kind: "StatefulSet", Namespace: "test", Name: "bad", UID: "w", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "bad"}}}
	for replicas, want := range map[int32]string{0: "0 of 1", 1: "exceeded quota; 0 of 1"} {
		c := &Cluster{Core: fake.NewClientset(
			&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "test", UID: "w"}, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: w.Selector}},
			&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "test"}, Reason: "FailedCreate", Message: "exceeded quota",
				InvolvedObject: corev1.ObjectReference{UID: "w"}, LastTimestamp: metav1.Now()})}
		for _, then := range []int32{0, 1} {
			w.Replicas = then
			var not *NotReadyError
			if err := c.notReady(t.Context(), w, "0 of 1"); !errors.As(err, &not) || not.Cause != want {
				t.Errorf("%d replicas wanted, %d before: %v; want %q", replicas, then, err, want)
			}
		}
	}
}

// TestToldWithinTen: what holds the pods up is told in the events' and the
// kubelet's own words within 10 s, by the clock of the test's own world.
func TestToldWithinTen(t *testing.T) {
	t.Parallel()
	pulling := crashing(0)
	pulling.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}
	for want, pod := range map[string]*corev1.Pod{
		"pod bad-1: container app: CrashLoopBackOff back-off 10s": new(crashing(1)),
		"pod bad-1: container app: ErrImagePull no such image":    &pulling,
		"no pod can be made: exceeded quota: pods":                nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := Workload{Kind: "StatefulSet", Namespace: "test", Name: "bad", UID: "w", Replicas: 1,
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "bad"}}}
			c := &Cluster{Core: fake.NewClientset(badSet())}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			time.AfterFunc(3*time.Second, func() { // the trouble begins
				if pod != nil {
					_ = c.Core.(fake.Core).Tracker().Add(pod)
					return
				}
				_ = c.Core.(fake.Core).Tracker().Add(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: "test"}, Reason: "FailedCreate",
					Message: "exceeded quota: pods", InvolvedObject: corev1.ObjectReference{UID: "w"}, LastTimestamp: metav1.NewTime(time.Now())})
			})
			var told time.Duration
			_ = c.Beside(ctx, w, func(s string) {
				if strings.HasPrefix(s, want) {
					told = time.Since(start)
					cancel()
				}
			}, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			if told == 0 || told > 13*time.Second {
				t.Errorf("%q was told after %s", want, told)
			}
		})
	}
}
