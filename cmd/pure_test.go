package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
)

var errUnderTest = errors.New("boom")

// virtualService reads one from YAML.
func virtualService(t *testing.T, namespace, name, spec string) *clientnet.VirtualService {
	t.Helper()
	vs := &clientnet.VirtualService{}
	if err := yaml.Unmarshal([]byte("spec: {"+spec+"}"), vs); err != nil {
		t.Fatal(err)
	}
	vs.Namespace, vs.Name = namespace, name
	return vs
}

// targetOf is a target whose first VirtualService has the given rules; the
// rule under test is the first of them.
func targetOf(t *testing.T, rules ...string) *target {
	t.Helper()
	vs := virtualService(t, "test", "server", "gateways: [grpc], hosts: ['*'], http: [{"+strings.Join(rules, "}, {")+"}]")
	for _, rule := range vs.Spec.Http {
		rule.Route = []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "server"}}}
	}
	gw := istio.Listener{Gateway: &clientnet.Gateway{}, Server: &networking.Server{Port: &networking.Port{Number: 8000}}}
	gw.Gateway.Namespace, gw.Gateway.Name = "test", "grpc"
	routes := istio.Routes{VirtualServices: []*clientnet.VirtualService{vs}}
	table := routes.Table(gw, routes.Serving([]istio.Listener{{Gateway: gw.Gateway, Server: &networking.Server{Port: gw.Server.Port, Hosts: []string{"*"}}}}, "a"))
	entry := istio.Entry{}
	for _, e := range table {
		if e.Number == 1 {
			entry = e
		}
	}
	return &target{vs: vs, gw: gw, table: table, entry: entry}
}

func TestMerge(t *testing.T) {
	ep := func(address string, share float64) check.Endpoint {
		return check.Endpoint{Address: address, Pod: "pod-" + address, Share: share}
	}
	for _, tc := range []struct {
		name      string
		all, want []check.Endpoint
	}{
		{"none", nil, nil},
		{"as they are", []check.Endpoint{ep("a", .5), ep("b", .5)}, []check.Endpoint{ep("a", .5), ep("b", .5)}},
		{"one of two destinations has no endpoints", []check.Endpoint{ep("a", .25), ep("b", .25)}, []check.Endpoint{ep("a", .5), ep("b", .5)}},
		{"two destinations lead to one", []check.Endpoint{ep("a", .25), ep("b", .25), ep("a", .5)}, []check.Endpoint{ep("a", .75), ep("b", .25)}},
	} {
		got := merge(tc.all)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		sum := 0.0
		for _, e := range got {
			sum += e.Share
		}
		if len(got) > 0 && math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: the shares sum to %v", tc.name, sum)
		}
	}
}

