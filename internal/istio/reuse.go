package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// Fitting are other Gateways that already listen as the exposure wants: on the
// port of the ingress, secured alike, for its host and for its namespace. Those
// that grpcmesh made are their own namespaces', which narrows them at its need.
func (r Routes) Fitting(in Ingress, port int, e manifest.Exposure) []*clientnet.Gateway {
	var found []*clientnet.Gateway
	for _, l := range r.Listeners(in, port) {
		if listensFor(l, e) && idOf("Gateway", l.Gateway) != OwnID(e) && !manifest.Owned(l.Gateway.Labels) && !slices.Contains(found, l.Gateway) {
			found = append(found, l.Gateway)
		}
	}
	slices.SortFunc(found, func(a, b *clientnet.Gateway) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// OwnID is the Gateway that is made for the exposure's namespace where none is
// used.
func OwnID(e manifest.Exposure) manifest.ID {
	return manifest.Exposure{Namespace: e.Namespace}.Gateway()
}

// listensFor says whether a route of the exposure's namespace is served behind the
// listener for all that its host takes.
func listensFor(l Listener, e manifest.Exposure) bool {
	tls, ok := tlsOf(l.Server)
	return ok && tls == e.TLS && l.Server.Bind == "" && slices.ContainsFunc(serverHosts(l, e.Namespace), func(pattern string) bool { return manifest.Covers(pattern, e.Host) })
}

// Serves says whether a Gateway listens as the exposure wants on a port of the
// ingress; why is what it does instead.
func Serves(gw *clientnet.Gateway, in Ingress, port int, e manifest.Exposure) (why string) {
	if !selects(gw.Spec.Selector, in) {
		return fmt.Sprintf("it selects other pods (%s) than gateway %s", FormatSelector(gw.Spec.Selector), in)
	}
	if slices.ContainsFunc(Routes{Gateways: []*clientnet.Gateway{gw}}.Listeners(in, port), func(l Listener) bool { return listensFor(l, e) }) {
		return ""
	}
	how := "in plaintext"
	if e.TLS.On() {
		how = fmt.Sprintf("by %s TLS with Secret %s", e.TLS.Mode(), e.TLS.Secret)
	}
	return fmt.Sprintf("it does not listen %s on port %d for host %q of namespace %s; it has %s", how, port, e.Host, e.Namespace, words(gw.Spec.Servers))
}

// Offers are the ports of the ingress on which the Gateway listens as the
// exposure wants, in the Gateway's order.
func Offers(gw *clientnet.Gateway, in Ingress, e manifest.Exposure) []int {
	var ports []int
	for _, l := range (Routes{Gateways: []*clientnet.Gateway{gw}}).Listeners(in, 0) {
		for _, p := range in.Ports {
			if listensFor(l, e) && in.listensOn(p.Port) == in.listensOn(int(l.Server.Port.Number)) && !slices.Contains(ports, p.Port) {
				ports = append(ports, p.Port)
			}
		}
	}
	return ports
}

// SelectedBy are the ingresses that a Gateway selects.
func SelectedBy(gw *clientnet.Gateway, all []Ingress) []Ingress {
	return keep(all, func(in Ingress) bool { return selects(gw.Spec.Selector, in) })
}

// ServersOf is what a Gateway of someone else's listens on, as far as routes of
// the namespace may be served there and an exposure could ask for it.
func ServersOf(gw *clientnet.Gateway, namespace string) []manifest.Server {
	var servers []manifest.Server
	for _, s := range gw.Spec.Servers {
		if tls, ok := tlsOf(s); ok && len(admitted(s.Hosts, gw.Namespace, namespace)) > 0 {
			servers = append(servers, manifest.Server{Port: int(s.GetPort().GetNumber()), TLS: tls, Hosts: s.Hosts})
		}
	}
	return servers
}

// BoundTo are the Gateways that the exposure's own route is bound to by now.
func (r Routes) BoundTo(e manifest.Exposure) []*clientnet.Gateway {
	own := r.own(e)
	if own == nil || !manifest.OwnedBy(own.Labels, e.WorkloadKind, e.WorkloadName) {
		return nil
	}
	return keep(r.Gateways, func(gw *clientnet.Gateway) bool { return Bound(own, gw) })
}

// words are a Gateway's servers: "80/HTTP for a.example.com".
func words(servers []*networking.Server) string {
	var all []string
	for _, s := range servers {
		w := fmt.Sprintf("%d/%s for %s", s.GetPort().GetNumber(), s.GetPort().GetProtocol(), strings.Join(s.Hosts, ", "))
		if tls, ok := tlsOf(s); ok && tls.On() {
			w += fmt.Sprintf(" with Secret %s (%s TLS)", tls.Secret, tls.Mode())
		} else if !ok {
			w += " (nothing to expose by)"
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		return "no servers"
	}
	return strings.Join(all, "; ")
}

// AlsoOn is which other ports of a Gateway that is used answer for the exposure's
// host, in words, or "".
func AlsoOn(in Ingress, e manifest.Exposure) string {
	var others []int
	for _, s := range e.Servers {
		if in.listensOn(s.Port) != in.listensOn(e.GatewayPort) && !slices.Contains(others, s.Port) &&
			slices.ContainsFunc(admitted(s.Hosts, e.Gateway().Namespace, e.Namespace), func(p string) bool { return manifest.Covers(p, e.Host) || manifest.Covers(e.Host, p) }) {
			others = append(others, s.Port)
		}
	}
	slices.Sort(others)
	return k8s.JoinInts(others)
}
