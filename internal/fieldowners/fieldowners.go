// Package fieldowners is the API server's bookkeeping of whose each field is, in
// memory, for tests: by the API server's own code. Package e2e holds it to a
// real one.
package fieldowners

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Server holds objects as the API server does. What it leaves out is admission,
// defaults and validation, which no plan leans on. It is a k8s.Applier.
type Server struct {
	Objects map[manifest.ID]*unstructured.Unstructured
	version int
	Writes  []manifest.ID // that were persisted
}

// New holds nothing.
func New() *Server {
	return &Server{Objects: map[manifest.ID]*unstructured.Unstructured{}, version: 100}
}

// kinds are how the API server takes each kind's fields: a Service's ports are
// keyed, and of Istio's kinds, whose schemas key no list, every list is one value.
//
//nolint:gochecknoglobals // made once: each reads the schemas of every kind
var kinds = map[string]*managedfields.FieldManager{
	"Namespace": fieldManager(applyconfigurations.NewTypeConverter(scheme.Scheme), "Namespace"),
	"Service":   fieldManager(applyconfigurations.NewTypeConverter(scheme.Scheme), "Service"),

	"Gateway":        fieldManager(managedfields.NewDeducedTypeConverter(), "Gateway"),
	"VirtualService": fieldManager(managedfields.NewDeducedTypeConverter(), "VirtualService"),
}

func fieldManager(types managedfields.TypeConverter, kind string) *managedfields.FieldManager {
	return managedfieldstest.NewFakeFieldManager(types, gvk(kind))
}

func gvk(kind string) schema.GroupVersionKind {
	if kind == "Namespace" || kind == "Service" {
		return schema.GroupVersionKind{Version: "v1", Kind: kind}
	}
	return schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: kind}
}

// Empty is an object of the kind, and nothing more.
func Empty(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvk(kind))
	return u
}

// IDs are those of all its objects, sorted.
func (s *Server) IDs() []manifest.ID {
	return slices.SortedFunc(maps.Keys(s.Objects), func(a, b manifest.ID) int {
		return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name)
	})
}

// Get implements k8s.Applier.
func (s *Server) Get(_ context.Context, id manifest.ID) (*plan.State, error) {
	u, ok := s.Objects[id]
	if !ok {
		return nil, nil //nolint:nilnil // as k8s.Applier has it
	}
	return StateOf(u), nil
}

// StateOf is the object as a plan reads it.
func StateOf(u *unstructured.Unstructured) *plan.State {
	return &plan.State{UID: string(u.GetUID()), ResourceVersion: u.GetResourceVersion(), Labels: u.GetLabels(), Object: u.DeepCopy().Object}
}

// Apply implements k8s.Applier.
func (s *Server) Apply(_ context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	b, err := json.Marshal(obj.Apply)
	if err != nil {
		return nil, err
	}
	applied := Empty(obj.Kind)
	if err := json.Unmarshal(b, &applied.Object); err != nil {
		return nil, err
	}
	if resourceVersion != "" && resourceVersion != "1" && s.Objects[obj.ID] != nil && s.Objects[obj.ID].GetResourceVersion() != resourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: obj.Kind}, obj.Name, fmt.Errorf("it is at another version"))
	}
	u, err := s.ApplyAs(obj.ID, applied, opts.FieldManager, opts.Force)
	if err != nil {
		return nil, err
	}
	if len(opts.DryRun) == 0 {
		s.Store(obj.ID, u)
	}
	return StateOf(u), nil
}

// ApplyAs is what a server-side apply by the manager comes to; nothing is stored.
func (s *Server) ApplyAs(id manifest.ID, applied *unstructured.Unstructured, manager string, force bool) (*unstructured.Unstructured, error) {
	live := Empty(id.Kind)
	if s.Objects[id] != nil {
		live = s.Objects[id].DeepCopy()
	}
	made, err := kinds[id.Kind].Apply(live, applied, manager, force)
	if err != nil {
		return nil, err
	}
	return s.next(id, made), nil
}

