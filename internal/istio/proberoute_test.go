package istio

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the goldens anew")

// under is a route with everything that a probe route must copy, and much that
// it must not.
const under = `
spec:
  hosts: [greeter.example.com, "*.example.org"]
  gateways: [mesh, edge/grpc, grpc]
  exportTo: ["."]
  http:
  - name: canary
    match: [{uri: {prefix: /helloworld.Greeter/}, port: 8000, gateways: [edge/grpc], sourceLabels: {a: b}}]
    retries: {attempts: 7, retryOn: unavailable}
    timeout: 1s
    fault: {abort: {httpStatus: 503, percentage: {value: 100}}}
    mirror: {host: shadow}
    headers: {request: {set: {x-team: a}}}
    route:
    - {destination: {host: server, subset: v1, port: {number: 8000}}, weight: 90}
    - {destination: {host: server, subset: v2, port: {number: 8000}}, weight: 10, headers: {response: {set: {x-version: v2}}}}
`

func TestProbeRoute(t *testing.T) {
	vs := service(t, "test", "server", under)
	before := vs.DeepCopy()
	got := probeRoute(ProbeSpec{
		Under: lead(vs), On: Listener{Gateway: gateway(t, "edge", "grpc", "")}, Host: "*.example.org", Header: "x-grpcmesh-probe", Nonce: "0123456789abcdef", Users: "fedcba9876543210",
		Stamps: map[string]string{"x-grpcmesh-backend": "%UPSTREAM_REMOTE_ADDRESS%", "x-grpcmesh-gateway": "%HOSTNAME%"},
		TTL:    90 * time.Second,
	})
	const file = "../../testdata/golden/probe-route.yaml"
	b, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(b)); diff != "" {
		t.Errorf("%s (-want +got; if it is meant: go test ./internal/istio -update):\n%s", file, diff)
	}
	// A retry would hide what is looked for. Istio reads a policy that is there
	// with 0 attempts as none, and one that is absent as its default of 2.
	if r := got.Spec.Http[0].Retries; r == nil || r.Attempts != 0 {
		t.Errorf("retries = %v, want a policy of 0 attempts", r)
	}
	// A load fares as users' calls do, and is one call each: no mirror.
	if r := got.Spec.Http[1]; r.Retries.GetAttempts() != 7 || r.Timeout.AsDuration() != time.Second || r.Fault.GetAbort().GetHttpStatus() != 503 || r.Mirror != nil {
		t.Errorf("a load's rule is %v", r)
	}
	a, err := yaml.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = yaml.Marshal(vs); err != nil || string(a) != string(b) {
		t.Errorf("the route under test was altered (%v):\n%s\nto\n%s", err, a, b)
	}
}

func TestExpired(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ours := map[string]string{"app.kubernetes.io/managed-by": "grpcmesh", probeLabel: "true"}
	for _, tc := range []struct {
		name   string
		labels map[string]string
		ttl    string
		after  time.Duration
		want   bool
	}{
		{"within its time", ours, "120", 119 * time.Second, false},
		{"at its end", ours, "120", 120 * time.Second, false},
		{"after", ours, "120", 121 * time.Second, true},
		{"made just now", ours, "120", 0, false},
		{"made after, by a clock that was set back", ours, "120", -time.Hour, false},
		{"no time to live", ours, "", 24 * time.Hour, false},
		{"one that can't be read", ours, "2m", 24 * time.Hour, false},
		{"someone else's", map[string]string{probeLabel: "true"}, "120", 24 * time.Hour, false},
	} {
		vs := &clientnet.VirtualService{ObjectMeta: metav1.ObjectMeta{Labels: tc.labels, CreationTimestamp: metav1.NewTime(made)}}
		if tc.ttl != "" {
			vs.Annotations = map[string]string{probeTTL: tc.ttl}
		}
		if got := expired(vs, made.Add(tc.after)); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestProbeRouteOutlivesItsRun: what probeRoute writes, expired reads.
func TestProbeRouteOutlivesItsRun(t *testing.T) {
	vs := service(t, "test", "server", under)
	made := probeRoute(ProbeSpec{Under: lead(vs), On: Listener{Gateway: gateway(t, "edge", "grpc", "")}, Host: "*", Header: "h", Nonce: "n", TTL: 2 * time.Minute})
	made.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if expired(made, made.CreationTimestamp.Add(2*time.Minute-time.Second)) {
		t.Error("it would be swept within its run's time")
	}
	if !expired(made, made.CreationTimestamp.Add(2*time.Minute+time.Second)) {
		t.Error("it would never be swept")
	}
}

// lead is a VirtualService's first way in.
func lead(vs *clientnet.VirtualService) Entry {
	return Routes{}.entries(Entry{VirtualService: vs}, vs.Spec.Http[0])[0]
}

// TestScope: a probe route stands on the ports and pods where the rule under
// test does, and nowhere else.
func TestScope(t *testing.T) {
	for match, want := range map[string]string{
		"{uri: {prefix: /a/}}":                           "",
		"{port: 8000, gateways: [g]}":                    "port:8000",
		"{sourceLabels: {zone: a}, sourceNamespace: ns}": `source_labels:{key:"zone"value:"a"}source_namespace:"ns"`,
		"{sourceLabels: {zone: a}, gateways: [g]}":       "",
	} {
		got := lead(service(t, "test", "server", "spec: {http: [{match: ["+match+"]}]}")).scope().String()
		if got = strings.ReplaceAll(got, " ", ""); got != want {
			t.Errorf("%s: %s, want %s", match, got, want)
		}
	}
	both := Entry{match: []*networking.HTTPMatchRequest{{Port: 80}, {SourceLabels: map[string]string{"zone": "a"}}}} // a delegate's
	if got := both.scope(); got.Port != 80 || got.SourceLabels["zone"] != "a" {
		t.Errorf("of a rule and its delegate's: %s", got)
	}
}

// TestPattern: the probe route's host is the one by which the route under test
// made the virtual host, so that it makes no other.
func TestPattern(t *testing.T) {
	for _, tc := range []struct{ allowed, hosts, authority, want string }{
		{"'*'", "[a.example.com, '*']", "a.example.com", "a.example.com"},
		{"'*'", "[a.example.com, '*']", "b.example.com", "*"},
		{"'*'", "['*', '*.example.com', '*.com']", "b.example.com", "*.example.com"},
		{"a.example.com", "['*']", "a.example.com", "*"}, // narrowed by the Gateway: the host itself would be a new one elsewhere
		{"a.example.com, '*'", "['*']", "b.example.com", "*"},
		{"'*'", "[A.Example.com]", "a.example.COM", "A.Example.com"},
		{"test/*.example.com", "[a.example.com, b.example.com]", "b.example.com", "b.example.com"},
		{"other/*", "['*']", "a.example.com", ""},
		{"'*'", "[a.example.com]", "b.example.com", ""},
	} {
		gw := gateway(t, "edge", "grpc", server("istio: ingressgateway", 8000, tc.allowed))
		vs := service(t, "test", "server", "spec: {hosts: "+tc.hosts+"}")
		if got := (Listener{gw, gw.Spec.Servers[0], edge()}).Pattern(vs, tc.authority); got != tc.want {
			t.Errorf("%s behind %s, asked for %s: %q, want %q", tc.hosts, tc.allowed, tc.authority, got, tc.want)
		}
	}
}

func ruleOf(t testing.TB, routes string) *networking.HTTPRoute {
	t.Helper()
	return service(t, "test", "server", "spec: {http: [{route: ["+routes+"]}]}").Spec.Http[0]
}
