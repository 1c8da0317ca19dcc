package istio

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Routes are the Gateways and VirtualServices of a cluster, grpcmesh's probe
// routes apart.
type Routes struct {
	Gateways        []*clientnet.Gateway
	VirtualServices []*clientnet.VirtualService
	Probes          []*clientnet.VirtualService
}

// Routes reads the routing of the whole cluster: a Gateway may be used from any
// namespace. A cluster without Istio's kinds is a *k8s.NotReadyError.
func (m *Mesh) Routes(ctx context.Context) (Routes, error) {
	return k8s.Recall(m.reads, "Routes", "", func() (Routes, error) { return m.routes(ctx) })
}

func (m *Mesh) routes(ctx context.Context) (Routes, error) {
	api := m.networking
	gws, err := api.Gateways(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return Routes{}, &k8s.NotReadyError{Code: finding.NoCRDs, Subject: "the mesh",
			Cause: "this cluster does not serve gateways and virtualservices of networking.istio.io/v1alpha3: Istio is not installed, or is older than 1.8",
			Hint:  "Nothing was written. See what there is: kubectl api-resources --api-group networking.istio.io"}
	}
	if err != nil {
		return Routes{}, fmt.Errorf("listing Gateways in all namespaces: %w", err)
	}
	vss, err := api.VirtualServices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Routes{}, fmt.Errorf("listing VirtualServices in all namespaces: %w", err)
	}
	r := Routes{Gateways: gws.Items}
	for _, vs := range vss.Items {
		if _, probe := vs.Labels[probeLabel]; probe {
			r.Probes = append(r.Probes, vs)
		} else {
			r.VirtualServices = append(r.VirtualServices, vs)
		}
	}
	return r, nil
}

// recall is the state of an object as the run has listed it.
func (m *Mesh) recall(ctx context.Context, id manifest.ID) (*plan.State, error) {
	if id.Kind == "DestinationRule" {
		return m.recallRule(ctx, id)
	}
	routes, err := m.Routes(ctx)
	if err != nil {
		return nil, err
	}
	by, err := k8s.Recall(m.reads, "Routes", "by ID", func() (map[manifest.ID]metav1.Object, error) {
		by := map[manifest.ID]metav1.Object{}
		for _, gw := range routes.Gateways {
			by[idOf("Gateway", gw)] = gw
		}
		for _, vs := range routes.VirtualServices {
			by[idOf("VirtualService", vs)] = vs
		}
		return by, nil
	})
	if by[id] == nil || err != nil {
		return nil, err
	}
	return k8s.StateOf(by[id], nil)
}

// Around are the routes as far as they can matter to a host: all Gateways, and
// of the VirtualServices those with a host that meets it, and the delegates.
// Calls, and names, of no other host are theirs.
func (r Routes) Around(host string) Routes {
	var near []*clientnet.VirtualService
	for _, vs := range r.VirtualServices {
		if len(vs.Spec.Hosts) == 0 || slices.ContainsFunc(vs.Spec.Hosts, func(h string) bool {
			return manifest.Covers(h, host) || manifest.Covers(host, h)
		}) {
			near = append(near, vs)
		}
	}
	r.VirtualServices = near
	return r
}

// Listener is a Gateway's server on one port of an ingress gateway.
type Listener struct {
	Gateway *clientnet.Gateway
	Server  *networking.Server
	Ingress Ingress
}

// Listeners are the Gateways' servers on a port of the ingress; port 0 means
// every port. A server may name the Service's port or the pods' own.
func (r Routes) Listeners(in Ingress, port int) []Listener {
	var found []Listener
	for _, gw := range r.Gateways {
		if !selects(gw.Spec.Selector, in) {
			continue
		}
		for _, s := range gw.Spec.Servers {
			if s.Port != nil && (port == 0 || in.listensOn(int(s.Port.Number)) == in.listensOn(port)) {
				found = append(found, Listener{gw, s, in})
			}
		}
	}
	return found
}

// selects says whether a Gateway's selector takes the ingress's pods.
func selects(selector map[string]string, in Ingress) bool {
	return labels.SelectorFromSet(selector).Matches(labels.Set(in.labels()))
}

