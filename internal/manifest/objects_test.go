package manifest_test

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

var update = flag.Bool("update", false, "write the goldens anew")

const goldens = "../../testdata/golden"

// procedure is the exposure that the procedure carries out by hand.
func procedure() manifest.Exposure {
	return manifest.Exposure{
		Namespace: "test", NamespaceUID: "6c1d3f0e-0000-4000-8000-000000000001",
		WorkloadKind: "Deployment", WorkloadName: "server", Selector: map[string]string{"app": "server"},
		Port: 8000, TargetPort: 50051,
		GatewaySelector: map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"},
		Servers:         []manifest.Server{{Port: 8000, Hosts: []string{"*"}}},
		Host:            "*",
	}
}

// variants are the exposures whose objects differ from the procedure's, and in
// which kinds.
func variants() map[string]struct {
	set   func(*manifest.Exposure)
	kinds []string
} {
	return map[string]struct {
		set   func(*manifest.Exposure)
		kinds []string
	}{
		"procedure":     {func(*manifest.Exposure) {}, []string{"Service", "Gateway", "VirtualService"}},
		"match-service": {func(e *manifest.Exposure) { e.MatchServices = []string{"helloworld.Greeter"} }, []string{"VirtualService"}},
		"own-host": {func(e *manifest.Exposure) {
			e.Host = "greeter.example.com"
			e.Servers = manifest.MergeServers([]manifest.Server{{Port: 8000, Hosts: []string{"other.example.com"}}}, 80, manifest.TLS{}, e.Host)
		}, []string{"Gateway", "VirtualService"}},
		"match-services": {func(e *manifest.Exposure) { e.MatchServices = []string{"helloworld.Greeter", "shop.Cart"} }, []string{"VirtualService"}},
		"match-header": {func(e *manifest.Exposure) {
			e.Route.MatchHeaders = map[string]string{"x-user": "jane", "x-version": "2.*"}
		}, []string{"VirtualService"}},
		"match-both": {func(e *manifest.Exposure) {
			e.MatchServices, e.Route.MatchHeaders = []string{"a.B", "c.D"}, map[string]string{"x-user": "jane"}
		}, []string{"VirtualService"}},
		"timeout":   {func(e *manifest.Exposure) { e.Route.Timeout = 1500 * time.Millisecond }, []string{"VirtualService"}},
		"lb":        {func(e *manifest.Exposure) { e.Route.LB = "LEAST_REQUEST" }, []string{"DestinationRule", "VirtualService"}},
		"lb-header": {func(e *manifest.Exposure) { e.Route.LB = "header:x-user" }, []string{"DestinationRule"}},
		"canary": {func(e *manifest.Exposure) {
			e.Route.LB, e.Route.Canary = "RANDOM", map[string]int{"v2": 10, "V2.1": 0}
			e.Subsets, _ = e.Route.Split(map[string]string{"app": "server", "version": "v1"})
		}, []string{"DestinationRule", "VirtualService"}},
		"canary-alone": {func(e *manifest.Exposure) {
			e.Route.Canary, e.Reuse, e.ReusePort = map[string]int{"track:canary": 100}, "greeter", 9000
			e.Subsets, _ = e.Route.Split(map[string]string{"track": "stable"})
		}, []string{"DestinationRule", "VirtualService"}},
		"retries":    {func(e *manifest.Exposure) { e.Route.Retries = retries(3) }, []string{"VirtualService"}},
		"retries-in": {func(e *manifest.Exposure) { e.Route.Retries, e.Route.PerTryTimeout = retries(3), time.Second }, []string{"VirtualService"}},
		// A neighbour in plaintext, and one with a certificate of its own.
		"tls": {func(e *manifest.Exposure) {
			e.Host, e.TLS = "greeter.example.com", manifest.TLS{Secret: "greeter-cert"}
			e.Servers = manifest.MergeServers([]manifest.Server{{Port: 443, TLS: manifest.TLS{Secret: "b.example.com"}, Hosts: []string{"b.example.com"}},
				{Port: 8000, Hosts: []string{"other.example.com"}}}, 443, e.TLS, e.Host)
		}, []string{"Gateway"}},
		"tls-mutual": {func(e *manifest.Exposure) {
			e.Host, e.TLS = "greeter.example.com", manifest.TLS{Secret: "greeter-cert", Mutual: true}
			e.Servers = manifest.MergeServers(nil, 443, e.TLS, e.Host)
		}, []string{"Gateway"}},
		"reuse":      {func(e *manifest.Exposure) { e.Reuse = "greeter" }, []string{"VirtualService"}},
		"reuse-port": {func(e *manifest.Exposure) { e.Reuse, e.ReusePort = "greeter", 9000 }, []string{"VirtualService"}},
		"inject": {func(e *manifest.Exposure) { e.InjectLabel = map[string]string{"istio-injection": "enabled"} },
			[]string{"Namespace"}},
		"inject-revision": {func(e *manifest.Exposure) { e.InjectLabel = map[string]string{"istio.io/rev": "1-8-1"} },
			[]string{"Namespace"}},
		// Without a cluster there is no UID to pin it by.
		"render-revision": {func(e *manifest.Exposure) {
			e.InjectLabel, e.NamespaceUID = map[string]string{"istio.io/rev": "default"}, ""
		}, []string{"Namespace"}},
		"inject-pod": {func(e *manifest.Exposure) {
			e.Inject, e.WorkloadUID, e.PodLabel = manifest.InjectPod, "6c1d3f0e-0000-4000-8000-000000000002", map[string]string{"sidecar.istio.io/inject": "true"}
		}, []string{"VirtualService", "Deployment"}},
		"statefulset": {func(e *manifest.Exposure) {
			e.WorkloadKind, e.WorkloadName = "StatefulSet", "db"
			e.Selector = map[string]string{"app": "db", "tier": "data"}
		}, []string{"Service"}},
	}
}

