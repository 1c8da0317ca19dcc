package k8s

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func container(ports ...corev1.ContainerPort) corev1.Container {
	return corev1.Container{Name: "app", Ports: ports}
}

func podOf(containers ...corev1.Container) corev1.Pod {
	return corev1.Pod{Spec: corev1.PodSpec{Containers: containers}}
}

func grpcProbe(port int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}}
}

func TestDeclaredPorts(t *testing.T) {
	t.Parallel()
	httpProbe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8080)}}}
	named := func(name string, port int32) corev1.ContainerPort {
		return corev1.ContainerPort{Name: name, ContainerPort: port}
	}
	for _, c := range []struct {
		name       string
		containers []corev1.Container
		want       PortFound // zero: none, or several
	}{
		{"nothing, as in the procedure", []corev1.Container{container()}, PortFound{}},
		{"ports of other names", []corev1.Container{container(named("http", 8080), named("", 50051), named("mygrpc", 1))}, PortFound{}},
		{"grpc", []corev1.Container{container(named("http", 8080), named("grpc", 7000))}, PortFound{Port: 7000, How: "declared: container port grpc"}},
		{"grpc-api", []corev1.Container{container(named("grpc-api", 7000))}, PortFound{Port: 7000, How: "declared: container port grpc-api"}},
		{"grpcx is no grpc-x", []corev1.Container{container(named("grpcx", 7000))}, PortFound{}},
		{"readiness probe", []corev1.Container{{ReadinessProbe: grpcProbe(7001)}}, PortFound{Port: 7001, How: "declared: gRPC probe"}},
		{"liveness probe", []corev1.Container{{LivenessProbe: grpcProbe(7002)}}, PortFound{Port: 7002, How: "declared: gRPC probe"}},
		{"startup probe", []corev1.Container{{StartupProbe: grpcProbe(7003)}}, PortFound{Port: 7003, How: "declared: gRPC probe"}},
		{"an HTTP probe says nothing", []corev1.Container{{ReadinessProbe: httpProbe}}, PortFound{}},
		{"name and probe agree", []corev1.Container{{Ports: []corev1.ContainerPort{named("grpc", 7000)}, ReadinessProbe: grpcProbe(7000)}},
			PortFound{Port: 7000, How: "declared: container port grpc"}},
		{"name and probe differ", []corev1.Container{{Ports: []corev1.ContainerPort{named("grpc", 7000)}, ReadinessProbe: grpcProbe(7001)}}, PortFound{}},
		{"two containers differ", []corev1.Container{container(named("grpc", 7000)), container(named("grpc", 7001))}, PortFound{}},
		{"the second container's", []corev1.Container{container(), container(named("grpc", 7001))}, PortFound{Port: 7001, How: "declared: container port grpc"}},
	} {
		var got PortFound
		all := DeclaredPorts(corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: c.containers}})
		if len(all) == 1 {
			got = all[0]
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: of %v (-want +got):\n%s", c.name, all, diff)
		}
	}
}

func TestGRPCPort(t *testing.T) {
	t.Parallel()
	app := func(s string) *string { return &s }
	for _, c := range []struct {
		port corev1.ServicePort
		want bool
	}{
		{corev1.ServicePort{}, false},
		{corev1.ServicePort{Name: "grpc"}, true},
		{corev1.ServicePort{Name: "grpc-api"}, true},
		{corev1.ServicePort{Name: "grpc-web"}, true},
		{corev1.ServicePort{Name: "grpc-web-ui"}, true},
		{corev1.ServicePort{Name: "http2"}, true},
		{corev1.ServicePort{Name: "http2-api"}, true},
		{corev1.ServicePort{Name: "http"}, false},
		{corev1.ServicePort{Name: "http-grpc"}, false},
		{corev1.ServicePort{Name: "tcp-grpc"}, false},
		{corev1.ServicePort{Name: "mygrpc"}, false},
		{corev1.ServicePort{Name: "grpcs"}, false},
		{corev1.ServicePort{AppProtocol: app("grpc")}, true},
		{corev1.ServicePort{AppProtocol: app("GRPC")}, true},
		{corev1.ServicePort{AppProtocol: app("http2")}, true},
		{corev1.ServicePort{AppProtocol: app("kubernetes.io/h2c")}, true},
		{corev1.ServicePort{AppProtocol: app("grpc-web")}, true},
		{corev1.ServicePort{AppProtocol: app("grpc-api")}, true},
		{corev1.ServicePort{Name: "foo"}, false},
		// appProtocol beats the name, both ways.
		{corev1.ServicePort{Name: "http", AppProtocol: app("grpc")}, true},
		{corev1.ServicePort{Name: "grpc", AppProtocol: app("tcp")}, false},
		{corev1.ServicePort{Name: "grpc", AppProtocol: app("http")}, false},
	} {
		if got := GRPCPort(c.port); got != c.want {
			protocol := "-"
			if c.port.AppProtocol != nil {
				protocol = *c.port.AppProtocol
			}
			t.Errorf("name %q, appProtocol %s: %t, want %t", c.port.Name, protocol, got, c.want)
		}
	}
}