// Bound says whether a VirtualService names the Gateway. A name without a
// namespace means the VirtualService's own.
func Bound(vs *clientnet.VirtualService, gw *clientnet.Gateway) bool {
	return slices.ContainsFunc(vs.Spec.Gateways, func(ref string) bool { return refersTo(ref, vs, gw) })
}

func refersTo(ref string, vs *clientnet.VirtualService, gw *clientnet.Gateway) bool {
	ns, name, ok := strings.Cut(ref, "/")
	if !ok {
		ns, name = vs.Namespace, ref
	}
	return ns == gw.Namespace && name == gw.Name
}

// serverHosts are the hosts that a server lets a VirtualService of the
// namespace claim.
func serverHosts(l Listener, namespace string) []string {
	return admitted(l.Server.Hosts, l.Gateway.Namespace, namespace)
}

// admitted are those of a server's hosts that are for the namespace, without
// the "namespace/" or "./" that may limit them; own is the Gateway's namespace.
func admitted(hosts []string, own, namespace string) []string {
	var found []string
	for _, h := range hosts {
		ns, host, ok := strings.Cut(h, "/")
		if !ok {
			ns, host = "*", h
		}
		if ns == "." {
			ns = own
		}
		if ns == "*" || ns == namespace {
			found = append(found, host)
		}
	}
	return found
}

// accepts says whether a host pattern takes the name: "*", "*.example.com" or
// the name itself, in any case.
func accepts(pattern, name string) bool {
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, suffix)
	}
	return pattern == name
}

// Candidate is a VirtualService that may serve calls to a name.
type Candidate struct {
	VirtualService *clientnet.VirtualService
	Listener       Listener
	Host           string // the virtual host that takes the name
}

// ServingEach is Serving for each port of each gateway by itself: the most
// specific host of one port takes nothing from another.
func (r Routes) ServingEach(listeners []Listener, authority string) []Candidate {
	var found []Candidate
	for len(listeners) > 0 {
		first := listeners[0]
		var one, rest []Listener
		for _, l := range listeners {
			if l.samePort(first) {
				one = append(one, l)
			} else {
				rest = append(rest, l)
			}
		}
		found, listeners = append(found, r.Serving(one, authority)...), rest
	}
	return found
}

// samePort says whether both are of one port of one gateway.
func (l Listener) samePort(o Listener) bool {
	return l.Ingress.String() == o.Ingress.String() &&
		l.Ingress.listensOn(int(l.Server.Port.GetNumber())) == o.Ingress.listensOn(int(o.Server.Port.GetNumber()))
}

// Serving lists the VirtualServices that serve the authority through one of
// the listeners. Envoy takes the most specific host alone, so only those that
// share it are listed.
func (r Routes) Serving(listeners []Listener, authority string) []Candidate {
	var found []Candidate
	for _, vs := range r.VirtualServices {
		if c, ok := r.serves(vs, listeners, authority); ok {
			found = append(found, c)
		}
	}
	best := 0
	for _, c := range found {
		best = max(best, specificity(c.Host))
	}
	return slices.DeleteFunc(found, func(c Candidate) bool { return specificity(c.Host) < best })
}

// serves says by which virtual host, if any, a VirtualService takes the name.
// Where all its rules are for other gateways, Istio makes none for it.
func (r Routes) serves(vs *clientnet.VirtualService, listeners []Listener, authority string) (Candidate, bool) {
	var best Candidate
	for _, l := range listeners {
		if !Bound(vs, l.Gateway) || len(vs.Spec.Http) > 0 && len(r.of(Candidate{VirtualService: vs, Listener: l})) == 0 {
			continue
		}
		for _, host := range claims(l, vs.Namespace, vs.Spec.Hosts) {
			if accepts(host, authority) && specificity(host) > specificity(best.Host) {
				best = Candidate{vs, l, host}
			}
		}
	}
	return best, best.VirtualService != nil
}

// specificity orders host patterns as Envoy does: exact before suffix, longer
// suffix before shorter, "*" last. "" is below all.
func specificity(host string) int {
	switch {
	case host == "":
		return 0
	case strings.HasPrefix(host, "*"):
		return len(host)
	}
	return 1000 + len(host)
}