// bytesOf are the bytes that server-side apply sends.
func bytesOf(t *testing.T, obj manifest.Object) []byte {
	t.Helper()
	b, err := json.Marshal(obj.Apply)
	if err != nil {
		t.Fatalf("%s: %v", obj.ID, err)
	}
	return b
}

func TestAppliedBytes(t *testing.T) {
	for name, v := range variants() {
		e := procedure()
		v.set(&e)
		objs := e.Objects()
		for _, kind := range v.kinds {
			i := slices.IndexFunc(objs, func(o manifest.Object) bool { return o.Kind == kind })
			if i < 0 {
				t.Errorf("%s: no %s among the objects", name, kind)
				continue
			}
			file := filepath.Join(goldens, "apply-"+name+"-"+strings.ToLower(kind)+".json")
			got := append(bytesOf(t, objs[i]), '\n')
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got; if it is meant: go test ./internal/manifest -update):\n%s", file, diff)
			}
		}
	}
}

// TestNothingClaimedUnasked: whatever field is sent, server-side apply makes
// grpcmesh its owner, so nothing may be sent that nobody asked for.
func TestNothingClaimedUnasked(t *testing.T) {
	for name, v := range variants() {
		e := procedure()
		v.set(&e)
		for _, obj := range e.Objects() {
			var sent map[string]any
			if err := json.Unmarshal(bytesOf(t, obj), &sent); err != nil {
				t.Fatal(err)
			}
			allowed := []string{"apiVersion", "kind", "metadata", "spec"}
			meta := []string{"labels", "name", "namespace"}
			if obj.Kind == "Namespace" {
				allowed, meta = []string{"apiVersion", "kind", "metadata"}, []string{"labels", "name", "uid"}
			}
			if obj.Kind == "Namespace" && e.NamespaceUID == "" {
				meta = []string{"labels", "name"}
			}
			if obj.Kind == "Deployment" {
				meta = []string{"name", "namespace", "uid"}
			}
			if obj.Kind == "VirtualService" && e.Inject != "" {
				meta = []string{"annotations", "labels", "name", "namespace"}
			}
			if got := slices.Sorted(maps.Keys(sent)); !slices.Equal(got, allowed) {
				t.Errorf("%s: %s sends the fields %v, want %v", name, obj.ID, got, allowed)
			}
			if got := slices.Sorted(maps.Keys(sent["metadata"].(map[string]any))); !slices.Equal(got, meta) {
				t.Errorf("%s: %s sends metadata %v, want %v", name, obj.ID, got, meta)
			}
			if null := nulls("", sent); len(null) > 0 {
				t.Errorf("%s: %s sends empty values at %v", name, obj.ID, null)
			}
			if sent["kind"] != obj.Kind {
				t.Errorf("%s: ID says %s, the bytes say %v", name, obj.ID, sent["kind"])
			}
		}
	}
}

// nulls are the paths of null, and of empty objects and lists.
func nulls(path string, v any) []string {
	var found []string
	switch v := v.(type) {
	case nil:
		return []string{path}
	case map[string]any:
		if len(v) == 0 {
			return []string{path}
		}
		for k, e := range v {
			found = append(found, nulls(path+"."+k, e)...)
		}
	case []any:
		if len(v) == 0 {
			return []string{path}
		}
		for _, e := range v {
			found = append(found, nulls(path+"[]", e)...)
		}
	}
	return found
}