func TestCompare(t *testing.T) {
	ep := func(address, pod string) check.Endpoint {
		return check.Endpoint{Address: address, Pod: pod, Share: .5}
	}
	stayed, changed := compare([]check.Endpoint{ep("1:1", "a"), ep("2:1", "b")}, []check.Endpoint{ep("3:1", "c"), ep("2:1", "b")})
	if diff := cmp.Diff([]check.Endpoint{{Address: "2:1", Pod: "b", Share: 1}}, stayed); diff != "" {
		t.Errorf("stayed (-want +got):\n%s", diff)
	}
	// The words hold the address: the judge explains answers from there by it.
	if diff := cmp.Diff([]string{"a (1:1) went", "c (3:1) came"}, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	// An address that another pod has taken over did not stay.
	stayed, changed = compare([]check.Endpoint{ep("1:1", "a")}, []check.Endpoint{ep("1:1", "b")})
	if len(stayed) != 0 || len(changed) != 2 {
		t.Errorf("another pod at the address: stayed %v, changed %v", stayed, changed)
	}
}

// paths writes where calls go; one with a message that can't be read ends in !
func paths(calls []probe.Call) string {
	var all []string
	for _, c := range calls {
		mark := ""
		if string(c.Payload) == "\x0a" {
			mark = "!"
		}
		all = append(all, c.Path+mark)
	}
	return strings.Join(all, " ")
}

// TestWitnessCalls: calls are made only of what users would call; a route that
// takes some paths proves nothing by the paths that it takes itself.
func TestWitnessCalls(t *testing.T) {
	services := []probe.Service{
		{Name: "grpc.reflection.v1.ServerReflection", Methods: []probe.Method{{Name: "ServerReflectionInfo", ClientStream: true, ServerStream: true}}},
		{Name: "grpc.health.v1.Health", Methods: []probe.Method{{Name: "Check"}}},
		{Name: "grpc.channelz.v1.Channelz", Methods: []probe.Method{{Name: "GetServer"}}},
		{Name: "a.B", Methods: []probe.Method{{Name: "Get"}, {Name: "Watch", ServerStream: true}, {Name: "Put"}, {Name: "Send", ClientStream: true}}},
		{Name: "c.D"},
	}
	const all, some, exact = "route: []", "match: [{uri: {prefix: /a.}}]", "match: [{uri: {exact: /a.B/Get}}]"
	for _, tc := range []struct {
		name, path, rule string
		services         []probe.Service
		err              error
		want             string
		why              string
	}{
		{"the path given", "/x.Y/Z", some, services, nil, "/x.Y/Z!", ""},
		{"each service of its own", "", all, services, nil, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"also where the route takes some", "", some, services, nil, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"its methods, where the route takes methods", "", exact, services, nil, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"its methods, by a prefix within a service", "", "match: [{uri: {prefix: /a.B/Pu}}]", services, nil, "/a.B/Put! /a.B/Get! /c.D/Identify", ""},
		{"its methods, by a pattern", "", "match: [{uri: {regex: '/a\\..*/(Get|List)'}}]", services, nil, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"the path that nobody takes", "/x.Y/Z", exact, nil, nil, "/x.Y/Z!", ""},
		{"only calls that carry a header", "", "match: [{headers: {x-user: {}}}]", services, nil, "", "only with header x-user"},
		{"only calls that carry a header, of the path given", "/a.B/Get", "match: [{headers: {x-user: {exact: b}}, uri: {prefix: /a.B/}}]", services, nil, "", "calls to /a.B/Get only with header x-user"},
		{"what the gateway adds can't be known", "", "match: [{headers: {x-forwarded-for: {prefix: '10.'}}}]", services, nil, "", "can't be told beforehand"},
		{"no reflection, the route takes all", "", all, nil, errUnderTest, noPath, ""},
		{"no service of its own, the route takes all", "", all, services[:3], nil, noPath, ""},
		{"no reflection, the route takes some", "", some, nil, errUnderTest, "", "does not answer reflection (boom)"},
		{"no service of its own, the route takes some", "", some, services[:3], nil, "", "lists no service of its own"},
		{"the route takes a stream, which can't be called", "", "match: [{uri: {exact: /a.B/Watch}}]", services[3:4], nil, "", "only streams are known, such as /a.B/Watch"},
		{"nothing but a stream, and the route takes it", "", "match: [{uri: {exact: /a.B/Watch}}]", []probe.Service{{Name: "a.B", Methods: []probe.Method{{Name: "Watch", ServerStream: true}}}}, nil, "", "only streams are known"},
		{"nothing but a stream, and the route takes another", "", exact, []probe.Service{{Name: "a.B", Methods: []probe.Method{{Name: "Watch", ServerStream: true}}}}, nil, "/a.B/Identify", ""},
	} {
		r := &run{o: &verifyOptions{path: tc.path}, t: targetOf(t, tc.rule)}
		calls, why := r.witnessCalls(t.Context(), func(context.Context) ([]probe.Service, error) { return tc.services, tc.err })
		if slices.ContainsFunc(calls, func(c probe.Call) bool { return c.Nonce != "" }) {
			t.Errorf("%s: a call carries a nonce: it would take the probe's route", tc.name)
		}
		if s := paths(calls); s != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, s, tc.want)
		}
		if !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
			t.Errorf("%s: why is %q, want %q", tc.name, why, tc.why)
		}
	}
	// Beside other rules: what they take proves nothing of the first.
	first, second := "match: [{uri: {prefix: /a.B/}}]", "match: [{uri: {prefix: /c.}}]"
	for _, tc := range []struct {
		name      string
		rules     []string
		want, why string
	}{
		{"the other takes one", []string{first, second}, "/a.B/Get! /a.B/Put!", ""},
		{"the other takes all that is left", []string{first, all}, "/a.B/Get! /a.B/Put!", ""},
		{"the first takes what is left", []string{all}, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"nobody takes the rest", []string{first, "match: [{uri: {prefix: /e.}}]"}, "/a.B/Get! /a.B/Put! /c.D/Identify", ""},
		{"methods of two rules", []string{"match: [{uri: {exact: /a.B/Put}}]", first}, "/a.B/Put! /c.D/Identify", ""},
		{"the first is hidden", []string{"match: [{uri: {prefix: /e.}}]", all}, "", "taken by rule 2 of 2 of VirtualService test/server"},
	} {
		r := &run{o: &verifyOptions{}, t: targetOf(t, tc.rules...)}
		calls, why := r.witnessCalls(t.Context(), func(context.Context) ([]probe.Service, error) { return services, nil })
		if got := paths(calls); got != tc.want || !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
			t.Errorf("%s: %q (%q), want %q (%q)", tc.name, got, why, tc.want, tc.why)
		}
	}
	// Without reflection nobody knows which rule real calls meet.
	r := &run{o: &verifyOptions{}, t: targetOf(t, first, all)}
	r.t.entry = r.t.table[1]
	if calls, why := r.witnessCalls(t.Context(), func(context.Context) ([]probe.Service, error) { return nil, errUnderTest }); len(calls) > 0 || !strings.Contains(why, "real calls may be taken by rule 1 of 2") {
		t.Errorf("beside another rule: %q (%s)", paths(calls), why)
	}
	many := make([]probe.Service, 10*mostWitnesses)
	for i := range many {
		many[i].Name = fmt.Sprintf("s%d.S", i)
	}
	r = &run{o: &verifyOptions{}, t: targetOf(t, all)}
	if got, _ := r.witnessCalls(t.Context(), func(context.Context) ([]probe.Service, error) { return many, nil }); len(got) != mostWitnesses {
		t.Errorf("%d calls for %d services, want at most %d", len(got), len(many), mostWitnesses)
	}
}

