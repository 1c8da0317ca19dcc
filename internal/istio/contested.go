package istio

import (
	"cmp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// contested is what a VirtualService serves of the calls that are to be routed,
// in words, or "" where the two have no call in common, or Envoy's order keeps
// them apart: catch-alls go last, and of two for the same paths the one that
// asks for more headers need only stand before the other.
func (r Routes) contested(vs *clientnet.VirtualService, e manifest.Exposure) string {
	own := r.own(e)
	for _, rule := range vs.Spec.Http {
		if len(rule.Match) == 0 {
			if e.TakesAll() {
				return "every call"
			}
			continue // a catch-all goes behind a match
		}
		for _, m := range rule.Match {
			what := samePaths(m, e)
			if what == "" || !e.TakesAll() && (Entry{match: matches(m)}).TakesAll() {
				continue
			}
			ours, theirs := e.Route.Headers(), headersOf(m)
			switch {
			case apart(ours, theirs):
			case implies(ours, theirs) && !implies(theirs, ours) && own != nil && older(own, vs):
			case implies(theirs, ours) && !implies(ours, theirs) && (e.TakesAll() || own == nil || older(vs, own)):
			case e.TakesAll() && own != nil && len(own.Spec.Http) == 1 && len(own.Spec.Http[0].Match) == 0:
				// It went behind theirs all along.
			default:
				return what
			}
		}
	}
	return ""
}

// own is the exposure's VirtualService as it is, or nil.
func (r Routes) own(e manifest.Exposure) *clientnet.VirtualService {
	if i := slices.IndexFunc(r.VirtualServices, func(vs *clientnet.VirtualService) bool { return ownRoute(vs, e) }); i >= 0 {
		return r.VirtualServices[i]
	}
	return nil
}

// older says whether istiod puts the rules of a before those of b.
func older(a, b *clientnet.VirtualService) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace)) < 0
}

// samePaths is which paths the exposure's calls and a match have in common, in
// words, or "".
func samePaths(m *networking.HTTPMatchRequest, e manifest.Exposure) string {
	if len(e.MatchServices) == 0 {
		return "some calls"
	}
	for _, service := range e.MatchServices {
		prefix := "/" + service + "/"
		switch uri := m.GetUri().GetMatchType().(type) {
		case nil:
			// It matches on something else than the path: no telling, and seldom.
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
	return ""
}

// headersOf are a match's conditions on headers. What else it asks for beside
// the path stands among them, under names that no header has.
func headersOf(m *networking.HTTPMatchRequest) map[string]*networking.StringMatch {
	headers := map[string]*networking.StringMatch{}
	for name, value := range m.Headers {
		headers[strings.ToLower(name)] = value
	}
	for name, value := range m.WithoutHeaders {
		headers["!"+strings.ToLower(name)] = value
	}
	if m.Authority != nil {
		headers["!:authority"] = m.Authority
	}
	return headers
}

// apart says whether no call can meet the conditions of both.
func apart(a, b map[string]*networking.StringMatch) bool {
	for name, one := range a {
		if other, both := b[name]; both && never(one, other) {
			return true
		}
	}
	return false
}

// never says whether no value is what both ask for; of a pattern only a given
// value can tell.
func never(a, b *networking.StringMatch) bool {
	for _, pair := range [][2]*networking.StringMatch{{a, b}, {b, a}} {
		switch one := pair[0].GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			return !fits(pair[1], one.Exact, false)
		case *networking.StringMatch_Prefix:
			if other, ok := pair[1].GetMatchType().(*networking.StringMatch_Prefix); ok {
				return !strings.HasPrefix(one.Prefix, other.Prefix) && !strings.HasPrefix(other.Prefix, one.Prefix)
			}
		}
	}
	return false
}

// implies says whether every call that meets the conditions of a surely meets
// those of b.
func implies(a, b map[string]*networking.StringMatch) bool {
	for name, wanted := range b {
		has, ok := a[name]
		if !ok {
			return false
		}
		switch how := has.GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			ok = fits(wanted, how.Exact, false)
		case *networking.StringMatch_Prefix:
			other, is := wanted.GetMatchType().(*networking.StringMatch_Prefix)
			ok = is && strings.HasPrefix(how.Prefix, other.Prefix)
		default:
			ok = has.String() == wanted.String()
		}
		if !ok {
			return false
		}
	}
	return true
}
