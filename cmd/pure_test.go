package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
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

func httpRule(t *testing.T, rule string) *networking.HTTPRoute {
	t.Helper()
	return virtualService(t, "test", "server", "http: [{"+rule+"}]").Spec.Http[0]
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

func TestTakesAllAndExactOnly(t *testing.T) {
	for _, tc := range []struct {
		rule       string
		all, exact bool
	}{
		{"route: []", true, false},
		{"match: [{uri: {prefix: /}}]", true, false},
		{"match: [{uri: {prefix: /x}}]", false, false},
		{"match: [{uri: {exact: /a.B/C}}]", false, true},
		{"match: [{uri: {exact: /}}]", false, true},
		{"match: [{uri: {exact: /a.B/C}}, {uri: {exact: /a.B/D}}]", false, true},
		{"match: [{uri: {exact: /a.B/C}}, {uri: {prefix: /a.B/}}]", false, false},
		{"match: [{uri: {exact: /a.B/C}}, {uri: {prefix: /}}]", true, false},
		{"match: [{uri: {regex: '.*'}}]", false, false},
		{"match: [{headers: {x-a: {exact: b}}}]", false, false},
		{"match: [{withoutHeaders: {x-a: {exact: b}}}]", false, false},
		{"match: [{uri: {prefix: /}, headers: {x-a: {exact: b}}}]", false, false},
		{"match: [{queryParams: {q: {exact: b}}}]", false, false},
		{"match: [{method: {exact: POST}}]", false, false},
		{"match: [{authority: {exact: a}}]", false, false},
		{"match: [{scheme: {exact: https}}]", false, false},
		{"match: [{port: 80}]", false, false},
	} {
		rule := httpRule(t, tc.rule)
		if got := takesAll(rule); got != tc.all {
			t.Errorf("takesAll(%s) = %v", tc.rule, got)
		}
		if got := exactOnly(rule); got != tc.exact {
			t.Errorf("exactOnly(%s) = %v", tc.rule, got)
		}
	}
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
		want             string // paths; one with a message that can't be read ends in !
		why              string
	}{
		{"the path given", "/x.Y/Z", some, services, nil, "/x.Y/Z!", ""},
		{"each service of its own", "", all, services, nil, "/a.B/Identify /c.D/Identify", ""},
		{"also where the route takes some", "", some, services, nil, "/a.B/Identify /c.D/Identify", ""},
		{"its methods, where the route takes methods", "", exact, services, nil, "/a.B/Get! /a.B/Put!", ""},
		{"no reflection, the route takes all", "", all, nil, errUnderTest, noPath, ""},
		{"no service of its own, the route takes all", "", all, services[:3], nil, noPath, ""},
		{"no reflection, the route takes some", "", some, nil, errUnderTest, "", "does not answer reflection (boom)"},
		{"no service of its own, the route takes some", "", some, services[:3], nil, "", "lists no service of its own"},
		{"only streams, the route takes methods", "", exact, []probe.Service{{Name: "a.B", Methods: []probe.Method{{Name: "Watch", ServerStream: true}}}}, nil, "", "lists no service of its own"},
	} {
		r := &run{o: &verifyOptions{path: tc.path}, t: &target{rule: httpRule(t, tc.rule)}}
		calls, why := r.witnessCalls(t.Context(), func(context.Context) ([]probe.Service, error) { return tc.services, tc.err })
		var got []string
		for _, c := range calls {
			mark := ""
			if string(c.Payload) == "\x0a" {
				mark = "!"
			}
			got = append(got, c.Path+mark)
			if c.Nonce != "" {
				t.Errorf("%s: %s carries a nonce: it would take the probe's route", tc.name, c.Path)
			}
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, s, tc.want)
		}
		if !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
			t.Errorf("%s: why is %q, want %q", tc.name, why, tc.why)
		}
	}
	many := make([]probe.Service, 10*mostWitnesses)
	for i := range many {
		many[i].Name = fmt.Sprintf("s%d.S", i)
	}
	r := &run{o: &verifyOptions{}, t: &target{rule: httpRule(t, all)}}
	if got := r.callsOf(many); len(got) != mostWitnesses {
		t.Errorf("%d calls for %d services, want at most %d", len(got), len(many), mostWitnesses)
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
		o := &verifyOptions{addr: tc.addr, authority: tc.authority, identify: "auto", output: "text", alpha: .001, timeout: 1}
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
		virtualService(t, "shop", "one", to("a.com", "first")), virtualService(t, "test", "two", to("a.com", "second")), virtualService(t, "test", "other", to("b.com", "third.shop")),
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
		{"by what isn't there", verifyOptions{host: "a.com", service: "third"}, 8000, "what serves a.com through gateway istio-system/gw is not what was asked for", 2},
		{"no route for the host", verifyOptions{host: "203.0.113.10"}, 8000, "no VirtualService serves the host 203.0.113.10", 3},
		{"no listener", verifyOptions{host: "a.com"}, 9000, "no Gateway listens on port 9000 of gateway istio-system/gw", 0},
	} {
		c, err := tc.o.choose(routes, routes.Listeners(in, tc.port), istio.Owner{Ingress: &in, Number: tc.port})
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
	r := &target{vs: routes.VirtualServices[2], gw: istio.Listener{Gateway: gw, Server: gw.Spec.Servers[0]}, namespace: "shop", service: "third"}
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
		o:         &exposeOptions{IO: IO{In: strings.NewReader(""), Err: &err}, intent: manifest.Intent{Port: 8000, Host: "*"}, dryRun: "none"},
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", UID: "ns"}},
		workload: k8s.Workload{Kind: "Deployment", Namespace: "test", Name: "server", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "rpc", ContainerPort: 50051}}}}}}},
		port: k8s.PortFound{Port: 50051},
	}
}