// TestHidden: a rule that would have the probe's calls is found before anything
// is written.
func TestHidden(t *testing.T) {
	const all = "route: []"
	for _, tc := range []struct {
		name  string
		rules []string
		want  string
	}{
		{"every call", []string{all}, ""},
		{"some paths", []string{"match: [{uri: {prefix: /a.B/}}]"}, ""},
		{"any path, by a pattern", []string{"match: [{uri: {regex: '/.+'}}]"}, "VirtualService test/server takes calls of any path"},
		{"any path, by a pattern that Istio knows", []string{"match: [{uri: {regex: '.*'}}]"}, ""},
		{"any path, of one method", []string{"match: [{method: {exact: POST}}]", all}, "rule 1 of 2 of VirtualService test/server takes calls of any path"},
		{"any path, with metadata", []string{"match: [{headers: {x-user: {exact: a}}}]", all}, ""},
		{"what the gateway adds", []string{"match: [{headers: {x-forwarded-for: {prefix: '10.'}}}]", "match: [{uri: {regex: '/.+'}}]"}, "rule 2 of 2"},
	} {
		r := &run{o: &verifyOptions{}, t: targetOf(t, tc.rules...)}
		if got := r.hidden(); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if tc.want == "" {
			continue
		}
		r.o.identify = "route"
		if _, _, err := r.rung(t.Context()); ExitCode(err) != exitUsage || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: asked for the route: %v, want exit code 2", tc.name, err)
		}
		r.o.identify = "auto"
		if rung, why, err := r.rung(t.Context()); err != nil || rung != check.RungSidecars || !strings.Contains(why, tc.want) {
			t.Errorf("%s: %s (%s), %v; want the sidecars", tc.name, rung, why, err)
		}
	}
}

func TestAuthorities(t *testing.T) {
	for _, tc := range []struct{ host, address, want string }{
		{"*", "203.0.113.10", "203.0.113.10"}, {"*", "", "grpcmesh.invalid"},
		{"*.example.com", "203.0.113.10", "grpcmesh.example.com"}, {"a.example.com", "203.0.113.10", "a.example.com"},
	} {
		if got := authorityFor(tc.host, tc.address); got != tc.want {
			t.Errorf("authorityFor(%s, %s) = %s, want %s", tc.host, tc.address, got, tc.want)
		}
	}
	for _, tc := range []struct{ addr, authority, host, sent string }{
		{"203.0.113.10:8000", "", "203.0.113.10", "203.0.113.10:8000"},
		{"[2001:db8::1]:8000", "", "2001:db8::1", "[2001:db8::1]:8000"},
		{"203.0.113.10:8000", "a.example.com", "a.example.com", "a.example.com"},
		{"203.0.113.10:8000", "a.example.com:443", "a.example.com", "a.example.com:443"},
	} {
		o := &verifyOptions{addr: tc.addr, authority: tc.authority, identify: "auto", controls: controlAuto, output: "text", alpha: .001, timeout: 1}
		if err := o.validate(); err != nil {
			t.Fatal(err)
		}
		if o.authorityHost() != tc.host || o.dialAuthority() != tc.sent || o.dialTarget(3).Authority != tc.sent || o.dialTarget(3).Conn != 3 {
			t.Errorf("%s, --authority %q: routed by %s, sent %s; want %s and %s", tc.addr, tc.authority, o.authorityHost(), o.dialAuthority(), tc.host, tc.sent)
		}
	}
	for address, want := range map[string]int{"10.0.0.1:50051": 50051, "[2001:db8::1]:80": 80, "10.0.0.1": 0, "10.0.0.1:x": 0, "": 0} {
		if got := portOf(address); got != want {
			t.Errorf("portOf(%q) = %d, want %d", address, got, want)
		}
	}
}

