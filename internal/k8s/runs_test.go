package k8s

import (
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"grpcmesh/internal/typed/fake"
)

// TestRuns: CronJobs, and Jobs that are nobody's and not over; and nothing of
// what may not be listed.
func TestRuns(t *testing.T) {
	t.Parallel()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "test"} }
	owned := meta("nightly-1")
	owned.OwnerReferences = []metav1.OwnerReference{{Kind: "CronJob", Name: "nightly", Controller: new(true)}}
	over := &batchv1.Job{ObjectMeta: meta("over")}
	over.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	core := fake.NewClientset(&batchv1.CronJob{ObjectMeta: meta("nightly")}, &batchv1.Job{ObjectMeta: owned}, &batchv1.Job{ObjectMeta: meta("once")}, over)
	c := &Cluster{Core: core}
	names := func() []string {
		t.Helper()
		runs, err := c.Runs(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range runs {
			names = append(names, r.String())
		}
		return names
	}
	if got, want := names(), []string{"CronJob/nightly", "Job/once"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	core.PrependReactor("list", "cronjobs", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(batchv1.Resource("cronjobs"), "", nil)
	})
	if got, want := names(), []string{"Job/once"}; !slices.Equal(got, want) {
		t.Errorf("where CronJobs may not be listed: %q, want %q", got, want)
	}
}
