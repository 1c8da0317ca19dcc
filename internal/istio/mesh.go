// Package istio knows the mesh: its injectors, its ingress gateways and its
// routes. It reads them through the Istio clientset and the core API, applies
// the kinds of networking.istio.io, and lends verify its probe route.
package istio

import (
	"context"
	"fmt"

	netac "istio.io/client-go/pkg/applyconfiguration/networking/v1alpha3"
	"istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Mesh reads and writes what belongs to Istio. It uses the API version
// v1alpha3 throughout: it is the one that meshes from Istio 1.8 (as Tencent's
// oldest still are) up to today's serve, with the same schema as v1.
type Mesh struct {
	client versioned.Interface
	core   kubernetes.Interface
	reads  *k8s.Cluster // the same cluster, and what a run remembers of it
}

// New makes the Istio clients beside a cluster's core ones. It opens no
// connection.
func New(cfg *rest.Config, core kubernetes.Interface) (*Mesh, error) {
	client, err := versioned.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Mesh{client: client, core: core, reads: &k8s.Cluster{Core: core, Config: cfg}}, nil
}

// Beside is the same mesh to a run that remembers what it has listed.
func (m *Mesh) Beside(c *k8s.Cluster) *Mesh {
	one := *m
	one.reads = c
	return &one
}

// Get implements k8s.Applier for Gateway, VirtualService and DestinationRule.
func (m *Mesh) Get(ctx context.Context, id manifest.ID) (*plan.State, error) {
	if m.reads.Remembers() {
		return m.recall(ctx, id)
	}
	api := m.client.NetworkingV1alpha3()
	switch id.Kind {
	case "Gateway":
		return k8s.StateOf(api.Gateways(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	case "VirtualService":
		return k8s.StateOf(api.VirtualServices(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	case "DestinationRule":
		return k8s.StateOf(api.DestinationRules(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	}
	return nil, fmt.Errorf("%s: no such kind here", id)
}

// Apply implements k8s.Applier for Gateway, VirtualService and DestinationRule.
func (m *Mesh) Apply(ctx context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	api := m.client.NetworkingV1alpha3()
	switch ac := obj.Apply.(type) {
	case *netac.GatewayApplyConfiguration:
		if resourceVersion != "" {
			ac.WithResourceVersion(resourceVersion)
		}
		return k8s.StateOf(api.Gateways(obj.Namespace).Apply(ctx, ac, opts))
	case *netac.VirtualServiceApplyConfiguration:
		if resourceVersion != "" {
			ac.WithResourceVersion(resourceVersion)
		}
		return k8s.StateOf(api.VirtualServices(obj.Namespace).Apply(ctx, ac, opts))
	case *netac.DestinationRuleApplyConfiguration:
		if resourceVersion != "" {
			ac.WithResourceVersion(resourceVersion)
		}
		return k8s.StateOf(api.DestinationRules(obj.Namespace).Apply(ctx, ac, opts))
	}
	return nil, fmt.Errorf("%s: no such kind here", obj.ID)
}

// Delete implements k8s.Applier for Gateway, VirtualService and DestinationRule.
func (m *Mesh) Delete(ctx context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	api := m.client.NetworkingV1alpha3()
	switch id.Kind {
	case "Gateway":
		return api.Gateways(id.Namespace).Delete(ctx, id.Name, opts)
	case "VirtualService":
		return api.VirtualServices(id.Namespace).Delete(ctx, id.Name, opts)
	case "DestinationRule":
		return api.DestinationRules(id.Namespace).Delete(ctx, id.Name, opts)
	}
	return fmt.Errorf("%s: no such kind here", id)
}
