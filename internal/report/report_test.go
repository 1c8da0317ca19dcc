package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/golden/report-NAME.txt.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "testdata", "golden", "report-"+name+".txt")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func passed() *Verify {
	a := check.Endpoint{Address: "10.0.0.1:50051", Pod: "server-a", Node: "n1", Zone: "z1", Share: 0.5}
	b := check.Endpoint{Address: "10.0.0.2:50051", Pod: "server-bcd", Node: "n2", Zone: "z2", Share: 0.5}
	return &Verify{
		APIVersion: APIVersion, Kind: "VerifyReport", Address: "203.0.113.10:8000", Authority: "greeter.example.com",
		Target: "VirtualService test/server", Identified: check.RungRoute,
		Result: check.Result{
			Verdict: check.Pass,
			Findings: []check.Finding{{Code: "GM252", Severity: check.Info, Subject: "server-a",
				Message: "has 2 of 3", Hint: "look again"}},
			Proof:        check.Proof{Connection: "7", Gateway: "gw-1", Calls: 30, Pods: []string{"server-a", "server-bcd"}},
			Coverage:     check.Coverage{Seen: 2, Of: 2, Calls: 30, Needed: 13, Skew: 6.5, Alpha: 0.001},
			PerEndpoint:  []check.Count{{Endpoint: a, Calls: 20, Share: 2. / 3}, {Endpoint: b, Calls: 10, Share: 1. / 3}},
			Unidentified: 1,
		},
		Witness: &Witness{Calls: 2, Upstream: 2, Paths: []string{"/helloworld.Greeter/x", "/other.Service/x"}},
		Calls:   31, Dials: 1,
	}
}

func failed() *Verify {
	a := check.Endpoint{Address: "10.0.0.1:50051", Share: 0.5} // of no pod that is known
	b := check.Endpoint{Address: "10.0.0.2:50051", Pod: "server-b", Share: 0.5}
	return &Verify{
		APIVersion: APIVersion, Kind: "VerifyReport", Address: "10.96.0.7:8000", Authority: "10.96.0.7:8000",
		Target: "Service test/server, its own address (layer 4)", Identified: check.RungSidecars,
		Result: check.Result{
			Verdict: check.Fail,
			Findings: []check.Finding{
				{Code: "GM220", Severity: check.Error, Subject: "10.0.0.1:50051\x1b[31m", Message: "answered all \u202e13\nPASS", Hint: "grpcmesh expose\r"},
				{Code: "GM221", Severity: check.Warning, Subject: "server-b", Message: "never answered"},
			},
			Proof:       check.Proof{Pods: []string{"10.0.0.1:50051"}, Calls: 13},
			Coverage:    check.Coverage{Seen: 1, Of: 2, Calls: 13, Needed: 13, Alpha: 0.01},
			PerEndpoint: []check.Count{{Endpoint: a, Calls: 13, Share: 1}, {Endpoint: b}},
		},
		Calls: 13, Dials: 1,
	}
}

func undecided() *Verify {
	return &Verify{
		APIVersion: APIVersion, Kind: "VerifyReport", Address: "203.0.113.10:8000", Authority: "203.0.113.10:8000",
		Target: "an address",
		Result: check.Result{
			Verdict:  check.Inconclusive,
			Findings: []check.Finding{{Code: "GM231", Severity: check.Warning, Subject: "203.0.113.10:8000", Message: "nobody is known to answer", Hint: "name a kubeconfig"}},
		},
		Witness: &Witness{Calls: 1, Upstream: 0, Paths: []string{"/a.B/\x1b]52;c;eA==\a"}},
	}
}

func TestVerifyText(t *testing.T) {
	t.Parallel()
	golden(t, "verify-pass", passed().Text)
	golden(t, "verify-fail", failed().Text)
	golden(t, "verify-inconclusive", undecided().Text)
}

