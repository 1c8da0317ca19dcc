package istio

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// claims are the virtual hosts that Istio makes of a VirtualService's hosts
// behind a listener: of each pair of the server's and the route's patterns,
// the narrower, in lower case. Routes meet where they claim the same one; of
// different ones Envoy takes the most specific, so "*" and "a.example.com"
// don't meet.
func claims(l Listener, namespace string, hosts []string) []string {
	var names []string
	for _, allowed := range serverHosts(l, namespace) {
		for _, host := range hosts {
			switch {
			case manifest.Covers(allowed, host):
				names = append(names, strings.ToLower(host))
			case manifest.Covers(host, allowed):
				names = append(names, strings.ToLower(allowed))
			}
		}
	}
	return names
}

// meeting is the first name that both lists have, or "".
func meeting(ours, theirs []string) string {
	if i := slices.IndexFunc(ours, func(h string) bool { return slices.Contains(theirs, h) }); i >= 0 {
		return ours[i]
	}
	return ""
}

// afterwards are the listeners on a port as they will be once the exposure's
// Gateway is written for the port that it asks for, and the virtual hosts that
// its route will claim there.
func (r Routes) afterwards(in Ingress, at, port int, e manifest.Exposure) (listeners []Listener, ours []string) {
	isOwn := func(l Listener) bool {
		return idOf("Gateway", l.Gateway) == e.Gateway()
	}
	listeners = r.Listeners(in, at)
	if e.UseGateway == "" {
		listeners = slices.DeleteFunc(listeners, func(l Listener) bool { return isOwn(l) && (carriesGRPC(l.Server.Port.Protocol) || l.Secures()) })
		own := &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: manifest.GatewayName}}
		for _, s := range manifest.MergeServers(e.Servers, port, e.TLS, e.Host) {
			if in.listensOn(s.Port) == in.listensOn(at) {
				listeners = append(listeners, Listener{own, s.Spec(), in})
			}
		}
	}
	for _, l := range listeners {
		if isOwn(l) {
			ours = append(ours, claims(l, e.Namespace, []string{e.Host})...)
		}
	}
	return listeners, ours
}

// meets lists the other VirtualServices behind the listener that claim a
// virtual host of ours, and the first such host of each.
func (r Routes) meets(l Listener, ours []string, e manifest.Exposure) (others []Candidate) {
	for _, vs := range r.VirtualServices {
		own := vs.Namespace == e.Namespace && vs.Name == e.WorkloadName
		if own || !Bound(vs, l.Gateway) {
			continue
		}
		if host := meeting(ours, claims(l, vs.Namespace, vs.Spec.Hosts)); host != "" {
			others = append(others, Candidate{vs, l, host})
		}
	}
	return others
}

// Shared says whether another VirtualService claims a host that the exposure's
// will claim on the port: calls to it are then told apart by their path.
func (r Routes) Shared(in Ingress, port int, e manifest.Exposure) bool {
	listeners, ours := r.afterwards(in, port, port, e)
	return slices.ContainsFunc(listeners, func(l Listener) bool { return len(r.meets(l, ours, e)) > 0 })
}

// Clash looks for another's VirtualService that already serves what the
// exposure would: a host that both claim, through a listener on the same port
// of the ingress, with calls in common; and for a Gateway that keeps gRPC from
// the port or the host. All of them are told, each once, as a *plan.ConflictError
// that names it. The exposure's Servers are what its Gateway has now.
//
// A VirtualService serves every port of its Gateway, so the others that the
// Gateway listens on for its neighbours are looked at as well.
func (r Routes) Clash(in Ingress, port int, e manifest.Exposure) error {
	var all clashes
	listeners, ours := r.afterwards(in, port, port, e)
	for _, l := range listeners {
		if p := l.Server.Port.Protocol; !shares(p, e.TLS) {
			all.add(&plan.ConflictError{Code: finding.PortHeld, ID: idOf("Gateway", l.Gateway),
				Reason: fmt.Sprintf("it already holds port %d of gateway %s for the protocol %s", port, in, p) + unlike(p, e.TLS),
				Hint:   "Choose another port. " + in.ways(r.taken(in, port, e))})
			continue // whatever is behind it serves no gRPC
		}
		if err := secondCertificate(l, listeners, in, port, e); err != nil {
			all.add(err)
			continue // of the two servers one is not there
		}
		if host := meeting(ours, r.redirects(l)); host != "" {
			all.add(&plan.ConflictError{Code: finding.Redirects, ID: idOf("Gateway", l.Gateway),
				Reason: fmt.Sprintf("it redirects calls for host %q on port %d of gateway %s to HTTPS (tls.httpsRedirect)", host, port, in),
				Hint:   "Expose under a host of its own (--host NAME), or on another port. " + in.ways(r.taken(in, port, e))})
		}
		for _, c := range r.meets(l, ours, e) {
			if rule := r.contested(c.VirtualService, e); rule != "" {
				all.add(&plan.ConflictError{Code: finding.RouteClash, ID: idOf("VirtualService", c.VirtualService),
					Reason: fmt.Sprintf("it already serves %s for host %q on port %d of gateway %s", rule, c.Host, port, in),
					Hint:   waysBeside(e)})
			}
		}
	}
	r.clashElsewhere(in, port, e, &all)
	return all.err()
}

// taken says of a port of the ingress that it is that one, or held by a Gateway
// that serves no gRPC as the exposure would.
func (r Routes) taken(in Ingress, port int, e manifest.Exposure) func(int) bool {
	return func(p int) bool {
		return in.listensOn(p) == in.listensOn(port) ||
			slices.ContainsFunc(r.Listeners(in, p), func(l Listener) bool { return !shares(l.Server.Port.Protocol, e.TLS) })
	}
}

