package cmd

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"grpcmesh/internal/istio"
)

// mostNamed is how many routes an error lists: of more, nobody reads each.
const mostNamed = 20

// others are the routes of the gateways in the way, for who asked for a host that
// none of them serves at the address: first those that do serve it on another port,
// or by TLS, with the flags that reach them; then what else the listeners serve.
func (o *verifyOptions) others(routes istio.Routes, listeners []istio.Listener, via []istio.Ingress) (elsewhere, rest []string) {
	host, named := o.authorityHost(), map[string]bool{}
	for _, in := range via {
		all := routes.Listeners(in, 0)
		reached := istio.Met(all, false, host)
		for _, l := range all {
			if l.Secures() {
				reached = append(reached, l)
			}
		}
		for _, c := range routes.ServingEach(reached, host) {
			port := strconv.Itoa(int(c.Listener.Server.GetPort().GetNumber()))
			vs := c.VirtualService.Namespace + "/" + c.VirtualService.Name
			words, flags := "", ""
			if c.Listener.Secures() {
				words, flags = ", by TLS", " --tls"
			}
			line := fmt.Sprintf("%s serves %s on port %s%s: --addr %s%s", vs, host, port, words, net.JoinHostPort(o.elsewhereHost(in), port), flags)
			named[vs] = true
			if !slices.Contains(elsewhere, line) {
				elsewhere = append(elsewhere, line)
			}
		}
	}
	for _, vs := range routes.VirtualServices {
		if !named[vs.Namespace+"/"+vs.Name] && slices.ContainsFunc(listeners, func(l istio.Listener) bool { return istio.Bound(vs, l.Gateway) }) {
			rest = append(rest, fmt.Sprintf("%s/%s serves %s", vs.Namespace, vs.Name, strings.Join(vs.Spec.Hosts, ", ")))
		}
	}
	return elsewhere, rest
}

// elsewhereHost is where a gateway's other ports are: at an address of its own, if
// it has one.
func (o *verifyOptions) elsewhereHost(in istio.Ingress) string {
	if len(in.Addresses) > 0 && !slices.Contains(in.Addresses, o.host) {
		return in.Addresses[0]
	}
	return o.host
}

// bounded leaves of many the first, and says how many more there are.
func bounded(all []string) []string {
	if len(all) <= mostNamed {
		return all
	}
	return append(slices.Clone(all[:mostNamed]), fmt.Sprintf("and %d more: grpcmesh status -A", len(all)-mostNamed))
}