// Pods of several namespaces are told apart by them, and where no pod could be
// counted nothing is said of the one connection.
func TestVerifyTextOfSeveralNamespaces(t *testing.T) {
	t.Parallel()
	v := passed()
	v.PerEndpoint[0].Endpoint.Namespace, v.PerEndpoint[1].Endpoint.Namespace = "blue", "green"
	v.Identified, v.Proof.Pods = check.RungSidecars, nil
	var b bytes.Buffer
	if err := v.Text(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "\nblue/server-a ") || !strings.Contains(got, "\ngreen/server-bcd ") || strings.Contains(got, "one connection  ") {
		t.Errorf("%s", got)
	}
}

// A sidecar's counters can't tell one connection from another: more than one
// dial, and the line on the one connection is not there.
func TestVerifyTextClaimsNoOneConnection(t *testing.T) {
	t.Parallel()
	v := failed()
	v.Dials = 2
	var b strings.Builder
	if err := v.Text(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "one connection") {
		t.Errorf("two dials, and yet:\n%s", b.String())
	}
}

func TestReached(t *testing.T) {
	t.Parallel()
	var v Verify
	v.Reached(check.Evidence{
		Samples: []probe.Sample{{Conn: 0}, {Conn: 0}, {Conn: 3}},
		Witness: []probe.Sample{{Path: "/a.B/C", Upstream: true}, {Path: "/a.B/D"}},
	})
	if v.Calls != 3 || v.Dials != 2 {
		t.Errorf("%d calls on %d dials, want 3 on 2", v.Calls, v.Dials)
	}
	want := &Witness{Calls: 2, Upstream: 1, Paths: []string{"/a.B/C", "/a.B/D"}}
	if diff := cmp.Diff(want, v.Witness); diff != "" {
		t.Errorf("witness (-want +got):\n%s", diff)
	}
	v = Verify{}
	v.Reached(check.Evidence{})
	if v.Witness != nil || v.Calls != 0 || v.Dials != 0 {
		t.Errorf("of no evidence: %+v", v)
	}
}

func exposed() *Expose {
	return &Expose{
		APIVersion: APIVersion, Kind: "ExposeReport", Namespace: "test", Workload: "Deployment/server",
		TargetPort: 50051, PortFrom: "answered gRPC",
		Injection: Injection{Label: "istio-injection=enabled", Rehearsed: true, Touches: []string{"Deployment/client"}},
		Gateway:   GatewayRef{Service: "istio-system/istio-ingressgateway", Port: 8000, Replicas: 2},
		Changes: []Change{
			{Action: plan.Update, Kind: "Namespace", Name: "test", Diff: []plan.Field{{Path: "metadata.labels.istio-injection", To: "enabled"}}},
			{Action: plan.Create, Kind: "Service", Namespace: "test", Name: "server"},
			{Action: plan.Reuse, Kind: "Gateway", Namespace: "test", Name: "grpc", Reason: "not grpcmesh's, and as wanted"},
			{Action: plan.Unchanged, Kind: "VirtualService", Namespace: "test", Name: "server"},
			{Action: plan.Restart, Kind: "Deployment", Namespace: "test", Name: "server", Reason: "3 of 3 pods lack the sidecar"},
		},
		Live: &Live{Replicas: 2, Calls: 20, Seconds: 1.5},
		Host: "greeter.example.com", Addresses: []string{"203.0.113.10:8000", "[2001:db8::1]:8000"},
		Verify: "grpcmesh verify --addr 203.0.113.10:8000 --authority greeter.example.com", Warnings: []string{"mind the gap"},
	}
}

// expose writes what a run in text would: its lines, then its tail.
func expose(e *Expose) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, c := range e.Changes {
			if _, err := io.WriteString(w, c.Line(e.DryRun)+"\n"); err != nil {
				return err
			}
		}
		return e.Tail(w)
	}
}

