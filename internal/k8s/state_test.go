package k8s

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/plan"
)

// TestStateOfListed: an object as a list holds it, with its kind, is the one that a
// reply holds, without.
func TestStateOfListed(t *testing.T) {
	reply := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "u", ResourceVersion: "7"}}
	listed := reply.DeepCopy()
	listed.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}
	a, err := StateOf(listed, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := StateOf(reply, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := plan.Diff(a.Object, b.Object); len(diff) > 0 || a.UID != "u" || a.ResourceVersion != "7" {
		t.Errorf("%v, %+v", diff, a)
	}
}
