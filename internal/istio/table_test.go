package istio

import (
	"strings"
	"testing"
	"time"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// at sets when a VirtualService was made, in seconds.
func at(second int, vs *clientnet.VirtualService) *clientnet.VirtualService {
	vs.CreationTimestamp = metav1.NewTime(time.Unix(int64(1000+second), 0))
	return vs
}

// tableOf is the table for the host a.example.com on the gateway of edge().
func tableOf(t *testing.T, vss ...*clientnet.VirtualService) Table {
	t.Helper()
	r := Routes{VirtualServices: vss, Gateways: []*clientnet.Gateway{
		gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, "'*'")),
		gateway(t, "edge", "web", server("istio: ingressgateway", 80, "'*'")),
	}}
	listeners := r.Listeners(edge(), 8000)
	return r.Table(listeners[0], r.Serving(listeners, "a.example.com"))
}

func rules(lines ...string) string {
	return "spec: {hosts: [a.example.com], gateways: [edge/grpc, edge/web], http: [" + strings.Join(lines, ", ") + "]}"
}

func to(host, match string) string {
	if match != "" {
		match = "match: [" + match + "], "
	}
	return "{" + match + "route: [{destination: {host: " + host + "}}]}"
}

func (t Table) hosts() string {
	var all []string
	for _, e := range t {
		host := "-"
		if len(e.Rule.Route) > 0 {
			host = e.Rule.Route[0].Destination.Host
		}
		all = append(all, host)
	}
	return strings.Join(all, " ")
}

