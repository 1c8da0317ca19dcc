package istio

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// Routed are the VirtualServices of someone else's that already lead all the calls
// of the exposure, and none of them elsewhere, to the very port of its Service, on
// the port of the ingress; gateway is one that they are bound to. None, where the
// exposure has a route of its own already, asks for more than they say, or where
// that can't be told for sure. authority is a name that its host takes.
func (r Routes) Routed(in Ingress, port int, e manifest.Exposure, authority string) (routes []*clientnet.VirtualService, gateway *clientnet.Gateway) {
	own := r.own(e)
	asks := e.Route.Timeout != 0 || e.Route.Retries != nil || len(e.Route.MatchHeaders)+len(e.Subsets) > 0
	if asks || own != nil && manifest.Owned(own.Labels) {
		return nil, nil
	}
	listeners := keep(r.Listeners(in, port), func(l Listener) bool { tls, ok := tlsOf(l.Server); return ok && tls == e.TLS && l.Server.Bind == "" })
	serving := r.Serving(listeners, authority)
	if len(serving) == 0 || slices.ContainsFunc(serving, func(c Candidate) bool { return c.Host != strings.ToLower(e.Host) }) {
		return nil, nil
	}
	table := r.Table(serving[0].Listener, serving)
	services := e.MatchServices
	if len(services) == 0 {
		services = []string{""}
	}
	for _, service := range services {
		all := table.leads(e, service)
		if len(all) == 0 {
			return nil, nil
		}
		for _, vs := range all {
			if !slices.Contains(routes, vs) {
				routes = append(routes, vs)
			}
		}
	}
	return routes, serving[0].Listener.Gateway
}

// leads are the VirtualServices by which the calls of one gRPC service ("": all
// calls) come to the exposure's Service; none where some may go elsewhere.
func (t Table) leads(e manifest.Exposure, service string) (by []*clientnet.VirtualService) {
	for _, entry := range t {
		takes, all := entry.takes(service)
		if !takes {
			continue
		}
		if manifest.Owned(entry.VirtualService.Labels) || !entry.leadsTo(e) {
			return nil
		}
		if by = append(by, entry.VirtualService); all {
			return by
		}
	}
	return nil
}

// takes says whether the entry may take calls of the gRPC service ("": any calls),
// and whether it takes them all.
func (e Entry) takes(service string) (some, all bool) {
	if all = e.TakesAll(); all || service == "" {
		return true, all
	}
	all = true
	for _, m := range e.match {
		if samePaths(m, manifest.Exposure{MatchServices: []string{service}}) == "" && !m.IgnoreUriCase && m.GetUri() != nil && m.GetUri().GetPrefix() != "/" {
			return false, false
		}
		uri, ok := m.GetUri().GetMatchType().(*networking.StringMatch_Prefix)
		only := (Entry{match: []*networking.HTTPMatchRequest{{Headers: m.Headers, WithoutHeaders: m.WithoutHeaders, QueryParams: m.QueryParams, Method: m.Method, Authority: m.Authority, Scheme: m.Scheme}}}).TakesAll()
		all = all && only && (m.GetUri() == nil || ok && strings.HasPrefix("/"+service+"/", uri.Prefix))
	}
	return true, all
}

// leadsTo says whether the entry's rule leads to the exposure's Service alone, and
// to the whole of it, with calls as they are.
func (e Entry) leadsTo(x manifest.Exposure) bool {
	r := e.Rule
	if r.Redirect != nil || r.DirectResponse != nil || r.Rewrite != nil || r.Fault != nil {
		return false
	}
	all, err := Destinations(r, e.VirtualService.Namespace)
	if err != nil || len(all) == 0 {
		return false
	}
	return !slices.ContainsFunc(all, func(d Destination) bool {
		name, ns := d.Service, d.Namespace
		if parts := strings.SplitN(name, ".", 3); ns == "" && len(parts) > 1 { // short for one of the cluster
			name, ns = parts[0], parts[1]
		}
		return name != x.ServiceName() || ns != x.Namespace || d.Subset != "" || d.Port != x.Port && (d.Port != 0 || x.ReusePort != 0)
	})
}
