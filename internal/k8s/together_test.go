package k8s

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/typed/fake"
)

// TestTogether: what several waits list does not grow with their number, and
// each is told of its own pods' trouble all the same.
func TestTogether(t *testing.T) {
	t.Parallel()
	const waits, lasting = 8, 19 * time.Second
	synctest.Test(t, func(t *testing.T) {
		core := fake.NewClientset()
		for i := range waits {
			name := fmt.Sprint("bad", i)
			pod := crashing(1)
			pod.Name, pod.UID = name+"-1", types.UID(name)
			pod.Labels = map[string]string{"app": name, appsv1.ControllerRevisionHashLabelKey: name + "-r"}
			if err := core.Tracker().Add(&pod); err != nil {
				t.Fatal(err)
			}
			if err := core.Tracker().Add(&appsv1.ControllerRevision{Revision: 1, ObjectMeta: metav1.ObjectMeta{Name: name + "-r", Namespace: "test", Labels: map[string]string{"app": name},
				OwnerReferences: []metav1.OwnerReference{{UID: types.UID(name), Controller: new(true)}}}}); err != nil {
				t.Fatal(err)
			}
		}
		c := (&Cluster{Core: core}).Together()
		told := make([][]string, waits)
		ctx, cancel := context.WithTimeout(t.Context(), lasting+waits*300*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for i := range waits {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond) // none begins with another
				name := fmt.Sprint("bad", i)
				w := Workload{Kind: "StatefulSet", Namespace: "test", Name: name, UID: types.UID(name), Replicas: 2,
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}
				_ = c.Live().Beside(ctx, w, func(s string) { told[i] = append(told[i], s) }, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			})
		}
		wg.Wait()
		for i := range told {
			if want := fmt.Sprintf("pod bad%d-1: container app: CrashLoopBackOff", i); len(told[i]) != 1 || !strings.HasPrefix(told[i][0], want) {
				t.Errorf("the wait for bad%d was told %q", i, told[i])
			}
		}
		asked := map[string]int{}
		for _, a := range core.Actions() {
			asked[a.GetVerb()+" "+a.GetResource().Resource]++
		}
		for _, kind := range []string{"pods", "controllerrevisions", "events"} {
			if n := asked["list "+kind]; n < 5 || n > 23 { // each wait by itself: more than 70
				t.Errorf("%s were listed %d times by %d waits in %s", kind, n, waits, lasting)
			}
		}
	})
}