func TestTargetPort(t *testing.T) {
	t.Parallel()
	pods := []corev1.Pod{
		podOf(container()),
		podOf(container(corev1.ContainerPort{Name: "http", ContainerPort: 8080}), container(corev1.ContainerPort{Name: "api", ContainerPort: 7000})),
	}
	for _, c := range []struct {
		name string
		port corev1.ServicePort
		pods []corev1.Pod
		want int
	}{
		{"a number", corev1.ServicePort{Port: 8000, TargetPort: intstr.FromInt32(50051)}, pods, 50051},
		{"nothing said is the port itself", corev1.ServicePort{Port: 8000}, pods, 8000},
		{"a name, of the second pod's second container", corev1.ServicePort{Port: 8000, TargetPort: intstr.FromString("api")}, pods, 7000},
		{"a name that no pod has", corev1.ServicePort{Port: 8000, TargetPort: intstr.FromString("rpc")}, pods, 0},
		{"a name and no pods", corev1.ServicePort{Port: 8000, TargetPort: intstr.FromString("api")}, nil, 0},
	} {
		if got := TargetPort(c.port, c.pods); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestServedPort(t *testing.T) {
	t.Parallel()
	pods := []corev1.Pod{podOf(container(corev1.ContainerPort{Name: "api", ContainerPort: 7000}))}
	svc := func(name string, ports ...corev1.ServicePort) corev1.Service {
		return corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: ports}}
	}
	to := func(name string, target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: 80, TargetPort: target}
	}
	for _, c := range []struct {
		name     string
		services []corev1.Service
		want     PortFound
	}{
		{"no Service", nil, PortFound{}},
		{"none for gRPC", []corev1.Service{svc("a", to("http", intstr.FromInt32(8080)))}, PortFound{}},
		{"one for gRPC, beside HTTP", []corev1.Service{svc("a", to("http", intstr.FromInt32(8080)), to("grpc", intstr.FromInt32(7000)))},
			PortFound{Port: 7000, How: "Service a leads there as gRPC"}},
		{"two agree, one of them by a name", []corev1.Service{svc("a", to("grpc", intstr.FromInt32(7000))), svc("b", to("grpc", intstr.FromString("api")))},
			PortFound{Port: 7000, How: "Service b leads there as gRPC"}},
		{"two differ", []corev1.Service{svc("a", to("grpc", intstr.FromInt32(7000))), svc("b", to("grpc", intstr.FromInt32(7001)))}, PortFound{}},
		{"three, and the third agrees with the first", []corev1.Service{svc("a", to("grpc", intstr.FromInt32(7000))),
			svc("b", to("grpc", intstr.FromInt32(7001))), svc("c", to("grpc", intstr.FromInt32(7000)))}, PortFound{}},
		{"a name that leads nowhere is left out", []corev1.Service{svc("a", to("grpc", intstr.FromString("gone"))), svc("b", to("grpc", intstr.FromInt32(7001)))},
			PortFound{Port: 7001, How: "Service b leads there as gRPC"}},
	} {
		got, ok := ServedPort(c.services, pods)
		if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want.Port != 0) {
			t.Errorf("%s: ok %t, (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

func TestSlicePort(t *testing.T) {
	t.Parallel()
	port := func(name *string, number int32) discoveryv1.EndpointPort {
		return discoveryv1.EndpointPort{Name: name, Port: &number}
	}
	grpc, none := "grpc", ""
	ports := []discoveryv1.EndpointPort{{Name: &grpc}, port(&grpc, 7000)}
	for _, c := range []struct {
		name  string
		ports []discoveryv1.EndpointPort
		want  int
	}{
		{"grpc", ports, 7000}, // the one without a number is passed over
		{"http", ports, 0},
		{"", ports, 0},
		{"", []discoveryv1.EndpointPort{port(nil, 7001)}, 7001},
		{"", []discoveryv1.EndpointPort{port(&none, 7002)}, 7002},
		{"grpc", []discoveryv1.EndpointPort{port(nil, 7001)}, 0},
		{"grpc", nil, 0},
	} {
		if got := slicePort(c.ports, c.name); got != c.want {
			t.Errorf("slicePort(%v, %q) = %d, want %d", c.ports, c.name, got, c.want)
		}
	}
}

func TestUsualPorts(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for _, p := range UsualPorts() {
		if p < 1 || p > 65535 || seen[p] {
			t.Errorf("port %d is no port, or there twice", p)
		}
		seen[p] = true
	}
	if !seen[50051] {
		t.Error("gRPC's own examples' port is not tried")
	}
	if got := JoinInts([]int{50051, 80}); got != "50051, 80" {
		t.Errorf("JoinInts: %q", got)
	}
}

// TestOpenPorts: whatever a container calls its TCP ports, they are worth asking,
// and each once.
func TestOpenPorts(t *testing.T) {
	t.Parallel()
	var template corev1.PodTemplateSpec
	template.Spec.Containers = []corev1.Container{
		container(corev1.ContainerPort{ContainerPort: 39051}, corev1.ContainerPort{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}),
		container(corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}, corev1.ContainerPort{ContainerPort: 39051}),
	}
	var got []int
	for _, p := range OpenPorts(template) {
		got = append(got, p.Port)
	}
	if !slices.Equal(got, []int{39051, 8080}) {
		t.Errorf("%v, want 39051 and 8080", got)
	}
}