// TestTable: the order is istiod's.
func TestTable(t *testing.T) {
	one := func(lines ...string) []*clientnet.VirtualService {
		return []*clientnet.VirtualService{service(t, "test", "one", rules(lines...))}
	}
	for _, tc := range []struct {
		name string
		vss  []*clientnet.VirtualService
		want string
	}{
		{"rules in their order, once for each match", one(to("a", "{uri: {prefix: /a/}}, {uri: {prefix: /b/}}"), to("b", "")), "a a b"},
		{"nothing behind a rule without match", one(to("a", ""), to("b", "{uri: {prefix: /b/}}")), "a"},
		{"nothing behind a match of everything", one(to("a", "{uri: {prefix: /}}, {uri: {prefix: /a/}}"), to("b", "")), "a"},
		{"a pattern that takes everything", one(to("a", "{uri: {regex: '.*'}}"), to("b", "")), "a"},
		{"everything, but with a header", one(to("a", "{uri: {prefix: /}, headers: {x: {exact: v}}}"), to("b", "")), "a b"},
		{"another port", one(to("a", "{port: 80}"), to("b", "{port: 8000}")), "b"},
		{"another gateway", one(to("a", "{gateways: [mesh]}"), to("b", "{gateways: [edge/web]}"), to("c", "{gateways: [mesh, edge/grpc]}")), "c"},
		{"other pods", one(to("a", "{sourceLabels: {app: client}}"), to("b", "{sourceLabels: {zone: a}}"), to("c", "{sourceNamespace: test}"), to("d", "")), "b"},
		{"where gateways are named the pods don't matter", one(to("a", "{gateways: [edge/grpc], sourceLabels: {app: client}}")), "a"},
		{"the older first, and what takes all behind", []*clientnet.VirtualService{
			at(2, service(t, "test", "young", rules(to("c", "{uri: {prefix: /c/}}"), to("d", "")))),
			at(1, service(t, "test", "old", rules(to("a", "{uri: {prefix: /a/}}"), to("b", "")))),
		}, "a c b d"},
		{"of one age by name", []*clientnet.VirtualService{
			at(1, service(t, "test", "b", rules(to("b", "{uri: {prefix: /c/}}")))), at(1, service(t, "zone", "a", rules(to("a", "{uri: {prefix: /c/}}")))),
		}, "a b"},
		{"delegates", []*clientnet.VirtualService{
			service(t, "test", "root", rules("{match: [{uri: {prefix: /a.}}], delegate: {name: leaf, namespace: team}}", "{delegate: {name: nobody}}", to("c", ""))),
			service(t, "team", "leaf", "spec: {http: ["+to("a", "{uri: {exact: /a.B/C}}")+", "+to("b.other.svc", "")+"]}"),
		}, "a.team.svc.cluster.local b.other.svc c"},
	} {
		if got := tableOf(t, tc.vss...).hosts(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestTake(t *testing.T) {
	for _, tc := range []struct {
		match string
		want  string // what becomes of /a.B/C at a.example.com:8000
	}{
		{"{}", "taken"},
		{"{uri: {prefix: /}}", "taken"},
		{"{uri: {prefix: /a.B}}", "taken"},
		{"{uri: {prefix: /A.b/}}", "left"},
		{"{uri: {prefix: /A.b/}, ignoreUriCase: true}", "taken"},
		{"{uri: {exact: /a.B/C}}", "taken"},
		{"{uri: {exact: /a.B/}}", "left"},
		{"{uri: {regex: '/a\\.[A-Z]/C'}}", "taken"},
		{"{uri: {regex: '/a\\.[A-Z]/'}}", "left"}, // the whole path must fit
		{"{method: {exact: POST}}", "taken"},
		{"{method: {exact: GET}}", "left"},
		{"{scheme: {exact: http}}", "taken"},
		{"{scheme: {exact: https}}", "left"},
		{"{queryParams: {q: {exact: b}}}", "left"},
		{"{authority: {prefix: a.example}}", "taken"},
		{"{authority: {exact: a.example.com}}", "unsure: the authority with or without its port"},
		{"{authority: {exact: b.example.com}}", "left"},
		{"{headers: {x-user: {exact: b}}}", "with header x-user"},
		{"{headers: {x-user: {}}}", "with header x-user"},
		{"{headers: {content-type: {prefix: application/grpc}}}", "taken"},
		{"{headers: {Content-Type: {exact: application/json}}}", "left"},
		{"{headers: {user-agent: {prefix: grpc-java}}}", "unsure: header user-agent"},
		{"{headers: {x-user: {}, x-forwarded-for: {prefix: '10.'}}}", "unsure: header x-forwarded-for"},
		{"{withoutHeaders: {x-user: {exact: b}}}", "taken"},
		{"{withoutHeaders: {content-type: {prefix: application/grpc}}}", "left"},
		{"{uri: {prefix: /x}, headers: {x-user: {}}}", "left"},
		{"{headers: {x-tenant: {exact: one}}}", "taken"}, // which the call carries
		{"{headers: {X-Tenant: {prefix: o}}}", "taken"},
		{"{headers: {x-tenant: {exact: two}}}", "left"},
		{"{headers: {x-tenant: {exact: one}, x-user: {}}}", "with header x-user"},
		{"{withoutHeaders: {x-tenant: {exact: one}}}", "left"},
		{"{withoutHeaders: {x-tenant: {exact: two}}}", "taken"},
	} {
		taken := tableOf(t, service(t, "test", "one", rules(to("a", tc.match)))).Take(Call{Path: "/a.B/C", Authority: "a.example.com:8000", Metadata: map[string]string{"x-tenant": "one"}})
		got := "left"
		switch {
		case taken.Unsure != "":
			got = "unsure: " + taken.Unsure[strings.Index(taken.Unsure, "asks for ")+len("asks for "):]
		case len(taken.OnlyWith) > 0:
			got = "with " + taken.OnlyWith[0].What
		case taken.OK:
			got = "taken"
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.match, got, tc.want)
		}
	}
	// The first that takes a call has it, and those before are told.
	table := tableOf(t, service(t, "test", "one", rules(to("a", "{headers: {x-user: {}}}"), to("b", "{uri: {prefix: /a}}"), to("c", "{uri: {prefix: /a.B}}"))))
	taken := table.Take(Call{Path: "/a.B/C"})
	if !taken.OK || taken.Entry.Number != 2 || len(taken.OnlyWith) != 1 || taken.OnlyWith[0].Entry.Number != 1 {
		t.Errorf("took %v (%v), with metadata %v", taken.OK, taken.Entry, taken.OnlyWith)
	}
	if s := taken.Entry.String(); s != "rule 2 of 3 of VirtualService test/one" {
		t.Error(s)
	}
}

func TestLead(t *testing.T) {
	any := func(Entry) bool { return true }
	for _, tc := range []struct {
		name  string
		rules []string
		want  int
	}{
		{"the only one", []string{to("a", "{uri: {prefix: /a}}")}, 1},
		{"the one for every call", []string{to("a", "{uri: {prefix: /a}}"), to("b", "")}, 2},
		{"else the first", []string{to("a", "{uri: {prefix: /a}}"), to("b", "{uri: {prefix: /b}}")}, 1},
		{"that leads anywhere", []string{"{match: [{uri: {prefix: /a}}], redirect: {uri: /b}}", to("b", "{uri: {prefix: /b}}")}, 2},
		{"that is for this gateway", []string{to("a", "{gateways: [mesh]}"), to("b", "{uri: {prefix: /b}}")}, 2},
		{"none", []string{"{redirect: {uri: /b}}"}, 0},
	} {
		vs := service(t, "test", "one", rules(tc.rules...))
		if got, _ := tableOf(t, vs).Lead(vs, any); got.Number != tc.want {
			t.Errorf("%s: rule %d, want %d", tc.name, got.Number, tc.want)
		}
	}
	vs := service(t, "test", "one", rules(to("a", "{uri: {prefix: /a}}"), to("b", "")))
	if got, ok := tableOf(t, vs).Lead(vs, func(e Entry) bool { return e.Rule.Route[0].Destination.Host == "a" }); !ok || got.Number != 1 {
		t.Errorf("of those meant: rule %d (%v), want 1", got.Number, ok)
	}
}

// TestServingHere: who has no rule for the gateway does not serve its host
// there, however specific that is.
func TestServingHere(t *testing.T) {
	wild := service(t, "test", "wild", "spec: {hosts: ['*.example.com'], gateways: [edge/grpc], http: ["+to("b", "")+"]}")
	elsewhere := service(t, "test", "elsewhere", rules(to("a", "{gateways: [edge/web]}")))
	if got := tableOf(t, wild, elsewhere).hosts(); got != "b" {
		t.Errorf("a.example.com is taken by %s, want b", got)
	}
}
