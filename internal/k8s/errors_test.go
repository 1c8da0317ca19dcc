package k8s

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

func serviceID() manifest.ID {
	return manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}
}

// A refused apply that names other managers is told with each field and its
// manager, as the API server gives them.
func TestApplyErrorOfManagers(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewApplyConflict([]metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.ports", Message: `conflict with "helm"`},
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.selector", Message: `conflict with "argocd" using v1`},
		{Type: metav1.CauseTypeFieldValueInvalid, Field: ".spec.other", Message: "is of no concern"},
	}, "Apply failed with 2 conflicts")
	err := applyError(serviceID(), fmt.Errorf("patch: %w", conflict), "refused")
	var got *plan.ConflictError
	if !errors.As(err, &got) {
		t.Fatalf("%v is no ConflictError", err)
	}
	if got.ID != serviceID() {
		t.Errorf("of %s", got.ID)
	}
	for _, want := range []string{"another manager", ".spec.ports", `"helm"`, ".spec.selector", `"argocd"`} {
		if !strings.Contains(got.Reason, want) {
			t.Errorf("reason %q lacks %s", got.Reason, want)
		}
	}
	if want := "kubectl -n test edit service server"; !strings.Contains(got.Hint, want) {
		t.Errorf("hint %q lacks %s", got.Hint, want)
	}
	if strings.Contains(got.Reason, ".spec.other") {
		t.Errorf("reason %q names a cause that is no manager", got.Reason)
	}
}

// Any other 409 is a change made meanwhile; the way on is to run it again.
func TestApplyErrorOfChange(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	bare := apierrors.NewConflict(services, "server", errors.New("the object has been modified"))
	bare.ErrStatus.Details = nil
	for name, conflict := range map[string]error{
		"a stale resourceVersion": apierrors.NewConflict(services, "server", errors.New("the object has been modified")),
		"without details":         bare,
		"causes of another type":  apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: ".spec"}}, "no"),
	} {
		err := applyError(serviceID(), conflict, "refused")
		var got *plan.ConflictError
		if !errors.As(err, &got) {
			t.Errorf("%s: %v is no ConflictError", name, err)
			continue
		}
		if strings.Contains(got.Reason, "manager") || !strings.Contains(got.Hint, "again") {
			t.Errorf("%s: reason %q, hint %q", name, got.Reason, got.Hint)
		}
	}
}

// What is no conflict stays what it is, so that its exit code does too.
func TestApplyErrorOfOthers(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	for _, refusal := range []*apierrors.StatusError{
		apierrors.NewForbidden(services, "server", errors.New("no")),
		apierrors.NewUnauthorized("no"),
		apierrors.NewBadRequest("no"),
		apierrors.NewAlreadyExists(services, "server"), // a 409 as well, by its number
	} {
		err := applyError(serviceID(), refusal, "would refuse")
		if errors.As(err, new(*plan.ConflictError)) {
			t.Errorf("%v became a ConflictError", refusal)
		}
		if apierrors.ReasonForError(err) != refusal.ErrStatus.Reason {
			t.Errorf("%v lost its reason: %v", refusal, err)
		}
		if !strings.Contains(err.Error(), "would refuse "+serviceID().String()) {
			t.Errorf("%q does not say what was refused", err)
		}
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	if s, err := StateOf(&corev1.Service{}, apierrors.NewNotFound(services, "server")); s != nil || err != nil {
		t.Errorf("absent: %v, %v; want neither", s, err)
	}
	if s, err := StateOf(&corev1.Service{}, apierrors.NewUnauthorized("")); s != nil || !apierrors.IsUnauthorized(err) {
		t.Errorf("unreadable: %v, %v; want the error", s, err)
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server", UID: "u-1", ResourceVersion: "42", Labels: map[string]string{"a": "b"}}}
	svc.Spec.Selector = map[string]string{"app": "server"}
	s, err := StateOf(svc, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.UID != "u-1" || s.ResourceVersion != "42" || s.Labels["a"] != "b" {
		t.Errorf("state %+v", s)
	}
	spec, _ := s.Object["spec"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"app": "server"}, spec["selector"]); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestPodTrouble(t *testing.T) {
	t.Parallel()
	waiting := func(name, reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: "Unschedulable", Message: "0/1 nodes: too few CPUs"}
	}
	for _, c := range []struct {
		name   string
		status corev1.PodStatus
		want   string
	}{
		{"ready", corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionTrue)}}, ""},
		{"no word at all", corev1.PodStatus{}, "not ready"},
		{"not ready", corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionFalse)}}, "not ready"},
		{"just starting", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			waiting("app", "PodInitializing", ""), waiting("istio-proxy", "ContainerCreating", "")}}, "not ready"},
		{"no image", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			waiting("istio-proxy", "ContainerCreating", ""), waiting("app", "ImagePullBackOff", `pulling "x"`)}}, `container app: ImagePullBackOff pulling "x"`},
		{"the init container goes first", corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{waiting("istio-init", "CrashLoopBackOff", "back-off")},
			ContainerStatuses:     []corev1.ContainerStatus{waiting("app", "ErrImagePull", "")}}, "container istio-init: CrashLoopBackOff back-off"},
		{"no room", corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse)}},
			"Unschedulable: 0/1 nodes: too few CPUs"},
		{"scheduled and not ready", corev1.PodStatus{Conditions: []corev1.PodCondition{
			condition(corev1.PodScheduled, corev1.ConditionTrue), condition(corev1.PodReady, corev1.ConditionFalse)}}, "not ready"},
	} {
		if got := podTrouble(&corev1.Pod{Status: c.status}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNotReadyError(t *testing.T) {
	t.Parallel()
	err := &NotReadyError{Subject: "Deployment/server", Cause: "0 of 3 pods"}
	if got := err.Error(); got != "Deployment/server is not ready: 0 of 3 pods" {
		t.Errorf("%q", got)
	}
	err.Hint = "Look there."
	if got := err.Error(); got != "Deployment/server is not ready: 0 of 3 pods\nLook there." {
		t.Errorf("%q", got)
	}
}