func TestExposeText(t *testing.T) {
	t.Parallel()
	golden(t, "expose-first", expose(exposed()))

	again := exposed()
	again.Host, again.Addresses, again.Verify, again.Gateway.Type = "*", nil, "", "LoadBalancer"
	for i := range again.Changes {
		again.Changes[i] = Change{Action: plan.Unchanged, Kind: again.Changes[i].Kind, Name: again.Changes[i].Name}
	}
	golden(t, "expose-again", expose(again))

	nodePort := exposed()
	nodePort.Changes, nodePort.Host = nil, "*"
	nodePort.Gateway.Type, nodePort.Gateway.NodePort, nodePort.Addresses = "NodePort", 31731, []string{"192.0.2.1:31731"}
	nodePort.Verify = "grpcmesh verify --addr 192.0.2.1:31731"
	golden(t, "expose-node-port", expose(nodePort))
	nodePort.Gateway.Type = "LoadBalancer"
	golden(t, "expose-pending", expose(nodePort))

	inside := exposed()
	inside.Changes, inside.Gateway.Type, inside.Addresses = nil, "ClusterIP", nil
	inside.Forward = "kubectl port-forward -n istio-system service/istio-ingressgateway 8000:8000"
	inside.Verify = "grpcmesh verify --addr 127.0.0.1:8000 --authority greeter.example.com"
	golden(t, "expose-inside", expose(inside))

	dry := exposed()
	dry.DryRun = "server"
	golden(t, "expose-dry-run", expose(dry))
	golden(t, "expose-names", exposed().Names)
}

func TestChangeOf(t *testing.T) {
	t.Parallel()
	diff := []plan.Field{{Path: "spec.a", From: "1", To: "2"}}
	got := ChangeOf(plan.Change{ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"},
		Action: plan.Update, Reason: "why", Diff: diff, ResourceVersion: "42"})
	want := Change{Action: plan.Update, Kind: "Service", Namespace: "test", Name: "server", Reason: "why", Diff: diff}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// keys are the names of all fields in a JSON value, with the path to each.
func keys(prefix string, value any, into map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for k, sub := range v {
			into[prefix+k] = true
			keys(prefix+k+".", sub, into)
		}
	case []any:
		for _, sub := range v {
			keys(prefix, sub, into)
		}
	}
}

// roundTrip holds a document to its field names, which are never changed within
// a version, and to losing nothing on the way.
func roundTrip[T any](t *testing.T, doc T, names string) {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, doc); err != nil {
		t.Fatal(err)
	}
	var loose any
	if err := json.Unmarshal(b.Bytes(), &loose); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	keys("", loose, found)
	want := strings.Fields(names)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	var back T
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doc, back); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	roundTrip(t, passed(), `apiVersion kind address authority target identified calls dials
		witness witness.calls witness.upstream witness.paths
		verdict unidentified findings findings.code findings.severity findings.subject findings.message findings.hint
		proof proof.connection proof.gateway proof.calls proof.pods
		coverage coverage.seen coverage.of coverage.calls coverage.needed coverage.skew coverage.alpha
		perEndpoint perEndpoint.calls perEndpoint.share perEndpoint.endpoint perEndpoint.endpoint.address perEndpoint.endpoint.pod
		perEndpoint.endpoint.node perEndpoint.endpoint.zone perEndpoint.endpoint.share`)
	doc := exposed()
	doc.DryRun = "server"
	doc.Changes[0].Diff[0].From = "disabled"
	doc.Gateway.Type, doc.Gateway.NodePort, doc.Forward = "NodePort", 31731, "kubectl port-forward"
	doc.Error = "not ready"
	roundTrip(t, doc, `apiVersion kind dryRun namespace workload targetPort targetPortFrom
		injection injection.label injection.mode injection.rehearsed injection.touches
		gateway gateway.service gateway.type gateway.port gateway.nodePort gateway.replicas
		changes changes.action changes.kind changes.namespace changes.name changes.reason
		changes.diff changes.diff.path changes.diff.from changes.diff.to
		live live.gatewayReplicas live.callsInARow live.seconds
		host addresses forward verify warnings error`)
}

func TestYAMLStream(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := YAMLStream(&b, []any{map[string]int{"a": 1}, map[string]int{"b": 2}}); err != nil {
		t.Fatal(err)
	}
	if want := "a: 1\n---\nb: 2\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
