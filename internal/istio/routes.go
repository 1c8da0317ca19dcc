package istio

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Routes are the Gateways and VirtualServices of a cluster, grpcmesh's probe
// routes left out.
type Routes struct {
	Gateways        []*clientnet.Gateway
	VirtualServices []*clientnet.VirtualService
}

// Routes reads the routing of the whole cluster: a Gateway may be used from any
// namespace.
func (m *Mesh) Routes(ctx context.Context) (Routes, error) {
	api := m.client.NetworkingV1alpha3()
	gws, err := api.Gateways(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Routes{}, fmt.Errorf("listing Gateways in all namespaces: %w", err)
	}
	vss, err := api.VirtualServices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: "!" + probeLabel})
	if err != nil {
		return Routes{}, fmt.Errorf("listing VirtualServices in all namespaces: %w", err)
	}
	return Routes{gws.Items, vss.Items}, nil
}

// Listener is a Gateway's server on one port of an ingress gateway.
type Listener struct {
	Gateway *clientnet.Gateway
	Server  *networking.Server
	Ingress Ingress
}

// Listeners are the Gateways' servers on a port of the ingress; port 0 means
// every port.
func (r Routes) Listeners(in Ingress, port int) []Listener {
	var found []Listener
	for _, gw := range r.Gateways {
		if !selects(gw.Spec.Selector, in) {
			continue
		}
		for _, s := range gw.Spec.Servers {
			if s.Port != nil && (port == 0 || int(s.Port.Number) == port) {
				found = append(found, Listener{gw, s, in})
			}
		}
	}
	return found
}