func TestNotUpstreamAndNotOurs(t *testing.T) {
	pods := []corev1.Pod{{Status: corev1.PodStatus{PodIP: "10.0.0.1"}}, {Status: corev1.PodStatus{PodIP: "2001:db8::1"}}}
	stamped := func(backend, flags string) probe.Sample {
		return probe.Sample{Stamped: true, Stamp: probe.Stamp{Backend: backend, Flags: flags}}
	}
	failed := func(s probe.Sample, code codes.Code, message string) probe.Sample {
		s.Code, s.Message = code, message
		return s
	}
	for _, tc := range []struct {
		name string
		why  string
		want string // in it; empty: nothing wrong
	}{
		{"upstream", notUpstream(probe.Sample{Upstream: true, Code: codes.Unimplemented}), ""},
		{"no answer", notUpstream(probe.Sample{NoAnswer: true, Err: "reset"}), "no answer: reset"},
		{"no gRPC", notUpstream(probe.Sample{NotGRPC: true, Err: "text/html"}), "does not speak gRPC: text/html"},
		{"the gateway itself", notUpstream(probe.Sample{Code: codes.Unavailable, Message: "no \x1b healthy"}), `code Unavailable "no \x1b healthy"`},
		{"ours", notOurs(stamped("10.0.0.1:50051", "-"), pods, 50051), ""},
		{"ours, IPv6", notOurs(stamped("[2001:db8::1]:50051", "-"), pods, 50051), ""},
		{"another port of ours", notOurs(stamped("10.0.0.1:8080", "-"), pods, 50051), "another backend answered: 10.0.0.1:8080"},
		{"another pod", notOurs(stamped("10.0.0.9:50051", "-"), pods, 50051), "another backend answered"},
		{"not stamped", notOurs(probe.Sample{Upstream: true}, pods, 50051), "does not have the probe route yet"},
		{"flags", notOurs(stamped("10.0.0.1:50051", "UF"), pods, 50051), "Envoy's flags: UF"},
		{"a sidecar without an app", notUpstream(probe.Sample{Upstream: true, Code: codes.Unavailable, Message: "upstream connect error or disconnect/reset"}), `not the app in it (code Unavailable "upstream connect error`},
		{"a sidecar that refuses", notUpstream(probe.Sample{Upstream: true, Code: codes.PermissionDenied, Message: "RBAC: access denied"}), "refuses the call by a policy"},
		{"the app refuses", notUpstream(probe.Sample{Upstream: true, Code: codes.PermissionDenied, Message: "not yours"}), ""},
		{"our sidecar without an app", notOurs(failed(stamped("10.0.0.1:50051", "-"), codes.Unavailable, "upstream connect error"), pods, 50051), "reached pod 10.0.0.1:50051, but not the app"},
		{"our sidecar that refuses", notOurs(failed(stamped("10.0.0.1:50051", "-"), codes.PermissionDenied, "RBAC: access denied"), pods, 50051), "the sidecar of pod 10.0.0.1:50051 refuses"},
		{"stamped, no answer", notOurs(probe.Sample{NoAnswer: true, Err: "reset", Stamped: true}, pods, 50051), "no answer"},
	} {
		if (tc.why == "") != (tc.want == "") || !strings.Contains(tc.why, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, tc.why, tc.want)
		}
	}
}

func TestChooseTarget(t *testing.T) {
	gw := &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: "edge", Name: "grpc"}}
	gw.Spec.Selector = map[string]string{"istio": "ingressgateway"}
	gw.Spec.Servers = []*networking.Server{{Port: &networking.Port{Number: 8000, Name: "grpc", Protocol: "GRPC"}, Hosts: []string{"*"}}}
	in := istio.Ingress{Namespace: "istio-system", Service: "gw", Selector: gw.Spec.Selector}
	to := func(host, service string) string {
		return "gateways: [edge/grpc], hosts: ['" + host + "'], http: [{route: [{destination: {host: " + service + "}}]}]"
	}
	routes := istio.Routes{Gateways: []*clientnet.Gateway{gw}, VirtualServices: []*clientnet.VirtualService{
		virtualService(t, "shop", "one", to("a.com", "first")), virtualService(t, "test", "two", to("a.com", "second")), virtualService(t, "test", "other", to("b.com", "third.shop.svc.cluster.local")),
		virtualService(t, "shop", "carts", strings.Replace(to("c.com", "first"), "{route", "{match: [{uri: {prefix: /shop.Cart/}}], route", 1)),
		virtualService(t, "test", "rest", to("c.com", "second")),
	}}
	for _, tc := range []struct {
		name  string
		o     verifyOptions
		port  int
		want  string // the one chosen, or in the error
		cands int
	}{
		{"the only one for its host", verifyOptions{host: "b.com"}, 8000, "test/other", 0},
		{"two", verifyOptions{host: "a.com"}, 8000, "2 VirtualServices serve a.com through gateway istio-system/gw", 2},
		{"by namespace", verifyOptions{host: "a.com", namespace: "test"}, 8000, "test/two", 0},
		{"by name", verifyOptions{host: "a.com", virtualService: "one"}, 8000, "shop/one", 0},
		{"by Service", verifyOptions{host: "a.com", service: "second"}, 8000, "test/two", 0},
		{"by a Service of another namespace", verifyOptions{host: "b.com", service: "third"}, 8000, "test/other", 0},
		{"by the path, the specific one", verifyOptions{host: "c.com", path: "/shop.Cart/Add"}, 8000, "shop/carts", 0},
		{"by the path, the rest", verifyOptions{host: "c.com", path: "/shop.Order/Add"}, 8000, "test/rest", 0},
		{"by what isn't there", verifyOptions{host: "a.com", service: "third"}, 8000, "what serves a.com through gateway istio-system/gw is not what was asked for", 2},
		{"no route for the host", verifyOptions{host: "203.0.113.10"}, 8000, "no VirtualService serves the host 203.0.113.10", 5},
		{"no listener", verifyOptions{host: "a.com"}, 9000, "no Gateway listens on port 9000 of gateway istio-system/gw", 0},
	} {
		listeners := routes.Listeners(in, tc.port)
		c, err := tc.o.choose(routes, routes.Serving(listeners, tc.o.authorityHost()), listeners, nil, istio.Owner{Ingress: &in, Number: tc.port})
		if err == nil {
			if got := c.VirtualService.Namespace + "/" + c.VirtualService.Name; got != tc.want {
				t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
			}
			continue
		}
		var target *manifest.TargetError
		if !errors.As(err, &target) || !strings.Contains(target.What, tc.want) || len(target.Candidates) != tc.cands {
			t.Errorf("%s: %v; want %q and %d candidates", tc.name, err, tc.want, tc.cands)
		}
	}
	r := &target{vs: routes.VirtualServices[2], entry: istio.Entry{VirtualService: routes.VirtualServices[2], Number: 1, Of: 1}, gw: istio.Listener{Gateway: gw, Server: gw.Spec.Servers[0]}, namespace: "shop", service: "third"}
	if got, want := r.describe(), "VirtualService test/other (hosts b.com) through Gateway edge/grpc, port 8000"; got != want {
		t.Errorf("describe = %q, want %q", got, want)
	}
	if diff := cmp.Diff(check.Where{Address: "x:1", Namespace: "test", Service: "third", VirtualService: "other"}, r.where("x:1")); diff != "" {
		t.Errorf("where (-want +got):\n%s", diff)
	}
	l4 := &target{layer4: true, namespace: "test", service: "server"}
	if got, want := l4.describe(), "Service test/server, its own address (layer 4)"; got != want {
		t.Errorf("describe = %q, want %q", got, want)
	}
}