// clashes are what stands in the way of a route, in the order it was found.
type clashes []*plan.ConflictError

// add notes one. An object is told once for one reason, and a VirtualService
// once for any: it may stand behind several listeners.
func (all *clashes) add(c *plan.ConflictError) {
	if !slices.ContainsFunc(*all, func(was *plan.ConflictError) bool {
		return was.ID == c.ID && (was.Code == c.Code || c.ID.Kind == "VirtualService")
	}) {
		*all = append(*all, c)
	}
}

// err is the only one as it is, or all joined.
func (all clashes) err() error {
	if len(all) == 1 {
		return all[0]
	}
	errs := make([]error, 0, len(all))
	for _, c := range all {
		errs = append(errs, c)
	}
	return errors.Join(errs...)
}

// clashElsewhere looks for another's VirtualService on the ports that the
// exposure did not ask for and its Gateway listens on. Whatever that one serves
// there is its own: no one meant the exposure to share it.
func (r Routes) clashElsewhere(in Ingress, port int, e manifest.Exposure, all *clashes) {
	for _, s := range e.Servers {
		if in.listensOn(s.Port) == in.listensOn(port) {
			continue
		}
		listeners, ours := r.afterwards(in, s.Port, port, e)
		for _, l := range listeners {
			for _, c := range r.meets(l, ours, e) {
				if len(c.VirtualService.Spec.Http) == 0 || !e.TakesAll() && r.contested(c.VirtualService, e) == "" && strings.EqualFold(c.Host, e.Host) {
					continue
				}
				all.add(&plan.ConflictError{Code: finding.ClashBeside, ID: idOf("VirtualService", c.VirtualService),
					Reason: fmt.Sprintf("it serves host %q on port %d of gateway %s, and a route for host %q would answer there too: a VirtualService serves every port of its Gateway",
						c.Host, s.Port, in, e.Host),
					Hint: fmt.Sprintf("Nothing was written. Expose under a host that does not take %q (--host NAME), or move %s to port %d first, where the narrower host goes first.",
						c.Host, idOf("VirtualService", c.VirtualService), port)})
			}
		}
	}
}

// waysBeside is how an exposure can do beside a route that is in its way.
func waysBeside(e manifest.Exposure) string {
	switch {
	case len(e.Route.MatchHeaders) > 0:
		return "Expose under a host of its own (--host NAME), or with a header that it does not take (--match-header NAME=VALUE, or --match-service pkg.Service)."
	case len(e.MatchServices) > 0:
		return "Expose under a host of its own (--host NAME), or a gRPC service that it does not take (--match-service pkg.Service)."
	}
	return "Expose under a host of its own (--host NAME), or only one gRPC service (--match-service pkg.Service)."
}

// redirects are the virtual hosts whose calls the listener sends to HTTPS,
// whichever Gateway their routes came by: its own hosts as they are written,
// and what routes claim behind it.
func (r Routes) redirects(l Listener) []string {
	if !l.Server.GetTls().GetHttpsRedirect() {
		return nil
	}
	var names []string
	for _, h := range l.Server.Hosts {
		names = append(names, strings.ToLower(strings.TrimPrefix(h, "*/")))
	}
	for _, vs := range r.VirtualServices {
		if Bound(vs, l.Gateway) {
			names = append(names, claims(l, vs.Namespace, vs.Spec.Hosts)...)
		}
	}
	return names
}

func carriesGRPC(protocol string) bool {
	switch strings.ToUpper(protocol) {
	case "GRPC", "HTTP", "HTTP2", "GRPC-WEB":
		return true
	}
	return false
}

func idOf(kind string, obj metav1.Object) manifest.ID {
	return manifest.ID{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// OwnGateway is what the namespace's Gateway of grpcmesh's name listens on, and
// whether it is someone else's. One that selects another ingress is a
// *plan.ConflictError: changing it would take from that ingress what it serves.
func (r Routes) OwnGateway(namespace string, in Ingress) (servers []manifest.Server, foreign bool, err error) {
	for _, gw := range r.Gateways {
		if gw.Namespace != namespace || gw.Name != manifest.GatewayName {
			continue
		}
		if !selects(gw.Spec.Selector, in) {
			return nil, false, &plan.ConflictError{Code: finding.OtherGateway, ID: idOf("Gateway", gw),
				Reason: "it is for another gateway (" + FormatSelector(gw.Spec.Selector) + ")",
				Hint:   "Nothing was written. Expose through that one: --gateway-selector " + FormatSelector(gw.Spec.Selector)}
		}
		foreign = !manifest.Owned(gw.Labels)
		for _, s := range gw.Spec.Servers {
			if tls, ok := tlsOf(s); ok {
				servers = append(servers, manifest.Server{Port: int(s.Port.Number), TLS: tls, Hosts: s.Hosts, As: written(gw, s)})
			}
		}
	}
	return servers, foreign, nil
}

// Covers says whether a Gateway of the namespace with these servers already
// takes the host on the port, secured as asked, for the namespace's own routes.
func Covers(servers []manifest.Server, namespace string, port int, tls manifest.TLS, host string) bool {
	return slices.ContainsFunc(servers, func(s manifest.Server) bool {
		return s.Port == port && s.TLS == tls && slices.ContainsFunc(admitted(s.Hosts, namespace, namespace),
			func(pattern string) bool { return manifest.Covers(pattern, host) })
	})
}
