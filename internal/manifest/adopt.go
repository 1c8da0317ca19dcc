package manifest

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
func Adopted(object map[string]any) string { return annotation(object, AdoptedAnnotation) }

func annotation(object map[string]any, key string) string {
	text, _, _ := unstructured.NestedString(object, "metadata", "annotations", key)
	return text
}

// Remember notes on an object to apply what it was before it was adopted.
func (o Object) Remember(record string) {
	if o.Apply != nil {
		o.Apply.annotate(AdoptedAnnotation, record)
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
	obj := newObject(id.Kind, id.Namespace, id.Name)
	err := json.Unmarshal([]byte(record), obj.Apply)
	if !slices.Contains([]string{"Namespace", "Service", "Gateway", "VirtualService", "DestinationRule"}, id.Kind) {
		err = fmt.Errorf("%s is of a kind that is never given back", id)
	}
	if err != nil {
		return Object{}, fmt.Errorf("%s: its annotation %s can't be read: %w", id, AdoptedAnnotation, err)
	}
	is := newObject(id.Kind, id.Namespace, id.Name).Apply // whatever the record says of that
	obj.Apply.Kind, obj.Apply.APIVersion, obj.Apply.Metadata.Name, obj.Apply.Metadata.Namespace = is.Kind, is.APIVersion, id.Name, id.Namespace
	return obj, nil
}