// exposing is a run of expose that has found its workload and port.
func exposing() *exposer {
	var err strings.Builder
	return &exposer{
		o:         &exposeOptions{IO: IO{In: strings.NewReader(""), Err: &err}, called: called{program: "grpcmesh"}, dryRun: "none"},
		intent:    manifest.Intent{Port: 8000, Host: "*"},
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", UID: "ns"}},
		workload: k8s.Workload{Kind: "Deployment", Namespace: "test", Name: "server", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "rpc", ContainerPort: 50051}}}}}}},
		port: k8s.PortFound{Port: 50051},
	}
}

func TestDecideService(t *testing.T) {
	svc := func(name string, set func(*corev1.Service), ports ...corev1.ServicePort) corev1.Service {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test"},
			Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: ports, Selector: map[string]string{"app": "server"}}}
		if set != nil {
			set(&s)
		}
		return s
	}
	port := func(name string, number int32, target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: number, TargetPort: target}
	}
	app := intstr.FromInt32(50051)
	ours := func(s *corev1.Service) {
		s.Labels = map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.server"}
	}
	broad := func(s *corev1.Service) { s.Spec.Selector = map[string]string{"tier": "back"} }
	for _, tc := range []struct {
		name      string
		services  []corev1.Service
		reuse     string
		port      int
		reusePort int
		conflict  string // in the error; empty: none
		warns     string // in the warnings
	}{
		{"none", nil, "", 8000, 0, "", ""},
		{"one for gRPC", []corev1.Service{svc("greeter", nil, port("grpc", 9000, app))}, "greeter", 9000, 0, "", ""},
		{"one for gRPC, by the name of its port", []corev1.Service{svc("greeter", nil, port("grpc", 9000, intstr.FromString("rpc")))}, "greeter", 9000, 0, "", ""},
		{"one of several ports", []corev1.Service{svc("greeter", nil, port("web", 80, intstr.FromInt32(8080)), port("grpc", 9000, app))}, "greeter", 9000, 9000, "", ""},
		{"our own, from a run before", []corev1.Service{svc("server", ours, port("grpc", 8000, app))}, "", 8000, 0, "", ""},
		{"our own, and another's for gRPC that came later", []corev1.Service{svc("greeter", nil, port("grpc", 9000, app)), svc("server", ours, port("grpc", 8000, app))}, "", 8000, 0, "",
			"Deployment/server: port 8000 of Service server and port 9000 of Service greeter lead to its port 50051"},
		{"one that takes others' pods too", []corev1.Service{svc("back", broad, port("grpc", 9000, app))}, "", 8000, 0, "",
			"Service/back: it leads to StatefulSet/cart and Pod/bare too; the route leads to a Service of its own beside it"},
		{"one that takes others' pods too, and one that doesn't", []corev1.Service{svc("back", broad, port("grpc", 9000, app)), svc("greeter", nil, port("grpc", 9001, app))}, "greeter", 9001, 0, "", "port 9000 of Service back and port 9001 of Service greeter lead to its port 50051"},
		{"two ports of one that is reused", []corev1.Service{svc("greeter", nil, port("grpc", 9000, app), port("grpc-b", 9001, app))}, "greeter", 9000, 9000, "", "port 9000 of Service greeter and port 9001 of Service greeter lead"},
		{"another of the same number", []corev1.Service{svc("back", broad, port("grpc", 9001, app)), svc("greeter", nil, port("grpc", 9001, app))}, "greeter", 9001, 0, "", ""},
		{"one that takes others' pods too, of the workload's name", []corev1.Service{svc("server", broad, port("grpc", 9000, app))}, "", 0, 0,
			"it was not made by grpcmesh, and it leads to StatefulSet/cart and Pod/bare too", ""},
		{"the workload's name on a broad one, and another that serves", []corev1.Service{svc("greeter", nil, port("grpc", 9001, app)), svc("server", broad, port("grpc", 9000, app))}, "greeter", 9001, 0, "", "port 9000 of Service server and port 9001 of Service greeter lead"},
		{"to another port", []corev1.Service{svc("web", nil, port("http", 80, intstr.FromInt32(8080)))}, "", 8000, 0, "", ""},
		{"headless", []corev1.Service{svc("greeter", func(s *corev1.Service) { s.Spec.ClusterIP = "None" }, port("grpc", 9000, app))}, "", 8000, 0, "", "Service/greeter: it is headless"},
		{"not as gRPC, of another name", []corev1.Service{svc("greeter", nil, port("web", 9000, app))}, "", 8000, 0, "", "its name web does not begin with grpc"},
		{"not as gRPC, of the workload's name", []corev1.Service{svc("server", nil, port("web", 80, intstr.FromInt32(8080)), port("", 9000, app))}, "", 0, 0,
			"it has neither a name nor an appProtocol", ""},
		{"another appProtocol, of the workload's name", []corev1.Service{svc("server", nil, corev1.ServicePort{Name: "grpc", Port: 9000, TargetPort: app, AppProtocol: new("http")})}, "", 0, 0,
			"its appProtocol is http", ""},
	} {
		x := exposing()
		err := x.decideService(t.Context(), tc.services, takesMore("tier"))
		if tc.conflict != "" {
			var conflict *plan.ConflictError
			if !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, tc.conflict) {
				t.Errorf("%s: %v; want a conflict: %s", tc.name, err, tc.conflict)
			} else if index := len(tc.services[0].Spec.Ports) - 1; strings.Contains(tc.conflict, "leads to") {
				if !strings.Contains(conflict.Hint, "tier=back") || !strings.Contains(conflict.Hint, "Nothing was written") {
					t.Errorf("%s: the hint %q names no way out", tc.name, conflict.Hint)
				}
			} else if !strings.Contains(conflict.Hint, fmt.Sprintf("/spec/ports/%d/appProtocol", index)) {
				t.Errorf("%s: the hint %q does not mend port %d", tc.name, conflict.Hint, index)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if e := x.exposure; e.Reuse != tc.reuse || e.Port != tc.port || e.ReusePort != tc.reusePort || e.TargetPort != 50051 || e.NamespaceUID != "ns" || e.Selector["app"] != "server" {
			t.Errorf("%s: reuse %q port %d of %d; want %q port %d of %d", tc.name, e.Reuse, e.Port, e.ReusePort, tc.reuse, tc.port, tc.reusePort)
		}
		if got := strings.Join(x.warnings, "\n"); !strings.Contains(got, tc.warns) || (got == "") != (tc.warns == "") {
			t.Errorf("%s: warned %q, want %q", tc.name, got, tc.warns)
		}
	}
}