// TestProcedure: the objects are the procedure's own. The few differences are
// listed here, and each is meant.
func TestProcedure(t *testing.T) {
	owner := []plan.Field{
		{Path: "metadata.labels." + manifest.ManagedBy, To: manifest.FieldManager},
		{Path: "metadata.labels." + manifest.WorkloadLabel, To: "deployment.server"},
	}
	differences := map[string][]plan.Field{
		// appProtocol beats the port's name, so that nobody's renaming takes it away.
		"Service": append(slices.Clone(owner), plan.Field{Path: "spec.ports[0].appProtocol", To: "grpc"}),
		"Gateway": {
			{Path: "metadata.labels", To: `{"app.kubernetes.io/managed-by":"grpcmesh"}`},
			// The console writes capitals; by the name alone Istio decides nothing here.
			{Path: "spec.servers[0].port.name", From: "GRPC-8000", To: "grpc-8000"},
		},
		"VirtualService": {{Path: "metadata.labels",
			To: `{"app.kubernetes.io/managed-by":"grpcmesh","grpcmesh.dev/workload":"deployment.server"}`}},
	}
	objs := procedure().Objects()
	if len(objs) != len(differences) {
		t.Fatalf("%d objects, want those of the procedure alone: %v", len(objs), differences)
	}
	for _, obj := range objs {
		b, err := os.ReadFile(filepath.Join("../../testdata/procedure", strings.ToLower(obj.Kind)+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var byHand, ours map[string]any
		if err := yaml.UnmarshalStrict(b, &byHand); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(bytesOf(t, obj), &ours); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(differences[obj.Kind], plan.Diff(byHand, ours)); diff != "" {
			t.Errorf("%s differs otherwise from the procedure's than it should (-want +got):\n%s", obj.ID, diff)
		}
	}
}

func TestObjectsInOrder(t *testing.T) {
	inject := map[string]string{"istio-injection": "enabled"}
	for _, tc := range []struct {
		name string
		set  func(*manifest.Exposure)
		want string
	}{
		{"all", func(e *manifest.Exposure) { e.InjectLabel = inject }, "Namespace/test Service/server Gateway/grpc VirtualService/server"},
		{"namespace as it should be", func(*manifest.Exposure) {}, "Service/server Gateway/grpc VirtualService/server"},
		{"label map that is empty", func(e *manifest.Exposure) { e.InjectLabel = map[string]string{} }, "Service/server Gateway/grpc VirtualService/server"},
		{"Service reused", func(e *manifest.Exposure) { e.Reuse = "greeter" }, "Gateway/grpc VirtualService/server"},
		{"Gateway reused", func(e *manifest.Exposure) { e.UseGateway = "edge/web" }, "Service/server VirtualService/server"},
		{"with a rule", func(e *manifest.Exposure) { e.Route.LB = "RANDOM" }, "Service/server DestinationRule/server Gateway/grpc VirtualService/server"},
		{"rule reused", func(e *manifest.Exposure) { e.Route.LB, e.ReuseRule = "RANDOM", true }, "Service/server Gateway/grpc VirtualService/server"},
		{"Gateway and VirtualService in use", func(e *manifest.Exposure) { e.UseGateway, e.UseRoutes = "edge/web", []string{"edge/web"} }, "Service/server"},
		{"both reused", func(e *manifest.Exposure) { e.Reuse, e.UseGateway, e.InjectLabel = "greeter", "test/grpc", inject },
			"Namespace/test VirtualService/server"},
	} {
		e := procedure()
		tc.set(&e)
		var got []string
		for _, obj := range e.Objects() {
			got = append(got, obj.String())
			wantNS := "test"
			if obj.Kind == "Namespace" {
				wantNS = ""
			}
			if obj.Namespace != wantNS {
				t.Errorf("%s: %s is in namespace %q, want %q", tc.name, obj.ID, obj.Namespace, wantNS)
			}
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: Objects = %s, want %s", tc.name, s, tc.want)
		}
	}
}

// TestSelectorIsNotAltered: the Service's labels begin as a copy of the
// selector; were it the same map, the selector would gain grpcmesh's labels and
// select no pod.
func TestSelectorIsNotAltered(t *testing.T) {
	e := procedure()
	e.Objects()
	if len(e.Selector) != 1 || e.Selector["app"] != "server" {
		t.Errorf("Selector is now %v", e.Selector)
	}
}

func TestExposureValidate(t *testing.T) {
	for _, tc := range []struct {
		name, reuse string
		ok          bool
	}{
		{"server", "", true},
		{strings.Repeat("a", 63), "", true},
		{strings.Repeat("a", 64), "", false},
		{"1server", "", false}, // a Deployment may be called so, a Service may not
		{"server.v2", "", false},
		{"1server", "greeter", true}, // no Service is made
	} {
		err := manifest.Exposure{WorkloadName: tc.name, Reuse: tc.reuse}.Validate()
		if tc.ok {
			if err != nil {
				t.Errorf("Validate(%q, reuse %q) = %v, want nil", tc.name, tc.reuse, err)
			}
			continue
		}
		var invalid *manifest.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "WORKLOAD" || invalid.Value != tc.name {
			t.Errorf("Validate(%q) = %v, want an InvalidError of WORKLOAD", tc.name, err)
		}
	}
}

func TestMergeServers(t *testing.T) {
	servers := func(s ...manifest.Server) []manifest.Server { return s }
	at := func(port int, hosts ...string) manifest.Server { return manifest.Server{Port: port, Hosts: hosts} }
	for _, tc := range []struct {
		name string
		have []manifest.Server
		port int
		host string
		want []manifest.Server
	}{
		{"first", nil, 8000, "*", servers(at(8000, "*"))},
		{"same again", servers(at(8000, "*")), 8000, "*", servers(at(8000, "*"))},
		{"covered by any", servers(at(8000, "*")), 8000, "a.com", servers(at(8000, "*"))},
		{"another host", servers(at(8000, "b.com")), 8000, "a.com", servers(at(8000, "a.com", "b.com"))},
		{"same host", servers(at(8000, "b.com", "a.com")), 8000, "a.com", servers(at(8000, "b.com", "a.com"))},
		{"any replaces all", servers(at(8000, "a.com", "b.com")), 8000, "*", servers(at(8000, "*"))},
		{"another port before", servers(at(8000, "*")), 80, "*", servers(at(80, "*"), at(8000, "*"))},
		{"another port after", servers(at(80, "*")), 8000, "a.com", servers(at(80, "*"), at(8000, "a.com"))},
		{"covered by a wildcard", servers(at(8000, "*.com")), 8000, "a.com", servers(at(8000, "*.com"))},
		{"a wildcard replaces what it covers", servers(at(8000, "*.b.com", "a.b.com", "a.com", "b.com")), 8000, "*.b.com", servers(at(8000, "*.b.com", "a.b.com", "a.com", "b.com"))},
		{"a wildcard that is new replaces what it covers", servers(at(8000, "*.x.b.com", "a.b.com", "a.com", "b.com")), 8000, "*.b.com", servers(at(8000, "*.b.com", "a.com", "b.com"))},
		{"a wildcard leaves others' limits alone", servers(at(8000, "a.b.com", "shop/x.b.com")), 8000, "*.b.com", servers(at(8000, "*.b.com", "shop/x.b.com"))},
		{"in any case", servers(at(8000, "A.com")), 8000, "a.com", servers(at(8000, "A.com"))},
		{"one of two ports", servers(at(80, "x.com"), at(8000, "y.com")), 8000, "a.com", servers(at(80, "x.com"), at(8000, "a.com", "y.com"))},
	} {
		before := clone(tc.have)
		got := manifest.MergeServers(tc.have, tc.port, manifest.TLS{}, tc.host)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if diff := cmp.Diff(before, tc.have); diff != "" {
			t.Errorf("%s: what was there is altered (-before +after):\n%s", tc.name, diff)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		pattern, host string
		want          bool
	}{
		{"*", "*", true}, {"*", "a.com", true}, {"*", "*.a.com", true},
		{"*.a.com", "b.a.com", true}, {"*.a.com", "*.a.com", true}, {"*.a.com", "*.b.a.com", true},
		{"*.a.com", "a.com", false}, {"*.a.com", "*", false}, {"*.a.com", "*.com", false}, {"*.a.com", "x-a.com", false},
		{"a.com", "a.com", true}, {"a.com", "A.Com", true}, {"*.A.com", "b.a.COM", true},
		{"a.com", "*", false}, {"a.com", "*.a.com", false}, {"a.com", "b.com", false},
		{"", "a.com", false},
	} {
		if got := manifest.Covers(tc.pattern, tc.host); got != tc.want {
			t.Errorf("Covers(%q, %q) = %v", tc.pattern, tc.host, got)
		}
	}
}

func clone(servers []manifest.Server) []manifest.Server {
	c := slices.Clone(servers)
	for i := range c {
		c[i].Hosts = slices.Clone(c[i].Hosts)
	}
	return c
}

// TestMergeServersKeepsAll: whatever is merged in, in whatever order, every
// host asked for is taken on its port, and merging again changes nothing.
func TestMergeServersKeepsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type ask struct {
			port int
			host string
		}
		var asks []ask
		for range rapid.IntRange(1, 8).Draw(t, "n") {
			asks = append(asks, ask{
				rapid.SampledFrom([]int{80, 8000, 9000}).Draw(t, "port"),
				rapid.SampledFrom([]string{"*", "a.com", "b.com", "*.c.com", "a.c.com", "*.b.c.com", "a.b.c.com"}).Draw(t, "host"),
			})
		}
		var servers []manifest.Server
		for _, a := range asks {
			servers = manifest.MergeServers(servers, a.port, manifest.TLS{}, a.host)
		}
		for _, a := range asks {
			taken := slices.ContainsFunc(servers, func(s manifest.Server) bool {
				return s.Port == a.port && slices.ContainsFunc(s.Hosts, func(h string) bool { return manifest.Covers(h, a.host) })
			})
			if !taken {
				t.Errorf("%s on port %d is lost: %v", a.host, a.port, servers)
			}
			if again := manifest.MergeServers(servers, a.port, manifest.TLS{}, a.host); !cmp.Equal(again, servers) {
				t.Errorf("merging %v again changes %v to %v", a, servers, again)
			}
		}
		if !slices.IsSortedFunc(servers, func(a, b manifest.Server) int { return a.Port - b.Port }) {
			t.Errorf("not in the order of ports: %v", servers)
		}
	})
}

