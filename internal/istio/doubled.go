package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/finding"
)

// Doubled is the finding that other Gateways listen for a host of the server on the
// same port of the same pods. istiod puts plaintext servers together; of TLS ones
// it leaves the younger Gateway's out. Istio's code stands for the very same entry
// of both.
func (r Routes) Doubled(gw *clientnet.Gateway, s *networking.Server, open []Ingress) (f finding.Finding, ok bool) {
	kind, code := family(s), finding.TwoGateways
	if kind == "TLS" {
		code = finding.TwoCertificates
	}
	var names []string
	same, host := false, ""
	for _, in := range open {
		for _, l := range r.Listeners(in, int(s.Port.GetNumber())) {
			if idOf("Gateway", l.Gateway) == idOf("Gateway", gw) || kind == "TCP" || family(l.Server) != kind || l.Server.Bind != s.Bind || kind == "TLS" && !earlier(l.Gateway, gw) {
				continue
			}
			if h := hostOfBoth(gw, s, l); h != "" {
				names, host = append(names, l.Gateway.Namespace+"/"+l.Gateway.Name), cmp.Or(host, h)
				same = same || l.Server.Port.GetNumber() == s.Port.GetNumber() && slices.ContainsFunc(s.Hosts, func(h string) bool { return slices.Contains(l.Server.Hosts, h) })
			}
		}
	}
	if len(names) == 0 {
		return f, false
	}
	slices.Sort(names)
	names = slices.Compact(names)
	who, listen, serve := "Gateway "+strings.Join(names, " and "), "listens", "is older, serves"
	if len(names) > 1 {
		listen, serve = "listen", "are older, serve"
	}
	where := fmt.Sprintf("for host %q on port %d of the same pods", host, s.Port.GetNumber())
	if kind == "TLS" {
		f = finding.New(code, gw.Namespace, "Gateway/"+gw.Name, fmt.Sprintf("%s, which %s TLS %s; istiod leaves this server out", who, serve, where), "Let one of them have another host or port, or bind its routes to the other.")
	} else {
		f = finding.New(code, gw.Namespace, "Gateway/"+gw.Name, fmt.Sprintf("%s %s %s too; istiod puts them together, so each answers for the routes of both", who, listen, where),
			"Bind the routes to one of them, and take the host from the other.")
	}
	if f.Istio = ""; same {
		f.Istio = "IST0145"
	}
	return f, true
}

// hostOfBoth is a host that both servers have for some namespace, or "".
func hostOfBoth(gw *clientnet.Gateway, s *networking.Server, l Listener) string {
	scope := func(host, own string) (ns, bare string) {
		ns, bare, ok := strings.Cut(host, "/")
		switch {
		case !ok:
			return "*", strings.ToLower(host)
		case ns == ".":
			return own, strings.ToLower(bare)
		}
		return ns, strings.ToLower(bare)
	}
	for _, a := range s.Hosts {
		ns1, one := scope(a, gw.Namespace)
		for _, b := range l.Server.Hosts {
			if ns2, two := scope(b, l.Gateway.Namespace); one == two && (ns1 == "*" || ns2 == "*" || ns1 == ns2) {
				return one
			}
		}
	}
	return ""
}

// earlier says whether istiod comes to Gateway a before b.
func earlier(a, b *clientnet.Gateway) bool {
	return a.CreationTimestamp.Before(&b.CreationTimestamp) ||
		a.CreationTimestamp.Equal(&b.CreationTimestamp) && a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}
