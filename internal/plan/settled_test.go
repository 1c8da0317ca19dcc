package plan

import (
	"encoding/json"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	istioac "istio.io/client-go/pkg/applyconfiguration/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"grpcmesh/internal/manifest"
)

// These are as the lab's API server keeps them, but for what is left out.
const (
	liveService = `{"metadata": {"name": "server", "namespace": "test", "labels": {"app": "server", "theirs": "yes"}, "managedFields": [
		{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}},
		{"manager": "grpcmesh", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {
			"f:metadata": {"f:labels": {"f:app": {}}},
			"f:spec": {"f:ports": {"k:{\"port\":8000,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}}, "f:selector": {}}}}]},
		"spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "other", "port": 9000, "protocol": "TCP"}, {"name": "grpc", "port": 8000, "protocol": "TCP", "targetPort": 8000}], "selector": {"app": "server"}}}`
	liveGateway = `{"metadata": {"name": "grpc", "namespace": "test", "managedFields": [
		{"manager": "grpcmesh", "operation": "Apply", "apiVersion": "networking.istio.io/v1alpha3", "fieldsType": "FieldsV1", "fieldsV1": {
			"f:spec": {"f:selector": {"f:istio": {}}, "f:servers": {}}}}]},
		"spec": {"selector": {"istio": "ingressgateway"}, "servers": [{"hosts": ["a.example"], "port": {"name": "grpc-80", "number": 80, "protocol": "GRPC"}}]}}`
	liveNamespace = `{"metadata": {"name": "test", "labels": {"kubernetes.io/metadata.name": "test"}}}`
)

func service(change func(*coreac.ServiceApplyConfiguration)) manifest.Object {
	s := coreac.Service("server", "test").WithLabels(map[string]string{"app": "server"}).
		WithSpec(coreac.ServiceSpec().WithSelector(map[string]string{"app": "server"}).
			WithPorts(coreac.ServicePort().WithName("grpc").WithPort(8000).WithProtocol(corev1.ProtocolTCP)))
	change(s)
	return manifest.Object{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Apply: s}
}

func gatewayOf(hosts ...string) manifest.Object {
	gw := istioac.Gateway("grpc", "test")
	gw.Spec = &networking.Gateway{Selector: map[string]string{"istio": "ingressgateway"},
		Servers: []*networking.Server{{Hosts: hosts, Port: &networking.Port{Number: 80, Name: "grpc-80", Protocol: "GRPC"}}}}
	return manifest.Object{ID: manifest.ID{Kind: "Gateway", Namespace: "test", Name: "grpc"}, Apply: gw}
}

// TestSettled: only what is surely as wanted is; one more, one fewer or another
// field, and the server is asked.
func TestSettled(t *testing.T) {
	same := func(*coreac.ServiceApplyConfiguration) {}
	for _, tc := range []struct {
		name string
		want manifest.Object
		live string
		is   bool
	}{
		{"a Service", service(same), liveService, true},
		{"one label more", service(func(s *coreac.ServiceApplyConfiguration) { s.WithLabels(map[string]string{"new": "x"}) }), liveService, false},
		{"one label fewer", service(func(s *coreac.ServiceApplyConfiguration) { s.Labels = nil }), liveService, false},
		{"another's label", service(func(s *coreac.ServiceApplyConfiguration) { s.Labels = map[string]string{"theirs": "yes"} }), liveService, false},
		{"another value", service(func(s *coreac.ServiceApplyConfiguration) { s.Labels["app"] = "x" }), liveService, false},
		{"another value of a map owned whole", service(func(s *coreac.ServiceApplyConfiguration) { s.Spec.Selector["app"] = "x" }), liveService, false},
		{"another port", service(func(s *coreac.ServiceApplyConfiguration) { s.Spec.Ports[0].WithPort(9000) }), liveService, false},
		{"a port's other name", service(func(s *coreac.ServiceApplyConfiguration) { s.Spec.Ports[0].WithName("x") }), liveService, false},
		{"a port's new field", service(func(s *coreac.ServiceApplyConfiguration) { s.Spec.Ports[0].WithAppProtocol("grpc") }), liveService, false},
		{"one port more", service(func(s *coreac.ServiceApplyConfiguration) { s.Spec.WithPorts(coreac.ServicePort().WithPort(9000)) }), liveService, false},
		{"another object of its name", service(func(s *coreac.ServiceApplyConfiguration) { s.WithUID("gone") }), liveService, false},
		{"of no one", service(same), `{"metadata": {"name": "server"}, "spec": {"selector": {"app": "server"}}}`, false},
		{"a Gateway", gatewayOf("a.example"), liveGateway, true},
		{"a list owned whole", gatewayOf("a.example", "b.example"), liveGateway, false},
		{"nothing wanted, nothing owned", manifest.NamespaceObject("test", "u"), liveNamespace, true},
		{"nothing wanted of what is owned", manifest.Object{Apply: istioac.Gateway("grpc", "test")}, liveGateway, false},
		{"nothing at all", manifest.Object{}, liveGateway, false},
	} {
		live := State{UID: "u"}
		if err := json.Unmarshal([]byte(tc.live), &live.Object); err != nil {
			t.Fatal(err)
		}
		if got := Settled(tc.want, live); got != tc.is {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
