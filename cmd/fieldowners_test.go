package cmd

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

// fieldOwners holds objects as the API server does, in memory: whose each field
// is, is decided by the API server's own code (k8s.io/apimachinery). What it
// leaves out is admission, defaults and validation, which no plan leans on.
// TestWorlds of package e2e holds the real one to the same properties.
type fieldOwners struct {
	objects map[manifest.ID]*unstructured.Unstructured
	version int
	writes  []manifest.ID // that were persisted
}

func newFieldOwners() *fieldOwners {
	return &fieldOwners{objects: map[manifest.ID]*unstructured.Unstructured{}, version: 100}
}

// kinds are how the API server takes each kind's fields: a Service's ports are
// keyed, and of Istio's kinds, whose schemas key no list, every list is one value.
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

func empty(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvk(kind))
	return u
}

func (s *fieldOwners) ids() []manifest.ID {
	return slices.SortedFunc(maps.Keys(s.objects), func(a, b manifest.ID) int {
		return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name)
	})
}

// Get implements k8s.Applier.
func (s *fieldOwners) Get(_ context.Context, id manifest.ID) (*plan.State, error) {
	u, ok := s.objects[id]
	if !ok {
		return nil, nil //nolint:nilnil // as k8s.Applier has it
	}
	return stateOf(u), nil
}

func stateOf(u *unstructured.Unstructured) *plan.State {
	return &plan.State{UID: string(u.GetUID()), ResourceVersion: u.GetResourceVersion(), Labels: u.GetLabels(), Object: u.DeepCopy().Object}
}

// Apply implements k8s.Applier.
func (s *fieldOwners) Apply(_ context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	b, err := json.Marshal(obj.Apply)
	if err != nil {
		return nil, err
	}
	applied := empty(obj.Kind)
	if err := json.Unmarshal(b, &applied.Object); err != nil {
		return nil, err
	}
	if resourceVersion != "" && resourceVersion != "1" && s.objects[obj.ID] != nil && s.objects[obj.ID].GetResourceVersion() != resourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: obj.Kind}, obj.Name, fmt.Errorf("it is at another version"))
	}
	u, err := s.apply(obj.ID, applied, opts.FieldManager, opts.Force)
	if err != nil {
		return nil, err
	}
	if len(opts.DryRun) == 0 {
		s.store(obj.ID, u)
	}
	return stateOf(u), nil
}

func (s *fieldOwners) apply(id manifest.ID, applied *unstructured.Unstructured, manager string, force bool) (*unstructured.Unstructured, error) {
	live := empty(id.Kind)
	if s.objects[id] != nil {
		live = s.objects[id].DeepCopy()
	}
	made, err := kinds[id.Kind].Apply(live, applied, manager, force)
	if err != nil {
		return nil, err
	}
	return s.next(id, made), nil
}

// update is what kubectl create, edit, patch and label do: the whole object is
// sent, and what differs in it becomes the manager's.
func (s *fieldOwners) update(id manifest.ID, wanted *unstructured.Unstructured, manager string) error {
	live := empty(id.Kind)
	if s.objects[id] != nil {
		live = s.objects[id].DeepCopy()
	}
	made, err := kinds[id.Kind].Update(live, wanted.DeepCopy(), manager)
	if err != nil {
		return err
	}
	s.store(id, s.next(id, made))
	return nil
}

func (s *fieldOwners) next(id manifest.ID, obj runtime.Object) *unstructured.Unstructured {
	u := obj.(*unstructured.Unstructured)
	u.SetName(id.Name)
	u.SetNamespace(id.Namespace)
	if s.objects[id] != nil {
		u.SetUID(s.objects[id].GetUID())
		u.SetResourceVersion(s.objects[id].GetResourceVersion())
		return u
	}
	u.SetUID(types.UID("uid-" + strconv.Itoa(s.version)))
	return u
}

func (s *fieldOwners) store(id manifest.ID, u *unstructured.Unstructured) {
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[id] = u
	s.writes = append(s.writes, id)
}

// Delete implements k8s.Applier.
func (s *fieldOwners) Delete(_ context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	u := s.objects[id]
	if u == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: id.Kind}, id.Name)
	}
	if p := opts.Preconditions; p == nil || *p.UID != u.GetUID() || *p.ResourceVersion != u.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Resource: id.Kind}, id.Name, fmt.Errorf("the preconditions do not hold: %+v", p))
	}
	delete(s.objects, id)
	s.writes = append(s.writes, id)
	return nil
}

// theirs are the fields of an object that managers other than grpcmesh own, as
// paths with the values that the object has there.
func theirs(u *unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	for _, entry := range u.GetManagedFields() {
		if entry.Manager == manifest.FieldManager {
			continue
		}
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

// foreignSpec says whether others than grpcmesh have written into the spec, and
// whether grpcmesh has applied the object.
func foreignSpec(u *unstructured.Unstructured) (foreign, applied bool) {
	for path := range theirs(u) {
		_, path, _ = strings.Cut(path, ":")
		foreign = foreign || strings.HasPrefix(path, "/f:spec")
	}
	return foreign, slices.ContainsFunc(u.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == manifest.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply
	})
}
