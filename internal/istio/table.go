package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
)

// Table is what a gateway's Envoy tries for the calls to one host on one port,
// in its order, as istiod lays it out: VirtualServices by age, the rules of
// each in theirs, and behind all others those that take every call. Delegates
// are resolved; rules for other gateways are left out.
type Table []Entry

// Entry is one way into a rule.
type Entry struct {
	VirtualService *clientnet.VirtualService // whose hosts and gateways it stands under
	Rule           *networking.HTTPRoute     // short names in it are of VirtualService's namespace
	Number, Of     int                       // which of VirtualService's rules it is, from 1
	match          []*networking.HTTPMatchRequest
}

// String names the rule: "rule 2 of 3 of VirtualService test/server".
func (e Entry) String() string {
	name := fmt.Sprintf("VirtualService %s/%s", e.VirtualService.Namespace, e.VirtualService.Name)
	if e.Of > 1 {
		name = fmt.Sprintf("rule %d of %d of %s", e.Number, e.Of, name)
	}
	return name
}

// Same says whether both are ways into one rule.
func (e Entry) Same(o Entry) bool { return e.Rule == o.Rule }

// Alike says whether calls meet the same rules by both.
func (t Table) Alike(o Table) bool {
	return slices.EqualFunc(t, o, func(a, b Entry) bool {
		return a.VirtualService == b.VirtualService && a.Number == b.Number
	})
}

// TakesAll says whether the entry takes every call, whatever its path and
// headers: a probe route then comes before it, and else behind.
func (e Entry) TakesAll() bool {
	return !slices.ContainsFunc(e.match, func(m *networking.HTTPMatchRequest) bool {
		all := true
		switch uri := m.GetUri().GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			all = false
		case *networking.StringMatch_Prefix:
			all = uri.Prefix == "/"
		case *networking.StringMatch_Regex:
			all = uri.Regex == ".*"
		}
		return !all || len(m.Headers)+len(m.WithoutHeaders)+len(m.QueryParams) > 0 || m.Method != nil || m.Authority != nil || m.Scheme != nil
	})
}

// Table lays out by what the candidates, all for one host, are tried on the
// port of the listener.
func (r Routes) Table(on Listener, serving []Candidate) Table {
	serving = slices.DeleteFunc(slices.Clone(serving), func(c Candidate) bool { return !c.Listener.samePort(on) })
	slices.SortStableFunc(serving, func(a, b Candidate) int {
		g, h, v, w := a.Listener.Gateway, b.Listener.Gateway, a.VirtualService, b.VirtualService
		return cmp.Or(
			g.CreationTimestamp.Compare(h.CreationTimestamp.Time), cmp.Compare(g.Name, h.Name), cmp.Compare(g.Namespace, h.Namespace),
			v.CreationTimestamp.Compare(w.CreationTimestamp.Time), cmp.Compare(v.Name, w.Name), cmp.Compare(v.Namespace, w.Namespace))
	})
	var table Table
	for _, c := range serving {
		table = append(table, r.of(c)...)
	}
	slices.SortStableFunc(table, func(a, b Entry) int {
		return cmp.Compare(last(a.TakesAll()), last(b.TakesAll()))
	})
	return table
}

// of are the entries of one VirtualService. istiod reads no further than the
// first that takes every call.
func (r Routes) of(c Candidate) []Entry {
	var table []Entry
	for i, rule := range c.VirtualService.Spec.Http {
		entry := Entry{VirtualService: c.VirtualService, Number: i + 1, Of: len(c.VirtualService.Spec.Http)}
		for _, e := range r.entries(entry, rule) {
			if slices.ContainsFunc(e.match, func(m *networking.HTTPMatchRequest) bool { return !meantFor(m, c) }) {
				continue
			}
			table = append(table, e)
			if e.TakesAll() {
				return table
			}
		}
	}
	return table
}

func last(is bool) int {
	if is {
		return 1
	}
	return 0
}

// entries are the ways into a rule: one for each of its matches, or for each
// pair of its own and a delegate's.
func (r Routes) entries(e Entry, rule *networking.HTTPRoute) []Entry {
	e.Rule = rule
	roots := rule.Match
	if len(roots) == 0 {
		roots = []*networking.HTTPMatchRequest{nil}
	}
	if rule.Delegate != nil {
		return r.delegated(e, roots)
	}
	var all []Entry
	for _, m := range roots {
		e.match = matches(m)
		all = append(all, e)
	}
	return all
}

// delegated takes the delegate's rules in place of the one that hands over to
// it. A delegate that isn't there leaves nothing, as in the gateway.
func (r Routes) delegated(e Entry, roots []*networking.HTTPMatchRequest) []Entry {
	name, namespace := e.Rule.Delegate.Name, cmp.Or(e.Rule.Delegate.Namespace, e.VirtualService.Namespace)
	i := slices.IndexFunc(r.VirtualServices, func(vs *clientnet.VirtualService) bool {
		return vs.Name == name && vs.Namespace == namespace && len(vs.Spec.Hosts) == 0
	})
	if i < 0 {
		return nil
	}
	var all []Entry
	for _, rule := range r.VirtualServices[i].Spec.Http {
		e.Rule = qualified(rule, namespace)
		leaves := rule.Match
		if len(leaves) == 0 {
			leaves = []*networking.HTTPMatchRequest{nil}
		}
		for _, leaf := range leaves {
			for _, root := range roots {
				e.match = append(matches(root), matches(leaf)...)
				all = append(all, e)
			}
		}
	}
	return all
}

func matches(m *networking.HTTPMatchRequest) []*networking.HTTPMatchRequest {
	if m == nil {
		return nil
	}
	return []*networking.HTTPMatchRequest{m}
}

// qualified is a copy of a rule whose short names are written out, so that it
// means the same in another namespace.
func qualified(rule *networking.HTTPRoute, namespace string) *networking.HTTPRoute {
	rule = rule.DeepCopy()
	for _, r := range rule.Route {
		if d := r.Destination; d != nil && !strings.Contains(d.Host, ".") {
			d.Host += "." + namespace + ".svc.cluster.local"
		}
	}
	return rule
}

// meantFor says whether a match is for this gateway at all. Where it names
// gateways, Istio asks for nothing else; where not, for the labels of the pods.
func meantFor(m *networking.HTTPMatchRequest, c Candidate) bool {
	if m.Port != 0 && m.Port != c.Listener.Server.Port.GetNumber() {
		return false
	}
	if len(m.Gateways) > 0 {
		return slices.ContainsFunc(m.Gateways, func(ref string) bool { return refersTo(ref, c.VirtualService, c.Listener.Gateway) })
	}
	return selects(m.SourceLabels, c.Listener.Ingress) && (m.SourceNamespace == "" || m.SourceNamespace == c.Listener.Ingress.Namespace)
}

// Lead is the entry of a VirtualService that verify looks at where no path is
// given: of those that lead anywhere and are meant the one that takes every
// call, else the first.
func (t Table) Lead(vs *clientnet.VirtualService, meant func(Entry) bool) (Entry, bool) {
	var first Entry
	for _, e := range t {
		if e.VirtualService != vs || len(e.Rule.Route) == 0 || !meant(e) {
			continue
		}
		if e.TakesAll() {
			return e, true
		}
		if first.Rule == nil {
			first = e
		}
	}
	return first, first.Rule != nil
}
