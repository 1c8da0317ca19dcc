package istio

import (
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// TestContestedHeaders: two routes for the same paths are apart where no call
// meets the headers of both, or where the one that asks for more stands before
// the other.
func TestContestedHeaders(t *testing.T) {
	const none, older, younger = "none", "older", "younger"
	for _, tc := range []struct {
		name   string
		theirs string // match
		ours   manifest.Route
		every  bool   // ours takes every service
		own    string // ours, as it is, beside theirs
		want   string
	}{
		{"another value", "{uri: {prefix: /a.B/}, headers: {x-user: {exact: joe}}}", asks("x-user", "jane"), false, none, ""},
		{"another header", "{uri: {prefix: /a.B/}, headers: {x-tenant: {exact: joe}}}", asks("x-user", "jane"), false, none, "/a.B/"},
		{"the same", "{uri: {prefix: /a.B/}, headers: {x-user: {exact: jane}}}", asks("x-user", "jane"), false, none, "/a.B/"},
		{"the same, in another case of the name", "{uri: {prefix: /a.B/}, headers: {X-User: {exact: jane}}}", asks("x-user", "jane"), false, none, "/a.B/"},
		{"the same for another service", "{uri: {prefix: /c.D/}, headers: {x-user: {exact: jane}}}", asks("x-user", "jane"), false, none, ""},
		{"a beginning that ours has not", "{uri: {prefix: /a.B/}, headers: {x-user: {prefix: jo}}}", asks("x-user", "ja*"), false, none, ""},
		{"a beginning of ours", "{uri: {prefix: /a.B/}, headers: {x-user: {prefix: j}}}", asks("x-user", "ja*"), false, none, "/a.B/"},
		{"a pattern that ours is not", "{uri: {prefix: /a.B/}, headers: {x-user: {regex: jo.*}}}", asks("x-user", "jane"), false, none, ""},
		{"a pattern, and a beginning", "{uri: {prefix: /a.B/}, headers: {x-user: {regex: jo.*}}}", asks("x-user", "ja*"), false, none, "/a.B/"},
		{"ours asks for more, and comes last", "{uri: {prefix: /a.B/}}", asks("x-user", "jane"), false, none, "/a.B/"},
		{"ours asks for more, and is younger", "{uri: {prefix: /a.B/}}", asks("x-user", "jane"), false, younger, "/a.B/"},
		{"ours asks for more, and is older", "{uri: {prefix: /a.B/}}", asks("x-user", "jane"), false, older, ""},
		{"theirs asks for more, and is there", "{uri: {prefix: /a.B/}, headers: {x-user: {exact: jane}}}", manifest.Route{}, false, none, ""},
		{"theirs asks for more, and is younger", "{uri: {prefix: /a.B/}, headers: {x-user: {exact: jane}}}", manifest.Route{}, false, older, "/a.B/"},
		{"theirs asks for more, and ours takes all", "{headers: {x-user: {exact: jane}}}", manifest.Route{}, true, older, ""},
		{"theirs asks for a service, and ours took all already", "{uri: {prefix: /a.B/}}", manifest.Route{}, true, older, ""},
		{"ours has a header alone, theirs a service", "{uri: {prefix: /a.B/}}", asks("x-user", "jane"), true, none, "some calls"},
		{"ours has a header alone, theirs takes all", "{uri: {prefix: /}}", asks("x-user", "jane"), true, none, ""},
		{"ours has a header alone, theirs another value", "{headers: {x-user: {exact: joe}}}", asks("x-user", "jane"), true, none, ""},
		{"theirs is for calls without ours", "{uri: {prefix: /a.B/}, withoutHeaders: {x-user: {}}}", asks("x-user", "jane"), false, none, "/a.B/"},
	} {
		r := Routes{}
		e := exposure()
		if e.Route = tc.ours; !tc.every {
			e.MatchServices = []string{"a.B"}
		}
		theirs := at(5, service(t, "shop", "web", "spec: {http: ["+to("x", tc.theirs)+"]}"))
		r.VirtualServices = []*clientnet.VirtualService{theirs}
		if second := map[string]int{older: 4, younger: 6}[tc.own]; second > 0 {
			r.VirtualServices = append(r.VirtualServices, at(second, service(t, "test", "server", "spec: {http: ["+to("z", "")+"]}")))
		}
		if got := r.contested(theirs, e); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func asks(name, value string) manifest.Route {
	return manifest.Route{MatchHeaders: map[string]string{name: value}}
}
