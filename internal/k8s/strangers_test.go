package k8s

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestStrangers: whom a Service's selector takes beside the workload's pods.
func TestStrangers(t *testing.T) {
	t.Parallel()
	type set = map[string]string
	of := func(kind, name string, selector, template set) Workload {
		return Workload{Kind: kind, Name: name, Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template}}}
	}
	pod := func(name string, labels set) corev1.Pod { // of some controller
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{{UID: "u", Controller: new(true)}}}}
	}
	bare := pod("bare", set{"app": "cart", "tier": "back"})
	bare.OwnerReferences = nil
	cart := of("StatefulSet", "cart", set{"app": "cart"}, set{"app": "cart", "tier": "back"})
	canary := of("Deployment", "server-canary", set{"app": "server", "track": "canary"}, set{"app": "server", "track": "canary"})
	own, back := set{"app": "server"}, set{"tier": "back"}
	for _, tc := range []struct {
		name     string
		others   []Workload
		selector set
		pods     []corev1.Pod
		want     []string
	}{
		{"nobody", []Workload{cart}, own, nil, nil},
		{"a label that another's template has", []Workload{cart}, back, nil, []string{"StatefulSet/cart"}},
		{"named once, with its pods there", []Workload{cart}, back, []corev1.Pod{pod("cart-0", set{"app": "cart", "tier": "back"}), pod("cart-1", set{"app": "cart", "tier": "back"})}, []string{"StatefulSet/cart"}},
		{"a label that only pods of an old template have", []Workload{of("StatefulSet", "cart", set{"app": "cart"}, set{"app": "cart"})}, back,
			[]corev1.Pod{pod("cart-0", set{"app": "cart", "tier": "back"})}, []string{"StatefulSet/cart"}},
		{"a pod of no workload's labels", nil, back, []corev1.Pod{pod("job-x", back)}, []string{"Pod/job-x"}},
		{"a pod of nobody, with another's labels", []Workload{cart}, back, []corev1.Pod{bare}, []string{"Pod/bare", "StatefulSet/cart"}},
		{"a canary with the same label and one more", []Workload{canary}, own, nil, []string{"Deployment/server-canary"}},
	} {
		got, err := strangers(tc.pods, "own", tc.others, tc.selector)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestControlled: labels don't make a pod a workload's; who controls it does.
func TestControlled(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "node"}, {UID: "set", Controller: new(true)}}}}
	if !controlled(pod, []types.UID{"other", "set"}) {
		t.Error("a pod of one of the owners: said to be no one's")
	}
	if controlled(pod, []types.UID{"node"}) || controlled(pod, nil) || controlled(&corev1.Pod{}, []types.UID{""}) {
		t.Error("a pod that none of the owners controls: said to be theirs")
	}
}
