package typed

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

type list[L any] interface {
	*L
	runtime.Object
}

// objects implements Objects by a REST client, as the clients do that client-go
// generates. (Its gentype, of which those are made, brings along its fakes.)
type objects[T, L any, P object[T], PL list[L]] struct {
	group               Group
	resource, namespace string
}

// In are a namespace's objects of a kind, or all there are where it is empty.
func In[T, L any, P object[T], PL list[L]](g Group, resource, namespace string) Objects[P, PL] {
	return objects[T, L, P, PL]{g, resource, namespace}
}

// of are the objects of a kind, by their namespace.
func of[T, L any, P object[T], PL list[L]](g Group, resource string) func(string) Objects[P, PL] {
	return func(namespace string) Objects[P, PL] { return In[T, L, P, PL](g, resource, namespace) }
}

// all are the objects of a kind that has no namespaces.
func all[T, L any, P object[T], PL list[L]](g Group, resource string) func() Objects[P, PL] {
	return func() Objects[P, PL] { return In[T, L, P, PL](g, resource, "") }
}

func (o objects[T, L, P, PL]) about(r *rest.Request, opts runtime.Object) *rest.Request {
	return r.UseProtobufAsDefaultIfPreferred(o.group.protobuf).NamespaceIfScoped(o.namespace, o.namespace != "").
		Resource(o.resource).VersionedParams(opts, o.group.params)
}

func (o objects[T, L, P, PL]) Get(ctx context.Context, name string, opts metav1.GetOptions) (P, error) {
	got := P(new(T))
	return got, o.about(o.group.Get(), &opts).Name(name).Do(ctx).Into(got)
}

func (o objects[T, L, P, PL]) List(ctx context.Context, opts metav1.ListOptions) (PL, error) {
	got := PL(new(L))
	return got, o.about(o.group.Get(), &opts).Do(ctx).Into(got)
}

func (o objects[T, L, P, PL]) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	return o.about(o.group.Get(), &opts).Watch(ctx)
}

func (o objects[T, L, P, PL]) Create(ctx context.Context, obj P, opts metav1.CreateOptions) (P, error) {
	got := P(new(T))
	return got, o.about(o.group.Post(), &opts).Body(obj).Do(ctx).Into(got)
}

func (o objects[T, L, P, PL]) Patch(ctx context.Context, name string, form types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (P, error) {
	got := P(new(T))
	return got, o.about(o.group.Patch(form), &opts).Name(name).SubResource(subresources...).Body(data).Do(ctx).Into(got)
}

func (o objects[T, L, P, PL]) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	return o.group.Delete().UseProtobufAsDefaultIfPreferred(o.group.protobuf).NamespaceIfScoped(o.namespace, o.namespace != "").
		Resource(o.resource).Name(name).Body(&opts).Do(ctx).Error()
}
