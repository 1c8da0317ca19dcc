package cmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/istio"
)

func TestParseMetadata(t *testing.T) {
	got, err := parseMetadata([]string{"X-User=jane", "a=b=c", "empty=", "k-bin=/wA=", "list=a,b"})
	if diff := cmp.Diff(map[string]string{"x-user": "jane", "a": "b=c", "empty": "", "k-bin": "/wA", "list": "a,b"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for given, want := range map[string]string{
		"novalue": "is not NAME=VALUE", "=v": "no name", ":path=/a": "--authority", "grpc-timeout=1S": "gRPC's own", "x y=z": "no name", "é=1": "no name",
		"Content-Type=x": "set by gRPC", "X-GRPCMESH-probe=1": "marks its own", "k-bin=%": "not base64", "k=caf\u00e9": "printable", "k=a\r\nb: c": "printable",
		"k= v": "a space", "k=" + strings.Repeat("x", 9000): "too long",
	} {
		if _, err := parseMetadata([]string{given}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", given, err, want)
		}
	}
	if _, err := parseMetadata([]string{"token=hush", "Token=hush"}); err == nil || !strings.Contains(err.Error(), "twice") || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
	var many []string
	for i := range 5 {
		many = append(many, string(rune('a'+i))+"="+strings.Repeat("x", 8000))
	}
	if _, err := parseMetadata(many); err == nil || !strings.Contains(err.Error(), "32 KiB") {
		t.Error(err)
	}
}

// The route under test is the one that takes calls with the metadata, and calls
// by the probe route go without what would lead them past it.
func TestMetadataFindsTheRoute(t *testing.T) {
	in := istio.Ingress{Namespace: "istio-system", Service: "gw", Selector: map[string]string{"istio": "ingressgateway"}}
	gw := &clientnet.Gateway{}
	gw.Namespace, gw.Name = "edge", "gw"
	gw.Spec.Selector = in.Selector
	gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: 80, Name: "grpc", Protocol: "GRPC"}, Hosts: []string{"*"}}}
	to := func(rules string) string { return "gateways: [edge/gw], hosts: [a.b], http: [" + rules + "]" }
	routes := istio.Routes{Gateways: []*clientnet.Gateway{gw}, VirtualServices: []*clientnet.VirtualService{
		virtualService(t, "test", "all", to("{route: [{destination: {host: all}}]}")),
		virtualService(t, "test", "fr", to("{match: [{headers: {x-lang: {prefix: fr}}}], route: [{destination: {host: fr}}]}")),
		virtualService(t, "test", "cart", to("{match: [{uri: {prefix: /shop.Cart/}, headers: {x-lang: {exact: de}}}], route: [{destination: {host: cart}}]}")),
	}}
	for _, tc := range []struct {
		name     string
		o        verifyOptions
		want     string // the VirtualService, or in the error
		marked   map[string]string
		reaching int // how many rules such calls may meet
	}{
		{"nothing", verifyOptions{}, "3 VirtualServices serve a.b", nil, 0},
		{"one's", verifyOptions{metadata: map[string]string{"x-lang": "fr-CA", "k": "v"}}, "fr", map[string]string{"k": "v"}, 1},
		{"one of two that it may meet", verifyOptions{metadata: map[string]string{"x-lang": "de"}}, "2 VirtualServices serve a.b", nil, 0},
		{"by its path", verifyOptions{metadata: map[string]string{"x-lang": "de"}, path: "/shop.Cart/Get"}, "cart", map[string]string{"x-lang": "de"}, 2},
		{"nobody's", verifyOptions{metadata: map[string]string{"k": "v"}}, "all", map[string]string{"k": "v"}, 1},
		{"another's", verifyOptions{metadata: map[string]string{"x-lang": "fr"}, virtualService: "all"}, "never reach VirtualService test/all; the first rule that takes such calls is VirtualService test/fr", nil, 0},
	} {
		o := tc.o
		o.addr, o.host, o.port, o.authority = "127.0.0.1:80", "127.0.0.1", 80, "a.b"
		listeners, _ := o.listeners(routes, []istio.Ingress{in}, istio.Owner{})
		serving := routes.ServingEach(listeners, o.authorityHost())
		c, err := o.choose(routes, serving, listeners, nil, istio.Owner{})
		var found *target
		if err == nil {
			found = &target{vs: c.VirtualService, gw: c.Listener, table: routes.Table(c.Listener, serving)}
			found.entry, err = o.chooseRule(found)
		}
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
			}
			continue
		}
		r := &run{o: &o, t: found}
		if found.entry.VirtualService.Name != tc.want || r.hidden() != "" {
			t.Errorf("%s: %s, want %s; hidden: %q", tc.name, found.entry, tc.want, r.hidden())
		}
		if diff := cmp.Diff(tc.marked, r.marked()); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
		if got := found.table.With(o.metadata); len(got) != tc.reaching {
			t.Errorf("%s: such calls may meet %v", tc.name, got)
		}
	}
}