func TestDecideService(t *testing.T) {
	svc := func(name string, set func(*corev1.Service), ports ...corev1.ServicePort) corev1.Service {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: ports}}
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
		{"to another port", []corev1.Service{svc("web", nil, port("http", 80, intstr.FromInt32(8080)))}, "", 8000, 0, "", ""},
		{"headless", []corev1.Service{svc("greeter", func(s *corev1.Service) { s.Spec.ClusterIP = "None" }, port("grpc", 9000, app))}, "", 8000, 0, "", "greeter is headless"},
		{"not as gRPC, of another name", []corev1.Service{svc("greeter", nil, port("web", 9000, app))}, "", 8000, 0, "", "its name web does not begin with grpc"},
		{"not as gRPC, of the workload's name", []corev1.Service{svc("server", nil, port("web", 80, intstr.FromInt32(8080)), port("", 9000, app))}, "", 0, 0,
			"it has neither a name nor an appProtocol", ""},
		{"another appProtocol, of the workload's name", []corev1.Service{svc("server", nil, corev1.ServicePort{Name: "grpc", Port: 9000, TargetPort: app, AppProtocol: new("http")})}, "", 0, 0,
			"its appProtocol is http", ""},
	} {
		x := exposing()
		err := x.decideService(tc.services)
		if tc.conflict != "" {
			var conflict *plan.ConflictError
			if !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, tc.conflict) {
				t.Errorf("%s: %v; want a conflict: %s", tc.name, err, tc.conflict)
			} else if index := len(tc.services[0].Spec.Ports) - 1; !strings.Contains(conflict.Hint, fmt.Sprintf("/spec/ports/%d/appProtocol", index)) {
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
		{"paused", func(x *exposer) { x.lacking, x.workload.Paused = 3, true }, "rollout is paused", false},
		{"OnDelete", func(x *exposer) { x.lacking, x.workload.OnDelete = 3, true }, "OnDelete", false},
		{"Recreate", func(x *exposer) { x.lacking, x.workload.Recreate = 3, true }, "", true},
	} {
		x := exposing()
		tc.set(x)
		err := x.restartable()
		var not *k8s.NotReadyError
		if tc.refused != "" && (!errors.As(err, &not) || !strings.Contains(not.Cause, tc.refused) || !strings.Contains(not.Hint, "Nothing was written")) || tc.refused == "" && err != nil {
			t.Errorf("%s: %v; want a refusal: %q", tc.name, err, tc.refused)
		}
		if got := x.gap(); (got != "") != tc.gap {
			t.Errorf("%s: gap %q, want %v", tc.name, got, tc.gap)
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
		err := x.o.consent(x)
		var not *k8s.NotReadyError
		if tc.refuse != errors.As(err, &not) || !tc.refuse && err != nil {
			t.Errorf("%s: %v; want refused %v", tc.name, err, tc.refuse)
		}
		if tc.refuse && (!strings.Contains(not.Hint, "--yes") || !strings.Contains(not.Cause, "Recreate")) {
			t.Errorf("%s: %v; want the gap and --yes named", tc.name, err)
		}
	}
}

func TestDocument(t *testing.T) {
	x := exposing()
	x.ingress = istio.Ingress{Namespace: "istio-system", Service: "gw", Addresses: []string{"203.0.113.10", "2001:db8::1"}}
	x.open = istio.IngressPort{Port: 8000}
	for _, tc := range []struct{ host, dryRun, verify, doc string }{
		{"*", "none", "grpcmesh verify --addr 203.0.113.10:8000", ""},
		{"a.com", "server", "grpcmesh verify --addr 203.0.113.10:8000 --authority a.com", "server"},
		{"*.a.com", "none", "grpcmesh verify --addr 203.0.113.10:8000 --authority grpcmesh.a.com", ""},
	} {
		x.exposure.Host = tc.host
		doc := x.document(tc.dryRun)
		if doc.Verify != tc.verify || doc.DryRun != tc.doc {
			t.Errorf("host %s, dry run %s: verify by %q, dry run %q; want %q, %q", tc.host, tc.dryRun, doc.Verify, doc.DryRun, tc.verify, tc.doc)
		}
		if diff := cmp.Diff([]string{"203.0.113.10:8000", "[2001:db8::1]:8000"}, doc.Addresses); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
	x.ingress.Addresses = nil // a load balancer that is pending
	if doc := x.document("none"); doc.Verify != "grpcmesh verify --addr HOST:8000 --authority grpcmesh.a.com" || doc.Addresses != nil {
		t.Errorf("no address yet: %q, %v", doc.Verify, doc.Addresses)
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

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 pods", 1: "1 pod", 2: "2 pods"} {
		if got := plural(n, "pod"); got != want {
			t.Errorf("plural(%d) = %q, want %q", n, got, want)
		}
	}
}
