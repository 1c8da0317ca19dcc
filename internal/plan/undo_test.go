package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"grpcmesh/internal/manifest"
)

func stateOf(t *testing.T, object string) State {
	t.Helper()
	s := State{UID: "u", ResourceVersion: "7"}
	if err := json.Unmarshal([]byte(object), &s.Object); err != nil {
		t.Fatal(err)
	}
	meta, _ := s.Object["metadata"].(map[string]any)
	all, _ := meta["labels"].(map[string]any)
	s.Labels = map[string]string{}
	for k, v := range all {
		s.Labels[k], _ = v.(string)
	}
	return s
}

// TestRemoval: only what grpcmesh made and still owns is deleted, and just that
// object and version.
func TestRemoval(t *testing.T) {
	const (
		ours   = `{"manager":"grpcmesh","operation":"Apply","fieldsV1":{"f:metadata":{"f:labels":{}},"f:spec":{}}}`
		forged = `{"manager":"kubectl-create","operation":"Update","fieldsV1":{"f:spec":{}}}`
	)
	for _, tc := range []struct {
		name, labels, managed string
		action                Action
		reason                string
	}{
		{"ours", `"app.kubernetes.io/managed-by":"grpcmesh"`, ours, Delete, ""},
		{"someone else's", `"app.kubernetes.io/managed-by":"Helm"`, ours, Keep, "not made by grpcmesh"},
		{"no label", ``, ours, Keep, "not made by grpcmesh"},
		{"a forged label", `"app.kubernetes.io/managed-by":"grpcmesh"`, forged, Keep, "managed fields do not"},
		{"no managed fields", `"app.kubernetes.io/managed-by":"grpcmesh"`, ``, Keep, "managed fields do not"},
		{"ours, but by another operation", `"app.kubernetes.io/managed-by":"grpcmesh"`, `{"manager":"grpcmesh","operation":"Update","fieldsV1":{"f:spec":{}}}`, Keep, "managed fields do not"},
		{"a port by someone else", `"app.kubernetes.io/managed-by":"grpcmesh"`, ours + `,{"manager":"kubectl-edit","operation":"Update","fieldsV1":{"f:spec":{"f:ports":{}}}}`, Keep, "written by kubectl-edit"},
		{"a label by someone else", `"app.kubernetes.io/managed-by":"grpcmesh"`, ours + `,{"manager":"kubectl-label","operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{}}}}`, Delete, ""},
		{"a status by someone else", `"app.kubernetes.io/managed-by":"grpcmesh"`, ours + `,{"manager":"lb","operation":"Update","subresource":"status","fieldsV1":{"f:spec":{}}}`, Delete, ""},
	} {
		id := manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}
		got := Removal(id, stateOf(t, `{"metadata":{"name":"server","labels":{`+tc.labels+`},"managedFields":[`+tc.managed+`]}}`))
		if got.Action != tc.action || !strings.Contains(got.Reason, tc.reason) || (got.Reason == "") != (tc.reason == "") {
			t.Errorf("%s: %s (%s), want %s (%s)", tc.name, got.Action, got.Reason, tc.action, tc.reason)
		}
		if got.ID != id || got.UID != "u" || got.ResourceVersion != "7" {
			t.Errorf("%s: %+v does not pin the object", tc.name, got)
		}
	}
}

// TestExposed: what grpcmesh would delete tells of an exposure, and a
// VirtualService that leads calls; a label alone does not.
func TestExposed(t *testing.T) {
	const (
		ours   = `{"manager":"grpcmesh","operation":"Apply","fieldsV1":{"f:spec":{}}}`
		theirs = `{"manager":"kubectl-patch","operation":"Update","fieldsV1":{"f:spec":{}}}`
		label  = `"app.kubernetes.io/managed-by":"grpcmesh","grpcmesh.dev/workload":`
	)
	of := func(name, labels, managed, spec string) State {
		return stateOf(t, `{"metadata":{"name":"`+name+`","labels":{`+labels+`},"managedFields":[`+managed+`]},"spec":{`+spec+`}}`)
	}
	for _, tc := range []struct {
		name  string
		state State
		want  string
	}{
		{"ours", of("a.b", label+`"deployment.a.b"`, ours, ""), "deployment/a.b"},
		{"ours, without a workload", of("grpc", `"app.kubernetes.io/managed-by":"grpcmesh"`, ours, ""), ""},
		{"another's label", of("a", `"grpcmesh.dev/workload":"deployment.a"`, ours, ""), ""},
		{"a forged Service", of("a", label+`"deployment.a"`, theirs, ""), ""},
		{"a Service that someone wrote into", of("a", label+`"deployment.a"`, ours+","+theirs, ""), ""},
		{"a VirtualService that someone wrote into", of("a", label+`"deployment.a"`, ours+","+theirs, `"gateways":["test/grpc"]`), "deployment/a"},
		{"one that someone took over", of("a", label+`"deployment.a"`, theirs, `"gateways":["test/grpc"]`), "deployment/a"},
		{"one for the mesh alone", of("a", label+`"deployment.a"`, theirs, `"gateways":["mesh"]`), ""},
		{"one of another name", of("b", label+`"deployment.a"`, theirs, `"gateways":["test/grpc"]`), ""},
	} {
		if got := strings.Join(Exposed([]State{tc.state, tc.state}), " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	got := Exposed([]State{of("db", label+`"statefulset.db"`, ours, ""), of("a", label+`"deployment.a"`, ours, "")})
	if s := strings.Join(got, " "); s != "deployment/a statefulset/db" {
		t.Error(s)
	}
}