// TestServiceBesideHeadless: a StatefulSet's headless Service keeps its name,
// and ours has another; a second run finds that one again.
func TestServiceBesideHeadless(t *testing.T) {
	headless := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone,
		Ports: []corev1.ServicePort{{Name: "grpc", Port: 9000, TargetPort: intstr.FromInt32(50051)}}}}
	labels := map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: "deployment.server"}
	ours := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server-grpc", Labels: labels}}
	old := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "server", Labels: labels}}
	silent := *headless.DeepCopy()
	silent.Spec.Ports[0].Name = ""
	for _, tc := range []struct {
		name     string
		services []corev1.Service
		want     string
		warns    string
	}{
		{"a first run", []corev1.Service{headless}, "server-grpc", "Service/server: it is headless; the route leads to a Service of its own beside it, server-grpc"},
		{"a second run", []corev1.Service{headless, ours}, "server-grpc", "server-grpc"},
		{"not as gRPC", []corev1.Service{silent}, "server-grpc", "Istio does not take it for gRPC"},
		{"ours under the workload's name", []corev1.Service{old}, "server", ""},
	} {
		x := exposing()
		if err := x.decideService(t.Context(), tc.services, takesMore("tier")); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := x.exposure.ServiceName(); got != tc.want || x.exposure.Objects()[0].Name != tc.want {
			t.Errorf("%s: Service %s, want %s", tc.name, got, tc.want)
		}
		if got := strings.Join(x.warnings, " "); !strings.Contains(got, tc.warns) || (got == "") != (tc.warns == "") {
			t.Errorf("%s: warned %q, want %q", tc.name, got, tc.warns)
		}
	}
}

// takesMore is what a Service by any selector with the label leads to beside
// the workload.
func takesMore(label string) strangers {
	return func(_ context.Context, selector map[string]string) ([]string, error) {
		if _, ok := selector[label]; ok {
			return []string{"StatefulSet/cart", "Pod/bare"}, nil
		}
		return nil, nil
	}
}

