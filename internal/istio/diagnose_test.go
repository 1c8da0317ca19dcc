package istio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
)

// codes are those of findings, in order, with a word of each reason checked by
// the caller.
func codes(found []finding.Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

func TestDiagnoseGateway(t *testing.T) {
	t.Parallel()
	asleep := edge()
	asleep.Pods, asleep.Asleep = nil, true
	low := edge()
	low.Ports = []IngressPort{{Port: 80, Target: 80, Barred: "leads to port 80 of its pods, which they may not open"}, {Port: 8000, Target: 8000}}
	second := edge()
	second.Service, second.Ports = "second", []IngressPort{{Port: 9000, Target: 9000}, {Port: 80, Target: 8080}}
	of := func(protocol, rest string) string {
		return fmt.Sprintf("spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8000, name: x, protocol: %s}, hosts: ['*']%s}]}", protocol, rest)
	}
	tls := ", tls: {mode: SIMPLE, credentialName: c}"
	for _, tc := range []struct {
		name   string
		body   string
		older  string // the body of an older Gateway; empty: none
		all    []Ingress
		want   string
		reason string // in the first
		orphan bool
	}{
		{"in order", server("istio: ingressgateway", 8000, "'*'"), "", []Ingress{edge()}, "", "", false},
		{"by the pods' own port", server("istio: ingressgateway", 8080, "'*'"), "", []Ingress{edge()}, "", "", false},
		{"nobody's", server("istio: nobody", 8000, "'*'"), "", []Ingress{edge()}, "", "", true},
		{"asleep", server("istio: ingressgateway", 8000, "'*'"), "", []Ingress{asleep}, "GM152", "istio-system/istio-ingressgateway, has no pods", false},
		{"closed", server("istio: ingressgateway", 9000, "'*'"), "", []Ingress{edge()}, "GM153", "port 9000 is not open", false},
		{"closed on one Service, open on another", server("istio: ingressgateway", 9000, "'*'"), "", []Ingress{edge(), second}, "", "", false},
		{"below 1024", server("istio: ingressgateway", 80, "'*'"), "", []Ingress{low}, "GM154", "which they may not open", false},
		{"below 1024 by one Service alone", server("istio: ingressgateway", 80, "'*'"), "", []Ingress{low, second}, "", "", false},
		{"beside its like", of("GRPC", ""), of("HTTP", ""), []Ingress{edge()}, "GM173", `Gateway other/older listens for host "*" on port 8000 of the same pods too`, false},
		{"beside TLS", of("GRPC", ""), of("HTTPS", tls), []Ingress{edge()}, "GM160", "Gateway other/older, which is older, holds port 8000 for the protocol HTTPS", false},
		{"TLS beside TLS", of("TLS", tls), of("HTTPS", tls), []Ingress{edge()}, "GM180", "Gateway other/older, which is older, serves TLS for host", false},
		{"beside its like for another host", of("GRPC", ""), strings.Replace(of("HTTP", ""), "'*'", "a.com", 1), []Ingress{edge()}, "", "", false},
		{"beside its like for another namespace", strings.Replace(of("GRPC", ""), "'*'", "./*", 1), strings.Replace(of("HTTP", ""), "'*'", "./*", 1), []Ingress{edge()}, "", "", false},
		{"beside its like on another address", of("GRPC", ", bind: 10.0.0.1"), of("GRPC", ""), []Ingress{edge()}, "", "", false},
		{"TCP beside TCP", of("TCP", ""), of("TCP", ""), []Ingress{edge()}, "GM160", "TCP", false},
		{"on another address of the pod", of("GRPC", ", bind: 10.0.0.1"), of("TCP", ""), []Ingress{edge()}, "", "", false},
	} {
		gw := gateway(t, "test", "mine", tc.body)
		gw.CreationTimestamp = metav1.NewTime(time.Unix(2000, 0))
		r := Routes{Gateways: []*clientnet.Gateway{gw}}
		if tc.older != "" {
			older := gateway(t, "other", "older", tc.older)
			older.CreationTimestamp = metav1.NewTime(time.Unix(1000, 0))
			r.Gateways = append(r.Gateways, older)
			if found, _ := r.DiagnoseGateway(older, tc.all); len(found) > 0 && codes(found) != "GM173" { // which is of both
				t.Errorf("%s: the older one is to blame: %v", tc.name, found)
			}
		}
		found, orphan := r.DiagnoseGateway(gw, tc.all)
		if codes(found) != tc.want || orphan != tc.orphan || tc.want != "" && !strings.Contains(found[0].Reason, tc.reason) {
			t.Errorf("%s: %v, orphan %v; want %q: %s", tc.name, found, orphan, tc.want, tc.reason)
		}
	}
}

func TestDiagnoseRoute(t *testing.T) {
	t.Parallel()
	gw := gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, "a.com, team/b.com"))
	body := func(gateways, hosts string) string {
		return "spec: {hosts: [" + hosts + "], gateways: [" + gateways + "], http: [" + to("a", "") + "]}"
	}
	for _, tc := range []struct {
		name, gateways, hosts string
		want                  []string // code and Istio's
	}{
		{"in order", "edge/grpc", "a.com", nil},
		{"for the mesh too", "edge/grpc, mesh", "a.com", nil},
		{"without the namespace", "grpc", "a.com", []string{"GM166 IST0101"}},
		{"one of two", "edge/grpc, gone", "a.com", []string{"GM166 IST0101"}},
		{"another host", "edge/grpc", "c.com", []string{"GM167 IST0132"}},
		{"another host beside its own", "edge/grpc", "a.com, c.com", []string{"GM167 "}},
		{"a host that is another namespace's", "edge/grpc", "b.com", []string{"GM167 IST0132"}},
		{"behind another", "edge/grpc", "a.com", []string{"GM164 "}},
	} {
		vs := at(2, service(t, "test", "mine", body(tc.gateways, tc.hosts)))
		r := Routes{Gateways: []*clientnet.Gateway{gw}, VirtualServices: []*clientnet.VirtualService{vs}}
		if tc.name == "behind another" {
			r.VirtualServices = append(r.VirtualServices, at(1, service(t, "other", "first", body("edge/grpc", "a.com"))))
		}
		var got []string
		for _, f := range r.DiagnoseRoute(vs, []Ingress{edge()}) {
			got = append(got, f.Code+" "+f.Istio)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestLabelsOf counts labels as Istio's analyzer does.
func TestLabelsOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		labels map[string]string
		want   string
	}{
		{nil, ""},
		{map[string]string{injectionLabel: "enabled"}, ""},
		{map[string]string{injectionLabel: "enabled", revisionLabel: "x"}, "istio-injection=enabled istio.io/rev=x"},
		{map[string]string{injectionLabel: "disabled", revisionLabel: "x"}, ""},
		{map[string]string{dataplaneLabel: "ambient", revisionLabel: "x"}, "istio.io/rev=x istio.io/dataplane-mode=ambient"},
	} {
		if got := strings.Join(LabelsOf(tc.labels), " "); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.labels, got, tc.want)
		}
	}
}
