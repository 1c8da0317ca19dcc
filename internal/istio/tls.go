package istio

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Securing are the gateways as they are to be looked at where TLS is asked for.
func Securing(all []Ingress) []Ingress {
	all = slices.Clone(all)
	for i := range all {
		all[i].Ports = slices.Clone(all[i].Ports)
		for j := range all[i].Ports {
			all[i].Ports[j].Secured = true
		}
	}
	return all
}

// secured says whether the gateway is looked at so.
func (i Ingress) secured() bool {
	return slices.ContainsFunc(i.Ports, func(p IngressPort) bool { return p.Secured })
}

// tlsOf is how a Gateway's server is secured, as far as an exposure can ask for
// it; ok is false for a server that no exposure asks for.
func tlsOf(s *networking.Server) (tls manifest.TLS, ok bool) {
	l := Listener{Server: s}
	switch {
	case carriesGRPC(s.GetPort().GetProtocol()):
		return manifest.TLS{}, !s.GetTls().GetHttpsRedirect()
	case !l.Secures() || s.Tls.CredentialName == "":
		return manifest.TLS{}, false
	}
	return manifest.TLS{Secret: s.Tls.CredentialName, Mutual: s.Tls.Mode == networking.ServerTLSSettings_MUTUAL},
		s.Tls.Mode == networking.ServerTLSSettings_SIMPLE || s.Tls.Mode == networking.ServerTLSSettings_MUTUAL
}

// shares says whether an exposure can be served on a port beside a server of the
// protocol: istiod puts plaintext HTTP together, and TLS, which tells its servers
// apart by the name that clients ask for.
func shares(protocol string, tls manifest.TLS) bool {
	if tls.On() {
		return strings.EqualFold(protocol, "HTTPS") || strings.EqualFold(protocol, "TLS")
	}
	return carriesGRPC(protocol)
}

// unlike says what is wrong where it is only TLS that keeps two apart.
func unlike(protocol string, tls manifest.TLS) string {
	switch {
	case tls.On() && carriesGRPC(protocol):
		return " in plaintext, and a port speaks either that or TLS"
	case !tls.On() && shares(protocol, manifest.TLS{Secret: "any"}):
		return ", and a port speaks either TLS or plaintext"
	}
	return ""
}

// secondCertificate looks for another TLS server with a host of the one that
// the exposure asks for, if that is the listener: of the two istiod drops one,
// or Envoy both.
func secondCertificate(own Listener, listeners []Listener, in Ingress, port int, e manifest.Exposure) *plan.ConflictError {
	if tls, ok := tlsOf(own.Server); !ok || !tls.On() || tls != e.TLS || own.Gateway.Namespace != e.Namespace || own.Gateway.Name != manifest.GatewayName {
		return nil
	}
	for _, l := range listeners {
		if l.Server == own.Server || l.Server.Tls == nil || carriesGRPC(l.Server.GetPort().GetProtocol()) {
			continue
		}
		for _, host := range own.Server.Hosts {
			if !slices.ContainsFunc(l.Server.Hosts, func(h string) bool { return strings.EqualFold(bareHost(h), bareHost(host)) }) {
				continue
			}
			by := "by another TLS server"
			if tls, ok := tlsOf(l.Server); ok {
				by = fmt.Sprintf("with the certificate of Secret %s (%s TLS)", tls.Secret, tls.Mode())
			}
			use := ""
			if listensFor(l, e) {
				use = fmt.Sprintf("Use that one: --gateway %s/%s. Or e", l.Gateway.Namespace, l.Gateway.Name)
			}
			return &plan.ConflictError{Code: finding.TwoCertificates, ID: idOf("Gateway", l.Gateway),
				Reason: fmt.Sprintf("it already serves host %q on port %d of gateway %s %s, and a host has one TLS server", bareHost(host), port, in, by),
				Hint:   cmp.Or(use, "E") + "xpose under a host of its own (--host NAME), or on another port; in one namespace also with the same --tls-secret and --tls-mode. " + in.ways(nil)}
		}
	}
	return nil
}

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
