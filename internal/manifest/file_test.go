package manifest

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

const twoExposures = `# What the shop shows.
---
apiVersion: grpcmesh.dev/v1alpha1
kind: Exposure
metadata: {name: cart, namespace: shop}
spec:
  workload: deployment/cart
  port: 9000
  targetPort: 50051
  host: cart.example.com
  matchService: shop.Cart
  gatewayPort: 80
  gatewaySelector: {istio: edge}
  inject: pod
  revision: canary
  tls: {secret: shop-cert, mode: mutual}
  podLabels: {app: cart}
  timeoutPerCall: 1m30s
  retries: 0
  lb: header:x-user
  canary: {v2: 10}
  matchHeaders: {x-user: jane, x-version: "2.*"}
---
# the rest is found out
{"apiVersion": "grpcmesh.dev/v1alpha1", "kind": "Exposure", "spec": {"workload": "orders"}}
---
`

func TestRead(t *testing.T) {
	got, err := Read(strings.NewReader(twoExposures), "f.yaml", "test")
	if err != nil {
		t.Fatal(err)
	}
	want := []Intent{
		{Namespace: "shop", Workload: "deployment/cart", Port: 9000, TargetPort: 50051, Host: "cart.example.com", MatchService: "shop.Cart",
			GatewayPort: 80, GatewaySelector: map[string]string{"istio": "edge"}, Inject: "pod", Revision: "canary", TLSSecret: "shop-cert", TLSMode: "mutual", PodLabels: map[string]string{"app": "cart"},
			Route: Route{Timeout: 90 * time.Second, Retries: new(int), LB: "header:x-user", Canary: map[string]int{"v2": 10}, MatchHeaders: map[string]string{"x-user": "jane", "x-version": "2.*"}}},
		{Namespace: "test", Workload: "orders", Port: 8000, Host: "*"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func exposure(spec string) string {
	return "apiVersion: grpcmesh.dev/v1alpha1\nkind: Exposure\nspec: {" + spec + "}\n"
}

// TestReadRefuses: what is read is read strictly, and the place is named.
func TestReadRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "f.yaml: it has no document"},
		{"comments alone", "# a\n---\n# b\n", "f.yaml: it has no document"},
		{"another version", strings.Replace(exposure("workload: a"), "v1alpha1", "v2", 1), `f.yaml, document 1: apiVersion "grpcmesh.dev/v2": is not grpcmesh.dev/v1alpha1`},
		{"another kind", strings.Replace(exposure("workload: a"), "Exposure", "Service", 1), `kind "Service": is not Exposure`},
		{"no workload", exposure(""), `spec.workload "": is missing`},
		{"an unknown field", exposure("workload: a, prot: 1"), `unknown field "spec.prot"`},
		{"a field twice", exposure("workload: a, port: 1, port: 2"), `"port" already set`},
		{"a number for a name", exposure("workload: 5"), "cannot unmarshal number"},
		{"a word that YAML takes for no", exposure("workload: n"), "cannot unmarshal bool"},
		{"port 0", exposure("workload: a, port: 0"), `spec.port "0": a port is a number from 1 to 65535`},
		{"port 65536", exposure("workload: a, targetPort: 65536"), `spec.targetPort "65536"`},
		{"an empty host", exposure("workload: a, host: ''"), `spec.host ""`},
		{"a host with a port", exposure("workload: a, host: 'a:1'"), `spec.host "a:1"`},
		{"a path for a workload", exposure("workload: ../a"), `spec.workload "../a"`},
		{"the second document", exposure("workload: a") + "---\n" + exposure("workload: a, gatewayPort: -1"), `f.yaml, document 2: spec.gatewayPort "-1"`},
		{"a workload twice", exposure("workload: a") + "---\n" + exposure("workload: deploy/a"), `document 2: spec.workload "deploy/a": is exposed by an earlier document already`},
		{"a timeout that is none", exposure("workload: a, timeoutPerCall: soon"), `spec.timeoutPerCall "soon": is no duration, such as 500ms or 2s`},
		{"a timeout without a unit", exposure("workload: a, timeoutPerCall: 5"), "cannot unmarshal number"},
		{"retries of another kind", exposure("workload: a, retries: many"), "cannot unmarshal string"},
		{"retries below 0", exposure("workload: a, retries: -1"), `spec.retries "-1"`},
		{"time for a try alone", exposure("workload: a, perTryTimeout: 1s"), `spec.perTryTimeout "1s": needs --retries`},
		{"a header's number", exposure("workload: a, matchHeaders: {x-a: 5}"), "cannot unmarshal number"},
		{"a header's name", exposure("workload: a, matchHeaders: {X-A: b}"), `spec.matchHeaders "X-A=b"`},
		{"a load balancer of no such name", exposure("workload: a, lb: random"), `spec.lb "random": is none of`},
		{"a canary of more than all", exposure("workload: a, canary: {v2: 101}"), `spec.canary "v2=101"`},
		{"no YAML", "{", "f.yaml, document 1: "},
		{"a list", "[1, 2]", "f.yaml, document 1: "},
	} {
		_, err := Read(strings.NewReader(tc.text), "f.yaml", "test")
		var file *FileError
		if !errors.As(err, &file) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %s", tc.name, err, tc.want)
		}
	}
	if _, err := Read(strings.NewReader(exposure("workload: a")+"---\n"+exposure("workload: sts/a")), "f", "test"); err == nil {
		t.Error("a workload that may be either was taken twice")
	}
	if _, err := Read(strings.NewReader(exposure("workload: deploy/a")+"---\n"+exposure("workload: sts/a")), "f", "test"); err != nil {
		t.Errorf("two workloads of one name: %v", err)
	}
}