// TestOwnServiceTakesOthersPods: neither is a Service made that would lead to
// another's pods; one that leads to the workload's alone is used all the same.
func TestOwnServiceTakesOthersPods(t *testing.T) {
	x := exposing()
	err := x.decideService(t.Context(), nil, takesMore("app"))
	var not *k8s.NotReadyError
	if !errors.As(err, &not) || !strings.Contains(not.Cause, "(app=server) would lead to StatefulSet/cart and Pod/bare too") || !strings.Contains(not.Hint, "Nothing was written") {
		t.Errorf("%v; want a refusal that names the others", err)
	}
	narrow := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "narrow"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"track": "stable"},
		Ports: []corev1.ServicePort{{Name: "grpc", Port: 9000, TargetPort: intstr.FromInt32(50051)}}}}
	if err := x.decideService(t.Context(), []corev1.Service{narrow}, takesMore("app")); err != nil || x.exposure.Reuse != "narrow" {
		t.Errorf("reuse %q, %v; want narrow", x.exposure.Reuse, err)
	}
	err = x.decideService(t.Context(), nil, func(context.Context, map[string]string) ([]string, error) { return nil, errUnderTest })
	if !errors.Is(err, errUnderTest) {
		t.Errorf("what can't be told: %v", err)
	}
}

