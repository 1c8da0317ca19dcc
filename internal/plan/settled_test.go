package plan

import (
	"encoding/json"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/types"

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

// wanted is what is wanted of the live Service, to be changed by a test.
type wanted struct {
	labels, selector map[string]string
	ports            []map[string]any
	uid              types.UID
}

func service(change func(*wanted)) manifest.Object {
	w := &wanted{labels: map[string]string{"app": "server"}, selector: map[string]string{"app": "server"},
		ports: []map[string]any{{"name": "grpc", "port": 8000, "protocol": "TCP"}}}
	change(w)
	return manifest.Object{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Apply: &manifest.Wanted{
		Kind: "Service", APIVersion: "v1", Metadata: manifest.Meta{Name: "server", Namespace: "test", UID: w.uid, Labels: w.labels},
		Spec: map[string]any{"selector": w.selector, "ports": w.ports}}}
}

func emptyGateway() *manifest.Wanted {
	return &manifest.Wanted{Kind: "Gateway", APIVersion: "networking.istio.io/v1alpha3", Metadata: manifest.Meta{Name: "grpc", Namespace: "test"}}
}

func gatewayOf(hosts ...string) manifest.Object {
	gw := emptyGateway()
	gw.Spec = &networking.Gateway{Selector: map[string]string{"istio": "ingressgateway"},
		Servers: []*networking.Server{{Hosts: hosts, Port: &networking.Port{Number: 80, Name: "grpc-80", Protocol: "GRPC"}}}}
	return manifest.Object{ID: manifest.ID{Kind: "Gateway", Namespace: "test", Name: "grpc"}, Apply: gw}
}

// TestSettled: only what is surely as wanted is; one more, one fewer or another
// field, and the server is asked.
func TestSettled(t *testing.T) {
	same := func(*wanted) {}
	for _, tc := range []struct {
		name string
		want manifest.Object
		live string
		is   bool
	}{
		{"a Service", service(same), liveService, true},
		{"one label more", service(func(w *wanted) { w.labels["new"] = "x" }), liveService, false},
		{"one label fewer", service(func(w *wanted) { w.labels = nil }), liveService, false},
		{"another's label", service(func(w *wanted) { w.labels = map[string]string{"theirs": "yes"} }), liveService, false},
		{"another value", service(func(w *wanted) { w.labels["app"] = "x" }), liveService, false},
		{"another value of a map owned whole", service(func(w *wanted) { w.selector["app"] = "x" }), liveService, false},
		{"another port", service(func(w *wanted) { w.ports[0]["port"] = 9000 }), liveService, false},
		{"a port's other name", service(func(w *wanted) { w.ports[0]["name"] = "x" }), liveService, false},
		{"a port's new field", service(func(w *wanted) { w.ports[0]["appProtocol"] = "grpc" }), liveService, false},
		{"one port more", service(func(w *wanted) { w.ports = append(w.ports, map[string]any{"port": 9000}) }), liveService, false},
		{"another object of its name", service(func(w *wanted) { w.uid = "gone" }), liveService, false},
		{"of no one", service(same), `{"metadata": {"name": "server"}, "spec": {"selector": {"app": "server"}}}`, false},
		{"a Gateway", gatewayOf("a.example"), liveGateway, true},
		{"a list owned whole", gatewayOf("a.example", "b.example"), liveGateway, false},
		{"nothing wanted, nothing owned", manifest.NamespaceObject("test", "u"), liveNamespace, true},
		{"nothing wanted of what is owned", manifest.Object{Apply: emptyGateway()}, liveGateway, false},
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