func TestOwner(t *testing.T) {
	ours := map[string]string{manifest.ManagedBy: "grpcmesh", manifest.WorkloadLabel: "deployment.server"}
	for _, tc := range []struct {
		name           string
		labels         map[string]string
		owned, ownedBy bool
	}{
		{"ours", ours, true, true},
		{"none", nil, false, false},
		{"another tool's", map[string]string{manifest.ManagedBy: "Helm", manifest.WorkloadLabel: "deployment.server"}, false, false},
		{"ours for another kind", map[string]string{manifest.ManagedBy: "grpcmesh", manifest.WorkloadLabel: "statefulset.server"}, true, false},
		{"ours for another name", map[string]string{manifest.ManagedBy: "grpcmesh", manifest.WorkloadLabel: "deployment.server2"}, true, false},
		{"ours for none", map[string]string{manifest.ManagedBy: "grpcmesh"}, true, false},
	} {
		if got := manifest.Owned(tc.labels); got != tc.owned {
			t.Errorf("%s: Owned = %v", tc.name, got)
		}
		if got := manifest.OwnedBy(tc.labels, "Deployment", "server"); got != tc.ownedBy {
			t.Errorf("%s: OwnedBy = %v", tc.name, got)
		}
	}
}

// TestWorkloadLabel: the API server takes no value over 63 characters, nor one
// that ends in a separator; what was shortened still says whose it is.
func TestWorkloadLabel(t *testing.T) {
	label := func(kind, name string) string {
		return manifest.Exposure{WorkloadKind: kind, WorkloadName: name}.Workload()
	}
	if got := label("Deployment", "server"); got != "deployment.server" {
		t.Errorf("label = %q, want deployment.server", got)
	}
	// "deployment." is 11 long, so the 63rd character is the name's 52nd.
	cut := strings.Repeat("a", 51) + "-" + strings.Repeat("b", 20)
	if got, want := label("Deployment", cut), "deployment."+strings.Repeat("a", 51); got != want {
		t.Errorf("label cut at a dash = %q, want %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"Deployment", "StatefulSet", "DaemonSet"}).Draw(t, "kind")
		name := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,80}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?)?`).Draw(t, "name")
		got := label(kind, name)
		if msgs := validation.IsValidLabelValue(got); len(msgs) > 0 {
			t.Errorf("%s/%s gives %q: %s", kind, name, got, msgs)
		}
		if !strings.HasPrefix(strings.ToLower(kind)+"."+name, got) || len(got) < min(40, len(kind)+1+len(name)) {
			t.Errorf("%s/%s gives %q: not enough of it is left", kind, name, got)
		}
		if !manifest.OwnedBy(map[string]string{manifest.ManagedBy: manifest.FieldManager, manifest.WorkloadLabel: got}, kind, name) {
			t.Errorf("%s/%s does not know its own label %q", kind, name, got)
		}
	})
}
