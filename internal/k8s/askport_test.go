package k8s

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/manifest"
)

// TestTryPorts: what speaks for a port is asked before the usual ones, and the
// first tier with an answer decides.
func TestTryPorts(t *testing.T) {
	t.Parallel()
	declared := []PortFound{{Port: 7001, How: "declared: container port grpc-a"}, {Port: 7002, How: "declared: container port grpc-b"}}
	led := []PortFound{{Port: 7777, How: "Service main leads there"}}
	likely := [][]PortFound{declared, led}
	for _, c := range []struct {
		name   string
		serves []int
		want   PortFound
		refuse string // in the refusal
	}{
		{"one of several declared, and a usual port unasked", []int{7002, 50051},
			PortFound{Port: 7002, How: "declared: container port grpc-b, answered gRPC", Try: []int{7001, 7002}}, ""},
		{"a Service's port", []int{7777}, PortFound{Port: 7777, How: "Service main leads there, answered gRPC", Try: []int{7001, 7002, 7777}}, ""},
		{"a usual port", []int{50051}, PortFound{Port: 50051, How: "answered gRPC", Try: append([]int{7001, 7002, 7777}, UsualPorts()...)}, ""},
		{"both declared", []int{7001, 7002}, PortFound{}, "--target-port 7002  (declared: container port grpc-b)"},
		{"none", nil, PortFound{}, "(tried 7001, 7002, 7777, 50051, "},
	} {
		got, err := tryPorts("p", likely, func(port int) (Answer, error) {
			if slices.Contains(c.serves, port) {
				return SpokeGRPC, nil
			}
			return NoAnswer, nil
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		var target *manifest.TargetError
		if (c.refuse != "") != errors.As(err, &target) || err != nil && !strings.Contains(err.Error(), c.refuse) {
			t.Errorf("%s: %v, want %q", c.name, err, c.refuse)
		}
	}
	refused := errors.New("refused")
	if _, err := tryPorts("p", likely, func(int) (Answer, error) { return "", refused }); !errors.Is(err, refused) {
		t.Errorf("%v, want what the API server said", err)
	}
}

// TestAnswer: HTTP/2 is told from what is none by the first frame.
func TestAnswer(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		name, said string
		grpc       bool
		err        error
		want       Answer
	}{
		{"gRPC", "\x00\x00\x06\x04\x00", true, nil, SpokeGRPC},
		{"HTTP/2 that knows no such service", "\x00\x00\x06\x04\x00", false, nil, SpokeHTTP2},
		{"HTTP/2 that breaks off", "\x00\x00\x06\x04\x00", false, broken, SpokeHTTP2},
		{"HTTP/1", "HTTP/1.1 400 Bad Request", false, nil, SpokeOther},
		{"a TLS alert", "\x15\x03\x01\x00\x02", false, nil, SpokeOther},
		{"nothing listens", "", false, broken, NoAnswer},
	} {
		here, there := net.Pipe()
		go func() {
			_, _ = there.Write([]byte(c.said))
			_ = there.Close()
		}()
		h := &hearing{Conn: here}
		for p := make([]byte, 2); ; {
			if _, err := h.Read(p); err != nil {
				break
			}
		}
		if got := h.answer(c.grpc, c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLedTo(t *testing.T) {
	t.Parallel()
	services := []corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
		{Name: "main", Port: 80, TargetPort: intstr.FromInt32(7777)}, {Name: "again", Port: 81, TargetPort: intstr.FromInt32(7777)},
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "gone", Port: 82, TargetPort: intstr.FromString("gone")},
	}}}}
	if diff := cmp.Diff([]PortFound{{Port: 7777, How: "Service app leads there"}}, LedTo(services, nil)); diff != "" {
		t.Error(diff)
	}
}

func TestProbedReady(t *testing.T) {
	t.Parallel()
	tcp := func(port intstr.IntOrString) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}}
	}
	for _, c := range []struct {
		name      string
		container corev1.Container
		want      bool
	}{
		{"no probe", corev1.Container{}, false},
		{"gRPC", corev1.Container{ReadinessProbe: grpcProbe(7000)}, true},
		{"TCP", corev1.Container{ReadinessProbe: tcp(intstr.FromInt32(7000))}, true},
		{"TCP, by name", corev1.Container{ReadinessProbe: tcp(intstr.FromString("api")), Ports: []corev1.ContainerPort{{Name: "api", ContainerPort: 7000}}}, true},
		{"another port", corev1.Container{ReadinessProbe: tcp(intstr.FromInt32(7001))}, false},
		{"liveness alone", corev1.Container{LivenessProbe: grpcProbe(7000)}, false},
	} {
		template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{c.container}}}
		if got := ProbedReady(template, 7000); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
