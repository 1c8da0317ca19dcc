package cmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

// A host that is served by TLS on another port alone: where it is comes first,
// with the flags, and of what else is served no more than can be read.
func TestServedElsewhere(t *testing.T) {
	in := istio.Ingress{Namespace: "istio-system", Service: "gw", Selector: map[string]string{"istio": "ingressgateway"}}
	gateway := func(name, protocol string, port uint32) *clientnet.Gateway {
		gw := &clientnet.Gateway{}
		gw.Namespace, gw.Name = "edge", name
		gw.Spec.Selector = in.Selector
		gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: port, Name: "p", Protocol: protocol}, Hosts: []string{"*"}}}
		if protocol == "HTTPS" {
			gw.Spec.Servers[0].Tls = &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_SIMPLE}
		}
		return gw
	}
	to := func(gateways, host string) string {
		return "gateways: [" + gateways + "], hosts: ['" + host + "'], http: [{route: [{destination: {host: server}}]}]"
	}
	routes := istio.Routes{Gateways: []*clientnet.Gateway{gateway("plain", "GRPC", 8000), gateway("tls", "HTTPS", 443)}}
	for i := range 30 {
		routes.VirtualServices = append(routes.VirtualServices, virtualService(t, "test", fmt.Sprintf("a%02d", i), to("edge/plain", fmt.Sprintf("a%02d.x", i))))
	}
	routes.VirtualServices = append(routes.VirtualServices, virtualService(t, "test", "third", to("edge/plain, edge/tls", "third.x")), virtualService(t, "test", "secret", to("edge/tls", "secret.x")))
	refusal := func(o verifyOptions) *manifest.TargetError {
		listeners, via := o.listeners(routes, []istio.Ingress{in}, istio.Owner{})
		if met := istio.Met(listeners, o.tls.on(), o.nameAsked()); len(met) > 0 {
			listeners = met
		}
		_, err := o.choose(routes, routes.ServingEach(listeners, o.authorityHost()), listeners, via, istio.Owner{})
		var e *manifest.TargetError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		return e
	}
	e := refusal(verifyOptions{addr: "127.0.0.1:8000", host: "127.0.0.1", port: 8000, authority: "secret.x"})
	if e.Code != finding.NoRoute || e.Candidates[0] != "test/secret serves secret.x on port 443, by TLS: --addr 127.0.0.1:443 --tls" || !strings.Contains(e.What, "by plaintext on port 8000") || !strings.Contains(e.What, "elsewhere") {
		t.Errorf("%s: %q", e.What, e.Candidates)
	}
	if len(e.Candidates) != mostNamed+1 || e.Candidates[mostNamed] != "and 12 more: grpcmesh status -A" {
		t.Errorf("%d candidates, the last %q", len(e.Candidates), e.Candidates[len(e.Candidates)-1])
	}
	// The other way round.
	e = refusal(verifyOptions{addr: "127.0.0.1:443", host: "127.0.0.1", port: 443, authority: "a03.x", tls: tlsFlags{use: true}})
	if e.Candidates[0] != "test/a03 serves a03.x on port 8000: --addr 127.0.0.1:8000" {
		t.Errorf("%q", e.Candidates)
	}
	// None at all.
	if e = refusal(verifyOptions{addr: "127.0.0.1:8000", host: "127.0.0.1", port: 8000, authority: "none.x"}); strings.Contains(e.What, "elsewhere") || len(e.Candidates) != mostNamed+1 {
		t.Errorf("%s: %q", e.What, e.Candidates)
	}
}
