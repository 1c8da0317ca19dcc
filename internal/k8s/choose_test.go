package k8s_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

func TestChoose(t *testing.T) {
	deployment, set, other := k8s.Workload{Kind: "Deployment", Name: "server"}, k8s.Workload{Kind: "StatefulSet", Name: "server"}, k8s.Workload{Kind: "DaemonSet", Name: "agent"}
	all := []k8s.Workload{deployment, set, other}
	for _, tc := range []struct {
		name       string
		all        []k8s.Workload
		arg        string
		want       string // the one chosen, or how the error begins
		candidates []string
		hint       string
	}{
		{"the only one", []k8s.Workload{set}, "", "StatefulSet/server", nil, ""},
		{"by its name", all, "agent", "DaemonSet/agent", nil, ""},
		{"by kind and name", all, "sts/server", "StatefulSet/server", nil, ""},
		{"by kubectl's long kind", all, "deployments.apps/server", "Deployment/server", nil, ""},
		{"several", all, "", "3 workloads in namespace test fit", []string{"deployment/server", "statefulset/server", "daemonset/agent"}, "Name one: deployment/server"},
		{"two of one name", all, "server", "2 workloads in namespace test fit", []string{"deployment/server", "statefulset/server"}, "Name one: deployment/server"},
		{"of another kind", all, "ds/server", "no workload ds/server in namespace test; there are", []string{"deployment/server", "statefulset/server", "daemonset/agent"}, "Name one: "},
		{"the only one has another name", []k8s.Workload{other}, "server", "no workload server in namespace test; there are", []string{"daemonset/agent"}, "Name one: daemonset/agent"},
		{"none", nil, "", "no Deployment, StatefulSet or DaemonSet in namespace test", nil, "-n"},
		{"none of that name", nil, "server", "no Deployment, StatefulSet or DaemonSet in namespace test", nil, "-n"},
	} {
		got, err := k8s.Choose(tc.all, "test", tc.arg)
		if err == nil {
			if got.String() != tc.want {
				t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
			}
			continue
		}
		var target *manifest.TargetError
		if !errors.As(err, &target) || !strings.HasPrefix(target.What, tc.want) {
			t.Errorf("%s: %v, want a TargetError: %s", tc.name, err, tc.want)
			continue
		}
		if !slices.Equal(target.Candidates, tc.candidates) || tc.hint == "" || !strings.Contains(target.Hint, tc.hint) {
			t.Errorf("%s: candidates %v, hint %q; want %v and %q", tc.name, target.Candidates, target.Hint, tc.candidates, tc.hint)
		}
	}
	_, err := k8s.Choose(all, "test", "pod/server")
	if !errors.As(err, new(*manifest.InvalidError)) {
		t.Errorf("a kind that can't be exposed: %v, want an InvalidError", err)
	}
}

func TestPodLabels(t *testing.T) {
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "server", "version": "v1"}}}
	byLabels := k8s.Workload{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}}, Template: template}
	if got := byLabels.PodLabels(); fmt.Sprint(got) != "map[app:server]" {
		t.Errorf("PodLabels = %v, want the selector's: the template's may change with the next release", got)
	}
	byExpression := k8s.Workload{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"server"}}}}, Template: template}
	if got := byExpression.PodLabels(); fmt.Sprint(got) != "map[app:server version:v1]" {
		t.Errorf("PodLabels of a selector without plain labels = %v, want the template's", got)
	}
}

// faults: 33
func TestHasSidecar(t *testing.T) {
	app, proxy := corev1.Container{Name: "server"}, corev1.Container{Name: "istio-proxy"}
	for _, tc := range []struct {
		name string
		spec corev1.PodSpec
		want bool
	}{
		{"a container beside the app", corev1.PodSpec{Containers: []corev1.Container{app, proxy}}, true},
		{"a native sidecar", corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-init"}, proxy}, Containers: []corev1.Container{app}}, true},
		{"the app alone", corev1.PodSpec{Containers: []corev1.Container{app}}, false},
		{"istio-init alone", corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-init"}}, Containers: []corev1.Container{app}}, false},
		{"a name that only begins so", corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy-exporter"}}}, false},
	} {
		if got := k8s.HasSidecar(tc.spec); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestReady(t *testing.T) {
	pod := func(typ corev1.PodConditionType, status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: typ, Status: status}}}}
	}
	if !k8s.Ready(pod(corev1.PodReady, corev1.ConditionTrue)) {
		t.Error("a ready pod is not")
	}
	for _, p := range []*corev1.Pod{{}, pod(corev1.PodReady, corev1.ConditionFalse), pod(corev1.PodReady, corev1.ConditionUnknown), pod(corev1.PodScheduled, corev1.ConditionTrue)} {
		if k8s.Ready(p) {
			t.Errorf("%v counts as ready", p.Status.Conditions)
		}
	}
}
