package cmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// sick is a namespace with one workload, that declares a gRPC port, and its
// Services.
func sick(services ...corev1.Service) *checkup {
	w := exposing().workload
	w.Template.Labels = map[string]string{"app": "server"}
	w.Template.Spec.Containers[0].Ports[0].Name = "grpc"
	w.Replicas = 1
	return &checkup{namespace: "test", view: &view{namespace: []string{"test"}, workloads: []k8s.Workload{w}, services: services},
		namespaces: map[string]*corev1.Namespace{}, led: map[string][]int{}, grpcLed: map[string][]int{}}
}

func serviceOf(name, clusterIP string, selector map[string]string, ports ...corev1.ServicePort) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: name}, Spec: corev1.ServiceSpec{ClusterIP: clusterIP, Selector: selector, Ports: ports}}
}

func told(found []finding.Finding) []string {
	var all []string
	for _, f := range finding.Sort(found) {
		all = append(all, strings.TrimSpace(f.Code+" "+string(f.Severity)+" "+f.Object+" "+f.Istio))
	}
	return all
}

func TestDiagnoseServices(t *testing.T) {
	t.Parallel()
	app := map[string]string{"app": "server"}
	port := func(name string, number int32, target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: number, TargetPort: target}
	}
	at := intstr.FromInt32(50051)
	for _, tc := range []struct {
		name     string
		services []corev1.Service
		led      map[string][]int
		want     []string
	}{
		{"none", nil, nil, nil},
		{"in order", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("grpc", 8000, at))}, nil, nil},
		{"to another port", []corev1.Service{serviceOf("web", "10.0.0.1", app, port("web", 80, intstr.FromInt32(8080)))}, nil, nil},
		{"another's", []corev1.Service{serviceOf("cart", "10.0.0.1", map[string]string{"app": "cart"}, port("web", 80, at))}, nil, nil},
		{"misnamed", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("web", 80, at))}, nil, []string{"GM144 warning Service/server IST0118"}},
		{"another protocol", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("http-web", 80, at))}, nil, []string{"GM144 warning Service/server"}},
		{"misnamed, and a route leads there", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("tcp", 80, at))}, map[string][]int{"test/server": {80}}, []string{"GM144 error Service/server"}},
		{"a name that no container has", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("grpc", 80, intstr.FromString("rpc")))}, nil, []string{"GM139 error Service/server"}},
		{"headless", []corev1.Service{serviceOf("server", "None", app, port("grpc", 80, at))}, nil, []string{"GM145 warning Service/server"}},
		{"headless beside another", []corev1.Service{serviceOf("server", "None", app, port("grpc", 80, at)), serviceOf("s2", "10.0.0.1", app, port("grpc", 80, at))}, nil, nil},
		{"two ports", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("grpc", 80, at), port("grpc-b", 81, at))}, nil, []string{"GM148 warning Deployment/server IST0137"}},
		{"two Services by one number", []corev1.Service{serviceOf("server", "10.0.0.1", app, port("grpc", 80, at)), serviceOf("s2", "10.0.0.2", app, port("grpc", 80, at))}, nil, nil},
	} {
		d := sick(tc.services...)
		if tc.led != nil {
			d.led = tc.led
		}
		d.diagnoseServices(d.workloads[0], d.grpcPorts(d.workloads[0]))
		if diff := cmp.Diff(tc.want, told(d.found)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestDiagnoseRoutes holds where routes lead against what there is, and takes a
// port for gRPC's because a gateway's gRPC port leads there.
func TestDiagnoseRoutes(t *testing.T) {
	t.Parallel()
	selector := map[string]string{"istio": "edge"}
	in := istio.Ingress{Namespace: "edge", Service: "edge", Selector: selector, Ports: []istio.IngressPort{{Port: 8000, Target: 8000}},
		Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: selector}}}}
	ready := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Labels: map[string]string{"app": "server"}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	for _, tc := range []struct {
		name, destination string
		pods              []corev1.Pod
		replicas          int32
		want              []string
	}{
		{"in order", "{host: server, port: {number: 80}}", []corev1.Pod{ready}, 1, nil},
		{"by its only port", "{host: server.test.svc.cluster.local}", []corev1.Pod{ready}, 1, nil},
		{"no such Service", "{host: srever}", []corev1.Pod{ready}, 1, []string{"GM168 error VirtualService/mine IST0101"}},
		{"no such port", "{host: server, port: {number: 50051}}", []corev1.Pod{ready}, 1, []string{"GM168 error VirtualService/mine IST0101"}},
		{"perhaps a ServiceEntry's", "{host: api.example}", []corev1.Pod{ready}, 1, nil},
		{"in a namespace that was not read", "{host: x.other.svc.cluster.local}", []corev1.Pod{ready}, 1, nil},
		{"no pod", "{host: server}", nil, 1, []string{"GM159 error VirtualService/mine"}},
		{"no pod is wanted", "{host: server}", nil, 0, []string{"GM159 warning VirtualService/mine"}},
	} {
		d := sick(serviceOf("server", "10.0.0.1", map[string]string{"app": "server"}, corev1.ServicePort{Name: "web", Port: 80, TargetPort: intstr.FromInt32(9000)}))
		d.workloads[0].Replicas, d.pods = tc.replicas, tc.pods
		d.gateways, d.ingresses = []istio.Ingress{in}, []istio.Ingress{in}
		d.routes.VirtualServices = []*clientnet.VirtualService{virtualService(t, "test", "mine", "gateways: [edge/grpc], hosts: ['*'], http: [{route: [{destination: "+tc.destination+"}]}]")}
		gw := &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "edge", Name: "grpc"}}
		gw.Spec.Selector = selector
		gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: 8000, Name: "grpc", Protocol: "GRPC"}, Hosts: []string{"*"}}}
		d.routes.Gateways = []*clientnet.Gateway{gw}
		d.follow()
		d.diagnoseRoutes()
		if diff := cmp.Diff(tc.want, told(d.found)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if tc.name == "in order" {
			if got := d.grpcPorts(d.workloads[0]); !cmp.Equal(got, []int{9000, 50051}) {
				t.Errorf("%s: gRPC on %v; want the declared port, and the one that the gateway's gRPC leads to", tc.name, got)
			}
		}
	}
}

