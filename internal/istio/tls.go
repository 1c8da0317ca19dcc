package istio

import (
	"net"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// Secures says whether the listener speaks TLS to clients and leads their
// calls by host. One that passes TLS through does not, nor does one whose tls
// is a redirect, which answers plaintext.
func (l Listener) Secures() bool {
	if !strings.EqualFold(l.Server.GetPort().GetProtocol(), "HTTPS") || l.Server.Tls == nil {
		return false
	}
	mode := l.Server.Tls.Mode
	return mode != networking.ServerTLSSettings_PASSTHROUGH && mode != networking.ServerTLSSettings_AUTO_PASSTHROUGH
}

// Met are those of the listeners that a client meets, which speaks plaintext, or
// TLS and asks for the name by it. Of a port's TLS servers Envoy takes the one
// of the most specific host, whether it has a route for the call or not; a
// client asks for no name that is an address.
func Met(listeners []Listener, secured bool, name string) []Listener {
	if net.ParseIP(strings.Trim(name, "[]")) != nil {
		name = ""
	}
	fit := func(l Listener) int { return l.takesName(name) }
	var met []Listener
	for _, l := range listeners {
		switch {
		case !secured && carriesGRPC(l.Server.GetPort().GetProtocol()):
			met = append(met, l)
		case !secured || !l.Secures():
		case fit(l) > 0 && !slices.ContainsFunc(listeners, func(o Listener) bool { return o.Secures() && o.samePort(l) && fit(o) > fit(l) }):
			met = append(met, l)
		}
	}
	return met
}

// takesName is how specific the server's host is that takes the name; 0: none does.
func (l Listener) takesName(name string) int {
	best := 0
	for _, h := range l.Server.Hosts {
		if host := bareHost(h); accepts(host, name) {
			best = max(best, specificity(host))
		}
	}
	return best
}

// bareHost is a server's host without the "namespace/" that may limit it.
func bareHost(host string) string {
	if _, bare, ok := strings.Cut(host, "/"); ok {
		return bare
	}
	return host
}