// TestSchema: the published schema takes what Read takes, field by field, and
// refuses what it refuses for its form.
func TestSchema(t *testing.T) {
	const file = "../../docs/exposure.schema.json"
	schema, err := jsonschema.NewCompiler().Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(doc string) error {
		b, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, doc := range strings.Split(twoExposures, "---\n")[1:3] {
		if err := valid(doc); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"workload: ''", "", "workload: a, prot: 1", "workload: 5", "workload: a, port: 0", "workload: a, targetPort: 65536", "workload: a, host: ''", "workload: a, retries: -1", "workload: a, lb: random", "workload: a, canary: {v2: 101}", "workload: a, retries: 101", "workload: a, timeoutPerCall: soon", "workload: a, perTryTimeout: 5",
		"workload: a, tls: {}", "workload: a, tls: {secret: ''}", "workload: a, tls: {mode: mutual}", "workload: a, tls: {secret: s, mode: tls}", "workload: a, tls: {secret: s, key: k}"} {
		if valid(exposure(bad)) == nil {
			t.Errorf("the schema takes {%s}", bad)
		}
		if _, err := Read(strings.NewReader(exposure(bad)), "f", "test"); err == nil {
			t.Errorf("Read takes {%s}", bad)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties map[string]struct{ Properties map[string]any }
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		of    reflect.Type
		there func(name string) bool
		n     int
	}{
		{reflect.TypeFor[document](), func(n string) bool { _, ok := doc.Properties[n]; return ok }, len(doc.Properties)},
		{reflect.TypeOf(document{}.Spec), func(n string) bool { _, ok := doc.Properties["spec"].Properties[n]; return ok }, len(doc.Properties["spec"].Properties)},
		{reflect.TypeOf(document{}.Metadata), func(n string) bool { _, ok := doc.Properties["metadata"].Properties[n]; return ok }, len(doc.Properties["metadata"].Properties)},
	} {
		if part.of.NumField() != part.n {
			t.Errorf("%d fields, and %d in the schema", part.of.NumField(), part.n)
		}
		for i := range part.of.NumField() {
			if name, _, _ := strings.Cut(part.of.Field(i).Tag.Get("json"), ","); !part.there(name) {
				t.Errorf("%s is not in the schema", name)
			}
		}
	}
}

// TestReadBack: what a document says is what is read, whatever it says.
func TestReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9]{0,9}`)
		want := Intent{Namespace: name.Draw(t, "namespace"), Workload: name.Draw(t, "workload"),
			Port: rapid.IntRange(1, 65535).Draw(t, "port"), TargetPort: rapid.IntRange(0, 65535).Draw(t, "targetPort"),
			Host: rapid.SampledFrom([]string{"*", "a.example.com", "*.example.com", "10.0.0.1"}).Draw(t, "host"), GatewayPort: rapid.IntRange(0, 65535).Draw(t, "gatewayPort"),
			MatchService: rapid.SampledFrom([]string{"", "a.B"}).Draw(t, "service"),
			TLSSecret:    rapid.SampledFrom([]string{"", "cert", "a.b"}).Draw(t, "secret")}
		doc := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {namespace: '%s'}\nspec: {workload: '%s', port: %d, targetPort: %d, host: '%s', gatewayPort: %d, matchService: '%s'}",
			FileAPIVersion, FileKind, want.Namespace, want.Workload, want.Port, want.TargetPort, want.Host, want.GatewayPort, want.MatchService)
		if want.TLSSecret != "" {
			want.TLSMode = rapid.SampledFrom([]string{"", "simple", "mutual"}).Draw(t, "mode")
			doc = strings.TrimSuffix(doc, "}") + fmt.Sprintf(", tls: {secret: '%s', mode: '%s'}}", want.TLSSecret, want.TLSMode)
		}
		got, err := Read(strings.NewReader(doc), "f", "other")
		if err != nil || !reflect.DeepEqual(got, []Intent{want}) {
			t.Fatalf("%+v, %v; want %+v of\n%s", got, err, want, doc)
		}
	})
}

// FuzzRead: whatever is read, it ends in Intents that are valid or in an error
// that names the file.
func FuzzRead(f *testing.F) {
	f.Add(twoExposures)
	f.Add("a: &a [*a]")
	f.Add("---\n---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Read(strings.NewReader(text), "f", "test")
		if err != nil && !strings.HasPrefix(err.Error(), "f") {
			t.Errorf("no place in %v", err)
		}
		for _, i := range all {
			if err := i.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
