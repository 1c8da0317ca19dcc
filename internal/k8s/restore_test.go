package k8s

import (
	"errors"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/plan"
	"grpcmesh/internal/typed/fake"
)

// TestRestore: a restart is taken back to the very template before it, and only
// if no one has changed the template since.
func TestRestore(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]map[string]string{
		"never restarted": nil, "restarted before": {restartedAt: "2020-01-01T00:00:00Z"}, "annotated": {"a": "b"},
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "server", Namespace: "test", UID: "d"}}
		d.Spec.Template.Annotations = maps.Clone(before)
		c := &Cluster{Core: fake.NewClientset(d)}
		now := func() *appsv1.Deployment {
			d, err := c.Core.AppsV1().Deployments("test").Get(t.Context(), "server", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		earlier := fromDeployment(now())
		if err := c.Restore(t.Context(), earlier); err != nil {
			t.Errorf("%s: nothing to take back: %v", name, err)
		}
		if err := c.Restart(t.Context(), earlier, time.Now()); err != nil {
			t.Fatal(err)
		}
		changed := now()
		if changed.Spec.Template.Annotations[restartedAt] == before[restartedAt] {
			t.Fatalf("%s: not restarted", name)
		}
		changed.Spec.Template.Labels = map[string]string{"someone": "else"}
		if _, err := c.Core.(fake.Core).Clientset.AppsV1().Deployments("test").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Restore(t.Context(), earlier); !errors.As(err, new(*plan.ConflictError)) {
			t.Errorf("%s: changed since, and %v", name, err)
		}
		changed.Spec.Template.Labels = nil
		if _, err := c.Core.(fake.Core).Clientset.AppsV1().Deployments("test").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Restore(t.Context(), earlier); err != nil || !maps.Equal(now().Spec.Template.Annotations, before) {
			t.Errorf("%s: %v, %v; want %v", name, err, now().Spec.Template.Annotations, before)
		}
	}
}
