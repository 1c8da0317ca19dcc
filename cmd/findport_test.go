package cmd

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// TestJudgePort: a port that can't work behind the route is refused before
// anything is written, with the way on.
func TestJudgePort(t *testing.T) {
	probed := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{ReadinessProbe: &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 50051}}}}}}}
	for _, tc := range []struct {
		name     string
		answer   k8s.Answer
		template corev1.PodTemplateSpec
		refused  string // empty: not
		warned   bool
	}{
		{"gRPC", k8s.SpokeGRPC, corev1.PodTemplateSpec{}, "", false},
		{"HTTP/2", k8s.SpokeHTTP2, corev1.PodTemplateSpec{}, "", true},
		{"nothing", k8s.NoAnswer, corev1.PodTemplateSpec{}, "pod p does not answer gRPC on port 50051 (--target-port): no answer", false},
		{"nothing on the loopback, ready by its probe", k8s.NoAnswer, probed, "", false},
		{"the API server was too slow", k8s.NotAsked, corev1.PodTemplateSpec{}, "", false},
		{"HTTP/1", k8s.SpokeOther, corev1.PodTemplateSpec{}, "no HTTP/2 in plaintext", false},
	} {
		x := exposing()
		x.workload.Template = tc.template
		x.port = k8s.PortFound{Port: 50051, How: "--target-port"}
		err := x.judgePort("p", tc.answer)
		var not *k8s.NotReadyError
		if tc.refused != "" && (!errors.As(err, &not) || not.Code != "GM142" || !strings.Contains(not.Cause, tc.refused) || !strings.Contains(not.Hint, "Nothing was written")) || tc.refused == "" && err != nil {
			t.Errorf("%s: %v; want a refusal: %q", tc.name, err, tc.refused)
		}
		if tc.warned != (len(x.findings) == 1 && x.findings[0].Code == "GM143") || !tc.warned && len(x.warnings) > 0 {
			t.Errorf("%s: warned %q", tc.name, x.warnings)
		}
	}
}

// TestUnaskable: without a pod to ask, what speaks for a port is named.
func TestUnaskable(t *testing.T) {
	w := k8s.Workload{Kind: "Deployment", Name: "server"}
	err := unaskable(w, []k8s.PortFound{{Port: 7001}, {Port: 7002}}, nil)
	if errors.As(err, new(noPortError)) || !strings.Contains(err.Error(), "declares several gRPC ports: 7001, 7002") || !strings.Contains(err.Error(), "--target-port 7002") {
		t.Errorf("several declared: %v", err)
	}
	err = unaskable(w, nil, []k8s.PortFound{{Port: 7777, How: "Service main leads there"}})
	if !errors.As(err, new(*manifest.TargetError)) || !errors.As(err, new(noPortError)) || !strings.Contains(err.Error(), "--target-port 7777  (Service main leads there)") {
		t.Errorf("a Service's: %v", err)
	}
}