// selects says whether a Gateway's selector takes the ingress's pods. Their
// labels are more than the Service's selector where there are pods to look at.
func selects(selector map[string]string, in Ingress) bool {
	s := labels.SelectorFromSet(selector)
	if len(in.Pods) == 0 {
		return s.Matches(labels.Set(in.Selector))
	}
	return s.Matches(labels.Set(in.Pods[0].Labels))
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
// namespace claim; an entry may be limited by "namespace/" or "./".
func serverHosts(l Listener, namespace string) []string {
	var hosts []string
	for _, h := range l.Server.Hosts {
		ns, host, ok := strings.Cut(h, "/")
		if !ok {
			ns, host = "*", h
		}
		if ns == "." {
			ns = l.Gateway.Namespace
		}
		if ns == "*" || ns == namespace {
			hosts = append(hosts, host)
		}
	}
	return hosts
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

// overlap says whether some name is taken by both patterns.
func overlap(a, b string) bool {
	return accepts(a, strings.TrimPrefix(b, "*")) || accepts(b, strings.TrimPrefix(a, "*"))
}

// Candidate is a VirtualService that may serve calls to a name.
type Candidate struct {
	VirtualService *clientnet.VirtualService
	Listener       Listener
	Host           string // the pattern of it that takes the name
}

// Serving lists the VirtualServices that serve the authority through one of
// the listeners. Envoy takes the most specific host alone, so only those that
// share it are listed.
func (r Routes) Serving(listeners []Listener, authority string) []Candidate {
	var found []Candidate
	for _, vs := range r.VirtualServices {
		if c, ok := serves(vs, listeners, authority); ok {
			found = append(found, c)
		}
	}
	best := 0
	for _, c := range found {
		best = max(best, specificity(c.Host))
	}
	return slices.DeleteFunc(found, func(c Candidate) bool { return specificity(c.Host) < best })
}

func serves(vs *clientnet.VirtualService, listeners []Listener, authority string) (Candidate, bool) {
	var best Candidate
	for _, l := range listeners {
		if !Bound(vs, l.Gateway) {
			continue
		}
		allowed := serverHosts(l, vs.Namespace)
		for _, host := range vs.Spec.Hosts {
			if accepts(host, authority) && specificity(host) > specificity(best.Host) &&
				slices.ContainsFunc(allowed, func(a string) bool { return overlap(a, host) && accepts(a, authority) }) {
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

// Clash looks for another's VirtualService that already serves what the
// exposure would: the same host, through a listener on the same port of the
// ingress, with calls in common. It is a *plan.ConflictError that names it.
func (r Routes) Clash(in Ingress, port int, e manifest.Exposure) error {
	for _, l := range r.Listeners(in, port) {
		if p := l.Server.Port.Protocol; !carriesGRPC(p) {
			return &plan.ConflictError{ID: idOf("Gateway", l.Gateway),
				Reason: fmt.Sprintf("it already holds port %d of gateway %s for the protocol %s", port, in, p),
				Hint:   "Choose another port. " + in.ways()}
		}
		for _, vs := range r.VirtualServices {
			own := vs.Namespace == e.Namespace && vs.Name == e.WorkloadName
			if own || !Bound(vs, l.Gateway) || !slices.Contains(vs.Spec.Hosts, e.Host) {
				continue
			}
			if rule := contested(vs, e.MatchService); rule != "" {
				return &plan.ConflictError{ID: idOf("VirtualService", vs),
					Reason: fmt.Sprintf("it already serves %s for host %q on port %d of gateway %s", rule, e.Host, port, in),
					Hint:   "Expose under a host of its own (--host NAME), or only one gRPC service (--match-service pkg.Service)."}
			}
		}
	}
	return nil
}

// contested is what a VirtualService serves of the calls that are to be routed,
// in words, or "" where the two have no call in common, or Envoy's order
// (catch-alls last) keeps them apart.
func contested(vs *clientnet.VirtualService, service string) string {
	prefix := "/" + service + "/"
	for _, rule := range vs.Spec.Http {
		if len(rule.Match) == 0 {
			if service == "" {
				return "every call"
			}
			continue // a catch-all goes behind a match on a service
		}
		if service == "" {
			return "some calls"
		}
		for _, m := range rule.Match {
			switch uri := m.GetUri().GetMatchType().(type) {
			case nil:
				continue // matches on something else than the path; no telling, and seldom
			case *networking.StringMatch_Exact:
				if strings.HasPrefix(uri.Exact, prefix) {
					return uri.Exact
				}
			case *networking.StringMatch_Prefix:
				if strings.HasPrefix(uri.Prefix, prefix) || strings.HasPrefix(prefix, uri.Prefix) && uri.Prefix != "/" {
					return uri.Prefix
				}
			case *networking.StringMatch_Regex:
				return "the paths " + uri.Regex
			}
		}
	}
	return ""
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
			return nil, false, &plan.ConflictError{ID: idOf("Gateway", gw),
				Reason: "it is for another gateway (" + FormatSelector(gw.Spec.Selector) + ")",
				Hint:   "Nothing was written. Expose through that one: --gateway-selector " + FormatSelector(gw.Spec.Selector)}
		}
		foreign = !manifest.Owned(gw.Labels)
		for _, s := range gw.Spec.Servers {
			if s.Port != nil && carriesGRPC(s.Port.Protocol) {
				servers = append(servers, manifest.Server{Port: int(s.Port.Number), Hosts: s.Hosts})
			}
		}
	}
	return servers, foreign, nil
}

// Covers says whether the servers already take the host on the port.
func Covers(servers []manifest.Server, port int, host string) bool {
	return slices.ContainsFunc(servers, func(s manifest.Server) bool {
		return s.Port == port && (slices.Contains(s.Hosts, host) || slices.Contains(s.Hosts, "*"))
	})
}

// VirtualService reads one VirtualService.
func (m *Mesh) VirtualService(ctx context.Context, namespace, name string) (*clientnet.VirtualService, error) {
	vs, err := m.client.NetworkingV1alpha3().VirtualServices(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading VirtualService %s/%s: %w", namespace, name, err)
	}
	return vs, nil
}
