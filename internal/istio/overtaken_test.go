package istio

import (
	"errors"
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// TestOvertaken: whose a call will be is known before anything is written.
func TestOvertaken(t *testing.T) {
	theirs := func(body string) *clientnet.VirtualService {
		return at(1, service(t, "shop", "web", "spec: {gateways: [test/grpc], hosts: [a.com], http: ["+body+"]}"))
	}
	leaf := service(t, "shop", "leaf", "spec: {http: ["+to("x", "{uri: {prefix: /a.B/}}")+"]}")
	before := func(second int) *clientnet.VirtualService {
		return at(second, service(t, "test", "server", "spec: {gateways: [test/grpc], hosts: [a.com], http: []}"))
	}
	for _, tc := range []struct {
		name    string
		vss     []*clientnet.VirtualService
		service string
		want    string // in the conflict; empty: none
	}{
		{"alone", nil, "a.B", ""},
		{"a root that hands over to one that takes the service", []*clientnet.VirtualService{theirs("{delegate: {name: leaf}}"), leaf}, "a.B", "VirtualService shop/web"},
		{"the second rule does", []*clientnet.VirtualService{theirs(to("x", "{uri: {prefix: /c/}}") + ", {delegate: {name: leaf}}"), leaf}, "a.B", "rule 2 of 2 of VirtualService shop/web"},
		{"in another case", []*clientnet.VirtualService{theirs(to("x", "{ignoreUriCase: true, uri: {prefix: /A.b/}}"))}, "a.B", "calls to /a.B/Identify"},
		{"what takes every call goes behind one service", []*clientnet.VirtualService{theirs(to("x", ""))}, "a.B", ""},
		{"another service", []*clientnet.VirtualService{theirs(to("x", "{uri: {prefix: /a.C/}}"))}, "a.B", ""},
		{"every call, and theirs is older", []*clientnet.VirtualService{theirs(to("x", ""))}, "", "VirtualService shop/web"},
		{"every call, and ours is older", []*clientnet.VirtualService{before(0), theirs(to("x", ""))}, "", ""},
		{"by a header that a call may lack", []*clientnet.VirtualService{theirs(to("x", "{headers: {x-user: {exact: jane}}}"))}, "a.B", ""},
	} {
		r := Routes{VirtualServices: tc.vss, Gateways: []*clientnet.Gateway{
			gateway(t, "test", "grpc", server("istio: ingressgateway", 8000, "'*'"))}}
		e := exposure()
		e.Host, e.GatewaySelector = "a.com", map[string]string{"istio": "ingressgateway"}
		e.Servers = []manifest.Server{{Port: 8000, Hosts: []string{"a.com"}}}
		path := "/none"
		if tc.service != "" {
			path, e.MatchServices = "/a.B/Identify", []string{tc.service}
		}
		err := r.Overtaken(edge(), 8000, e, Call{Path: path, Authority: "a.com"})
		var conflict *plan.ConflictError
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		} else if !errors.As(err, &conflict) || conflict.ID.Name != "web" || !strings.Contains(conflict.Reason, tc.want) || !strings.Contains(conflict.Hint, "--host") {
			t.Errorf("%s: %v; want a conflict: %s", tc.name, err, tc.want)
		}
	}
}