func TestNotServed(t *testing.T) {
	of := func(name, host string) istio.Candidate {
		return istio.Candidate{VirtualService: virtualService(t, "test", name, ""), Host: host}
	}
	for _, tc := range []struct {
		name    string
		serving []istio.Candidate
		want    string
	}{
		{"ours alone", []istio.Candidate{of("server", "*")}, ""},
		{"ours beside another of the host", []istio.Candidate{of("other", "*"), of("server", "*")}, ""},
		{"a more specific one", []istio.Candidate{of("other", "10.0.0.1")}, "calls for 10.0.0.1 are taken by VirtualService test/other (host 10.0.0.1)"},
		{"nobody", nil, "no Gateway leads calls for 10.0.0.1 to it"},
	} {
		if got := notServed(tc.serving, []string{"test/server"}, "10.0.0.1"); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTakenFrom(t *testing.T) {
	table := targetOf(t, "match: [{uri: {prefix: /a.B/}}]").table
	for _, tc := range []struct{ vs, path, want string }{
		{"test/server", "/a.B/Get", ""},
		{"test/server", "/c.D/Get", ""}, // nobody's: the calls will tell
		{"test/cart", "/a.B/Get", "calls to /a.B/Get of a are taken by VirtualService test/server"},
	} {
		if got := takenFrom(table, []string{tc.vs}, istio.Call{Path: tc.path, Authority: "a"}); got != tc.want {
			t.Errorf("%s of %s: %q, want %q", tc.path, tc.vs, got, tc.want)
		}
	}
}

func TestNotBehind(t *testing.T) {
	pods := []corev1.Pod{{Status: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "2001:db8::1"}}}}}
	ep := func(address, pod string) k8s.Endpoint { return k8s.Endpoint{Address: address, Pod: pod} }
	for _, tc := range []struct {
		name      string
		endpoints []k8s.Endpoint
		want      string // in it; empty: nothing wrong
	}{
		{"ours", []k8s.Endpoint{ep("10.0.0.1:50051", "a")}, ""},
		{"ours, by its other family", []k8s.Endpoint{ep("[2001:db8::1]:50051", "a")}, ""},
		{"none", nil, "Service server has no ready endpoint"},
		{"another's beside ours", []k8s.Endpoint{ep("10.0.0.1:50051", "a"), ep("10.0.0.2:50051", "cart-0")}, "another's pod too: cart-0 (10.0.0.2:50051)"},
		{"another port of ours", []k8s.Endpoint{ep("10.0.0.1:8080", "a")}, "a (10.0.0.1:8080)"},
		{"an address of no pod", []k8s.Endpoint{ep("192.0.2.1:50051", "")}, "of no name (192.0.2.1:50051)"},
	} {
		if got := notBehind("server", tc.endpoints, pods, 50051); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestNothingToRehearse: where the label is there and no pod lacks its sidecar,
// the server is asked for nothing.
func TestNothingToRehearse(t *testing.T) {
	x := exposing() // without a mesh: asking it would panic
	x.pods = 3
	got, err := x.rehearse(t.Context(), istio.Injection{Label: "istio-injection=enabled"})
	if err != nil || got != "every pod has its sidecar" || x.injection.Rehearsed {
		t.Errorf("%q, %v, rehearsed %v; want the pods as the proof", got, err, x.injection.Rehearsed)
	}
}

// TestRestartable: what a restart couldn't bring about is refused before
// anything is written; and only where a restart is due.
func TestRestartable(t *testing.T) {
	for _, tc := range []struct {
		name    string
		set     func(*exposer)
		refused string // in the refusal; empty: none
		gap     bool
	}{
		{"nothing lacks", func(x *exposer) { x.workload.Paused, x.workload.Recreate = true, true }, "", false},
		{"plain", func(x *exposer) { x.lacking = 3 }, "", false},
		{"paused", func(x *exposer) { x.lacking, x.workload.Paused = 3, true }, "GM131: Deployment/server is not ready: its rollout is paused", false},
		{"paused, with its sidecars", func(x *exposer) { x.pods, x.workload.Replicas, x.workload.Paused = 3, 3, true }, "", false},
		{"made paused", func(x *exposer) { x.workload.Replicas, x.workload.Paused = 3, true }, "GM131: Deployment/server is not ready: its rollout is paused", false},
		{"paused, and no pods wanted", func(x *exposer) { x.workload.Paused = true }, "", false},
		{"a partition", func(x *exposer) { x.kept, x.workload.Partition = []string{"server-0"}, 1 }, "GM133: Deployment/server is not ready: its spec.updateStrategy.rollingUpdate.partition is 1, so a restart leaves server-0", false},
		{"OnDelete", func(x *exposer) { x.lacking, x.workload.OnDelete = 3, true }, "GM132: ", false},
		{"Recreate", func(x *exposer) { x.lacking, x.workload.Recreate = 3, true }, "", true},
	} {
		x := exposing()
		tc.set(x)
		err := x.restartable(t.Context())
		var not *k8s.NotReadyError
		if tc.refused != "" && (!errors.As(err, &not) || !strings.HasPrefix(err.Error(), tc.refused) || !strings.Contains(not.Hint, "Nothing was written")) || tc.refused == "" && err != nil {
			t.Errorf("%s: %v; want a refusal: %q", tc.name, err, tc.refused)
		}
		if got := x.risks(); (len(got) > 0) != tc.gap {
			t.Errorf("%s: risks %v, want %v", tc.name, got, tc.gap)
		}
	}
}

// TestConsent: a gap in service needs --yes where no one can answer.
func TestConsent(t *testing.T) {
	for _, tc := range []struct {
		name   string
		set    func(*exposer)
		refuse bool
	}{
		{"no gap", func(x *exposer) { x.workload.Recreate = false }, false},
		{"a gap, nobody to ask", func(*exposer) {}, true},
		{"a gap, --yes", func(x *exposer) { x.o.yes = true }, false},
		{"a gap, a dry run", func(x *exposer) { x.o.dryRun = "server" }, false},
		{"a gap, but nothing to restart", func(x *exposer) { x.lacking = 0 }, false},
		{"a gap, yes on a pipe is no answer", func(x *exposer) { x.o.In = strings.NewReader("y\n") }, true},
	} {
		x := exposing()
		x.lacking, x.workload.Recreate = 1, true
		tc.set(x)
		err := x.o.consent(t.Context(), x)
		var not *k8s.NotReadyError
		if tc.refuse != errors.As(err, &not) || !tc.refuse && err != nil {
			t.Errorf("%s: %v; want refused %v", tc.name, err, tc.refuse)
		}
		if tc.refuse && (!strings.Contains(not.Hint, "--yes") || !strings.Contains(not.Cause, "Recreate")) {
			t.Errorf("%s: %v; want the gap and --yes named", tc.name, err)
		}
	}
}

// TestProgressOffATerminal: no escape sequence reaches a file.
func TestProgressOffATerminal(t *testing.T) {
	var words strings.Builder
	o := &verifyOptions{IO: IO{Err: &words}}
	p := newProgress(o, []check.Endpoint{{Address: "a"}, {Address: "b"}})
	p.saw("a")
	p.saw("elsewhere")
	p.called()
	p.done()
	if words.Len() > 0 || p.calls != 3 || !p.seen["a"] || p.seen["b"] || len(p.seen) != 2 {
		t.Errorf("printed %q, %d calls, seen %v", words.String(), p.calls, p.seen)
	}
}

// TestLiveLine: a terminal that knows no escape codes, or a user who wants
// none, gets none.
func TestLiveLine(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Close() }()
	o := &verifyOptions{IO: IO{Err: master}}
	for _, tc := range []struct {
		name, noColor string
		want          bool
	}{{"xterm", "", true}, {"dumb", "", false}, {"xterm", "1", false}} {
		t.Setenv("TERM", tc.name)
		t.Setenv("NO_COLOR", tc.noColor)
		if got := o.live(); got != tc.want {
			t.Errorf("TERM=%s NO_COLOR=%s: %v", tc.name, tc.noColor, got)
		}
	}
}

// TestFilesThatCantBeWritten: told before anything is dialled, and nothing is
// left of the trial.
func TestFilesThatCantBeWritten(t *testing.T) {
	dir := t.TempDir()
	here := filepath.Join(dir, "run.jsonl")
	for _, args := range [][]string{
		{"--report", "junit=" + dir + "/none/verify.xml"}, {"--samples", dir + "/none/run.jsonl"},
		{"--samples", here, "--report", "json=" + dir},
	} {
		code, out, words := runIn(t, append([]string{"verify", "--addr", "127.0.0.1:1"}, args...)...)
		if code != exitError || out != "" || !strings.Contains(words, args[len(args)-2]) || !strings.Contains(words, "can't be written") || strings.Contains(words, "refused") {
			t.Errorf("%q: exit code %d, stderr %q; want 1, and the flag named", args, code, words)
		}
	}
	if err := (&verifyOptions{samples: here, reports: []string{"text=/dev/null"}}).writable(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 pods", 1: "1 pod", 2: "2 pods"} {
		if got := plural(n, "pod"); got != want {
			t.Errorf("plural(%d) = %q, want %q", n, got, want)
		}
	}
}
