package istio

import (
	"slices"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
)

// Entrances are the listeners by which calls reach a VirtualService: of the
// Gateways that it names, on ports that the ingress opens, whose hosts admit
// one of its own.
func (r Routes) Entrances(vs *clientnet.VirtualService, ingresses []Ingress) []Listener {
	var found []Listener
	for _, in := range ingresses {
		for _, l := range r.Listeners(in, 0) {
			if _, open := in.Port(int(l.Server.Port.GetNumber())); !open || !Bound(vs, l.Gateway) {
				continue
			}
			if len(claims(l, vs.Namespace, vs.Spec.Hosts)) > 0 {
				found = append(found, l)
			}
		}
	}
	return found
}

// BeyondMesh says whether a VirtualService is for gateways at all, and not only
// for the sidecars of the mesh.
func BeyondMesh(vs *clientnet.VirtualService) bool {
	return slices.ContainsFunc(vs.Spec.Gateways, func(g string) bool { return g != "mesh" })
}
