package cmd

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/istio"
)

// TestReplicasComeAndGo: one that is scaled away is waited for no longer, one
// that came counts, and each must have been good.
func TestReplicasComeAndGo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rounds []string // the replicas there, by list; the last stays
		bad    string   // those that are never good
		want   int
		err    string // in the error; empty: none
	}{
		{"all good at once", []string{"ab"}, "", 2, ""},
		{"one is not, and is scaled away", []string{"ab", "ab", "a"}, "b", 1, ""},
		{"one is replaced", []string{"ab", "ac"}, "b", 2, ""},
		{"none at first", []string{"", "", "a"}, "", 1, ""},
		{"one that came is bad", []string{"a", "ab"}, "b", 0, "gateway pod gw/b is not ready: still b"},
		{"one that came while waiting is bad", []string{"ab", "abc", "ac"}, "bc", 0, "gateway pod gw/c is not ready: still c"},
		{"one stays bad", []string{"ab"}, "b", 0, "gateway pod gw/b is not ready: still b"},
		{"two stay bad", []string{"ab"}, "ab", 0, "still a\nEverything was written; run the same command again to go on waiting. See: istioctl proxy-config routes a.gw\nthe route through gateway pod gw/b"},
		{"none at last", []string{"ab", ""}, "b", 0, "gateway istio-system/gw is not ready: none of its pods is ready"},
	} {
		lists := 0
		r := replicas{
			gateway: istio.Ingress{Namespace: "istio-system", Service: "gw"},
			list: func(context.Context) ([]corev1.Pod, error) {
				now := tc.rounds[min(lists, len(tc.rounds)-1)]
				lists++
				var pods []corev1.Pod
				for _, name := range strings.Split(now, "") {
					pods = append(pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "gw", Name: name, UID: types.UID(name)}})
				}
				return pods, nil
			},
			ask: func(_ context.Context, p *corev1.Pod) (string, error) {
				if strings.Contains(tc.bad, p.Name) {
					return "still " + p.Name, nil
				}
				return "", nil
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		got, err := r.await(ctx)
		cancel()
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && (!strings.Contains(err.Error(), tc.err) || ExitCode(err) != exitNo) {
			t.Errorf("%s: %d, %v; want %d, %q", tc.name, got, err, tc.want, tc.err)
		}
	}
}

// TestReplicasEnd: what no waiting mends ends the wait at once, and so does a
// signal; the answers that it cut off are no causes.
func TestReplicasEnd(t *testing.T) {
	var asked atomic.Int32
	r := replicas{
		list: func(context.Context) ([]corev1.Pod, error) { return make([]corev1.Pod, 1), nil },
		ask: func(context.Context, *corev1.Pod) (string, error) {
			asked.Add(1)
			return "", errUnderTest
		},
	}
	if _, err := r.await(t.Context()); !errors.Is(err, errUnderTest) || asked.Load() != 1 {
		t.Errorf("%v after %d calls; want the error after one", err, asked.Load())
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	r.ask = func(ctx context.Context, _ *corev1.Pod) (string, error) {
		cancel(SignalError{2})
		<-ctx.Done()
		return "", ctx.Err()
	}
	if _, err := r.await(ctx); ExitCode(err) != 130 {
		t.Errorf("a signal: %v; want exit code 130", err)
	}
	first := true
	r.ask = func(ctx context.Context, _ *corev1.Pod) (string, error) {
		if first {
			first = false
			return "the cause", nil
		}
		<-ctx.Done()
		return "cut off", nil
	}
	short, done := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer done()
	if _, err := r.await(short); err == nil || !strings.Contains(err.Error(), "the cause") {
		t.Errorf("%v; want the last cause that was seen", err)
	}
}
