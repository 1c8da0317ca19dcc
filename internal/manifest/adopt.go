package manifest

import (
	"encoding/json"
	"fmt"
	"slices"

	istioac "istio.io/client-go/pkg/applyconfiguration/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
)

// AdoptedAnnotation is on an object that someone else made and that grpcmesh
// took over by --adopt: what its fields were before, as JSON. It is what tells
// unexpose to give them back and not to delete the object.
const AdoptedAnnotation = "grpcmesh.dev/adopted"

// GivenBack is the field manager of a namespace's label that unexpose gave back:
// were it FieldManager, the next unexpose would take the label for its own.
const GivenBack = "grpcmesh-given-back"

// Adopted is what an object's annotations say that it was before grpcmesh took
// it over, or "".
func Adopted(object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	record, _ := annotations[AdoptedAnnotation].(string)
	return record
}

// Remember notes on an object to apply what it was before it was adopted.
func (o Object) Remember(record string) {
	note := map[string]string{AdoptedAnnotation: record}
	switch ac := o.Apply.(type) {
	case *coreac.NamespaceApplyConfiguration:
		ac.WithAnnotations(note)
	case *coreac.ServiceApplyConfiguration:
		ac.WithAnnotations(note)
	case *istioac.GatewayApplyConfiguration:
		ac.WithAnnotations(note)
	case *istioac.VirtualServiceApplyConfiguration:
		ac.WithAnnotations(note)
	}
}

// Before is what the fields that applying the object takes are now, as JSON:
// applied by Restored they are so again.
func (o Object) Before(live map[string]any) (string, error) {
	b, err := json.Marshal(o.Apply)
	if err != nil {
		return "", err
	}
	var sent map[string]any
	if err := json.Unmarshal(b, &sent); err != nil {
		return "", err
	}
	record := map[string]any{}
	for _, part := range []string{"metadata", "spec"} {
		if sent[part] == nil {
			continue // nothing of it is taken
		}
		if is, ok := earlier(sent[part], live[part]).(map[string]any); ok {
			for _, own := range []string{"name", "namespace", "uid", "resourceVersion"} {
				delete(is, own)
			}
			record[part] = is
		}
	}
	b, err = json.Marshal(record)
	return string(b), err
}

// earlier is the part of live that is under the paths of sent. A selector and
// most lists are one value to the API server; a Service's ports are told apart
// by number and protocol.
func earlier(sent, live any) any {
	to, ok1 := sent.(map[string]any)
	from, ok2 := live.(map[string]any)
	if !ok1 || !ok2 {
		return live
	}
	part := map[string]any{}
	for key, value := range to {
		is, there := from[key]
		switch {
		case !there:
		case key == "selector":
			part[key] = is
		case key == "ports":
			part[key] = portsOf(value, is)
		default:
			part[key] = earlier(value, is)
		}
	}
	return part
}

// portsOf are the live ports that have the number and the protocol of one sent.
func portsOf(sent, live any) any {
	to, _ := sent.([]any)
	from, _ := live.([]any)
	id := func(port any) string {
		p, _ := port.(map[string]any)
		protocol, _ := p["protocol"].(string)
		if protocol == "" {
			protocol = "TCP"
		}
		return fmt.Sprint(p["port"], "/", protocol)
	}
	return slices.DeleteFunc(slices.Clone(from), func(port any) bool {
		return !slices.ContainsFunc(to, func(s any) bool { return id(s) == id(port) })
	})
}

// Restored is the object that gives back, when it is applied, what the record
// of an adoption says, or whatever else is written as JSON to be applied.
func Restored(id ID, record string) (Object, error) {
	obj := Object{ID: id}
	var err error
	switch id.Kind {
	case "Namespace":
		ac := coreac.Namespace(id.Name)
		err = json.Unmarshal([]byte(record), ac)
		obj.Apply = ac.WithName(id.Name)
	case "Service":
		ac := coreac.Service(id.Name, id.Namespace)
		err = json.Unmarshal([]byte(record), ac)
		obj.Apply = ac.WithName(id.Name).WithNamespace(id.Namespace)
	case "Gateway":
		ac := istioac.Gateway(id.Name, id.Namespace)
		err = json.Unmarshal([]byte(record), ac)
		obj.Apply = ac.WithName(id.Name).WithNamespace(id.Namespace)
	case "VirtualService":
		ac := istioac.VirtualService(id.Name, id.Namespace)
		err = json.Unmarshal([]byte(record), ac)
		obj.Apply = ac.WithName(id.Name).WithNamespace(id.Namespace)
	case "DestinationRule":
		ac := istioac.DestinationRule(id.Name, id.Namespace)
		err = json.Unmarshal([]byte(record), ac)
		obj.Apply = ac.WithName(id.Name).WithNamespace(id.Namespace)
	default:
		err = fmt.Errorf("%s is of a kind that is never given back", id)
	}
	if err != nil {
		return Object{}, fmt.Errorf("%s: its annotation %s can't be read: %w", id, AdoptedAnnotation, err)
	}
	return obj, nil
}

// takenService is another's Service with just what Istio needs to take its port
// for gRPC.
func (e Exposure) takenService() *coreac.ServiceApplyConfiguration {
	return coreac.Service(e.ServiceName(), e.Namespace).WithLabels(e.labels()).WithSpec(coreac.ServiceSpec().
		WithPorts(coreac.ServicePort().WithPort(int32(e.Port)).WithProtocol(corev1.ProtocolTCP).WithAppProtocol("grpc")))
}
