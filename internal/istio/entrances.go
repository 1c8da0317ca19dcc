package istio

import (
	"slices"
	"strings"

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

// Behind is another VirtualService that takes every call which a VirtualService
// should have, and the first host of which that is so; or nil. Gateways try
// routes for one host by age, and those that take every call last.
func (r Routes) Behind(vs *clientnet.VirtualService, ingresses []Ingress) (host string, other *clientnet.VirtualService) {
	of := func(e Entry) bool { return e.VirtualService == vs }
	for _, l := range r.Entrances(vs, ingresses) {
		listeners := r.Listeners(l.Ingress, int(l.Server.Port.GetNumber()))
		for _, host := range claims(l, vs.Namespace, vs.Spec.Hosts) {
			some := strings.Replace(host, "*", "grpcmesh", 1)
			table := r.Table(l, r.Serving(listeners, some))
			first := slices.IndexFunc(table, Entry.TakesAll)
			if first >= 0 && slices.ContainsFunc(table, of) && !slices.ContainsFunc(table[:first+1], of) {
				return host, table[first].VirtualService
			}
		}
	}
	return "", nil
}

// BeyondMesh says whether a VirtualService is for gateways at all, and not only
// for the sidecars of the mesh.
func BeyondMesh(vs *clientnet.VirtualService) bool {
	return slices.ContainsFunc(vs.Spec.Gateways, func(g string) bool { return g != "mesh" })
}