// TestDiagnoseGateways: a gateway whose load balancer waits for its address is
// told of where a Gateway is for it, and only there.
func TestDiagnoseGateways(t *testing.T) {
	t.Parallel()
	selector := map[string]string{"istio": "edge"}
	waiting := istio.Ingress{Namespace: "edge", Service: "edge", Type: corev1.ServiceTypeLoadBalancer, Selector: selector, Ports: []istio.IngressPort{{Port: 8000, Target: 8000}},
		Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: selector}}}}
	balanced, inside, another := waiting, waiting, waiting
	balanced.Addresses, inside.Type, another.Selector = []string{"203.0.113.10"}, corev1.ServiceTypeClusterIP, map[string]string{"istio": "another"}
	for _, tc := range []struct {
		name      string
		ingresses []istio.Ingress
		want      []string
	}{
		{"no address yet", []istio.Ingress{waiting}, []string{"GM155 warning Service/edge"}},
		{"an address", []istio.Ingress{balanced}, nil},
		{"no load balancer", []istio.Ingress{inside}, nil},
		{"another gateway's", []istio.Ingress{inside, another}, nil},
	} {
		d := sick()
		d.gateways, d.ingresses = tc.ingresses, tc.ingresses
		gw := &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "grpc"}}
		gw.Spec.Selector = selector
		gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: 8000, Name: "grpc", Protocol: "GRPC"}, Hosts: []string{"*"}}}
		d.routes.Gateways = []*clientnet.Gateway{gw}
		if err := d.diagnoseGateways(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, told(d.found)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