// Update is what kubectl create, edit, patch and label do: the whole object is
// sent, and what differs in it becomes the manager's.
func (s *Server) Update(id manifest.ID, wanted *unstructured.Unstructured, manager string) error {
	live := Empty(id.Kind)
	if s.Objects[id] != nil {
		live = s.Objects[id].DeepCopy()
	}
	made, err := kinds[id.Kind].Update(live, wanted.DeepCopy(), manager)
	if err != nil {
		return err
	}
	s.Store(id, s.next(id, made))
	return nil
}

func (s *Server) next(id manifest.ID, obj runtime.Object) *unstructured.Unstructured {
	u := obj.(*unstructured.Unstructured)
	u.SetName(id.Name)
	u.SetNamespace(id.Namespace)
	if s.Objects[id] != nil {
		u.SetUID(s.Objects[id].GetUID())
		u.SetResourceVersion(s.Objects[id].GetResourceVersion())
		return u
	}
	u.SetUID(types.UID("uid-" + strconv.Itoa(s.version)))
	return u
}

// Store persists what ApplyAs gave.
func (s *Server) Store(id manifest.ID, u *unstructured.Unstructured) {
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.Objects[id] = u
	s.Writes = append(s.Writes, id)
}

// Delete implements k8s.Applier.
func (s *Server) Delete(_ context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	u := s.Objects[id]
	if u == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: id.Kind}, id.Name)
	}
	if p := opts.Preconditions; p == nil || *p.UID != u.GetUID() || *p.ResourceVersion != u.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Resource: id.Kind}, id.Name, fmt.Errorf("the preconditions do not hold: %+v", p))
	}
	delete(s.Objects, id)
	s.Writes = append(s.Writes, id)
	return nil
}

// Theirs are the fields of an object that managers other than grpcmesh own, as
// Owners has them.
func Theirs(u *unstructured.Unstructured) map[string]string {
	found := Owners(u)
	maps.DeleteFunc(found, func(path, _ string) bool { return strings.HasPrefix(path, manifest.FieldManager+" ") })
	return found
}

// Owners are the fields of an object that are owned, each as "MANAGER
// OPERATION:path", with the value that the object has there.
func Owners(u *unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	for _, entry := range u.GetManagedFields() {
		fields := map[string]any{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			panic(err)
		}
		owned(entry.Manager+" "+string(entry.Operation)+":", fields, u.Object, found)
	}
	return found
}

func owned(path string, fields map[string]any, value any, found map[string]string) {
	for key, below := range fields {
		below, at := below.(map[string]any), value
		switch kind, name, _ := strings.Cut(key, ":"); kind {
		case "f":
			m, _ := value.(map[string]any)
			at = m[name]
		case "k":
			at = item(value, name)
		}
		if len(below) == 0 {
			b, err := json.Marshal(at)
			if err != nil {
				panic(err)
			}
			if key == "." { // that it is there is all that is owned
				b = nil
			}
			found[path+"/"+key] = string(b)
			continue
		}
		owned(path+"/"+key, below, at, found)
	}
}

// item is the member of a list that has the key's fields.
func item(list any, key string) any {
	var want map[string]any
	if err := json.Unmarshal([]byte(key), &want); err != nil {
		panic(err)
	}
	all, _ := list.([]any)
	for _, one := range all {
		if m, _ := one.(map[string]any); fmt.Sprint(m["port"]) == fmt.Sprint(want["port"]) && m["protocol"] == want["protocol"] {
			return m
		}
	}
	return nil
}

// ForeignSpec says whether others than grpcmesh have written into the spec, and
// whether grpcmesh has applied the object.
func ForeignSpec(u *unstructured.Unstructured) (foreign, applied bool) {
	for path := range Theirs(u) {
		_, path, _ = strings.Cut(path, ":")
		foreign = foreign || strings.HasPrefix(path, "/f:spec")
	}
	return foreign, slices.ContainsFunc(u.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == manifest.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply
	})
}
