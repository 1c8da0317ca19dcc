// Package istio knows the mesh: its injectors, its ingress gateways and its
// routes. It reads them through clients of its own kinds and the core API, applies
// the kinds of networking.istio.io, and lends verify its probe route.
package istio

import (
	"context"
	"fmt"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	clientsec "istio.io/client-go/pkg/apis/security/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/typed"
)

// Mesh reads and writes what belongs to Istio. It uses the API version
// v1alpha3 throughout: it is the one that meshes from Istio 1.8 (as Tencent's
// oldest still are) up to today's serve, with the same schema as v1.
type Mesh struct {
	networking networkingKinds
	peers      typed.Group // security.istio.io/v1beta1, of which PeerAuthentications are read
	core       typed.Core
	reads      *k8s.Cluster // the same cluster, and what a run remembers of it
}

// networkingKinds are the kinds of networking.istio.io/v1alpha3.
type networkingKinds struct{ typed.Group }

func (n networkingKinds) Gateways(namespace string) typed.Objects[*clientnet.Gateway, *clientnet.GatewayList] {
	return typed.In[clientnet.Gateway, clientnet.GatewayList](n.Group, "gateways", namespace)
}

func (n networkingKinds) VirtualServices(namespace string) typed.Objects[*clientnet.VirtualService, *clientnet.VirtualServiceList] {
	return typed.In[clientnet.VirtualService, clientnet.VirtualServiceList](n.Group, "virtualservices", namespace)
}

func (n networkingKinds) DestinationRules(namespace string) typed.Objects[*clientnet.DestinationRule, *clientnet.DestinationRuleList] {
	return typed.In[clientnet.DestinationRule, clientnet.DestinationRuleList](n.Group, "destinationrules", namespace)
}

// New makes the Istio clients beside a cluster's core ones. It opens no
// connection.
func New(cfg *rest.Config, core typed.Core) (*Mesh, error) {
	over, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	group, err := typed.NewGroup(cfg, over, clientnet.SchemeGroupVersion, clientnet.AddToScheme)
	if err != nil {
		return nil, err
	}
	peers, err := typed.NewGroup(cfg, over, clientsec.SchemeGroupVersion, clientsec.AddToScheme)
	if err != nil {
		return nil, err
	}
	return &Mesh{networking: networkingKinds{group}, peers: peers, core: core, reads: &k8s.Cluster{Core: core, Config: cfg}}, nil
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
	api := m.networking
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
	api := m.networking
	switch obj.Kind {
	case "Gateway":
		return k8s.ApplyTo(ctx, api.Gateways(obj.Namespace), obj, resourceVersion, opts)
	case "VirtualService":
		return k8s.ApplyTo(ctx, api.VirtualServices(obj.Namespace), obj, resourceVersion, opts)
	case "DestinationRule":
		return k8s.ApplyTo(ctx, api.DestinationRules(obj.Namespace), obj, resourceVersion, opts)
	}
	return nil, fmt.Errorf("%s: no such kind here", obj.ID)
}

// Delete implements k8s.Applier for Gateway, VirtualService and DestinationRule.
func (m *Mesh) Delete(ctx context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	api := m.networking
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
