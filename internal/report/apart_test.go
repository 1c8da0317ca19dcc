package report

import (
	"strings"
	"testing"
	"time"

	"grpcmesh/internal/check"
)

// Reports of two runs at one address can be told apart, and say how long they took.
func TestApart(t *testing.T) {
	v := &Verify{Address: "127.0.0.1:8000", Authority: "a.x", Result: check.Result{Verdict: check.Pass}}
	v.Reached(check.Evidence{Where: check.Where{Namespace: "test", VirtualService: "server"}})
	v.Took = 12345 * time.Millisecond
	for format, wants := range map[string][]string{
		"junit":      {`name="requests to a.x at 127.0.0.1:8000 (test/server) are balanced over the pods"`, `classname="grpcmesh.verify" time="12.345"`, `name="grpcmesh verify test/server"`},
		"prometheus": {`grpcmesh_verify_calls{address="127.0.0.1:8000",authority="a.x",namespace="test",virtual_service="server"} 0`},
		"json":       {`"namespace": "test"`, `"virtualService": "server"`, `"authority": "a.x"`},
	} {
		for _, want := range wants {
			if got := written(t, v, format); !strings.Contains(got, want) {
				t.Errorf("%s: no %s in\n%s", format, want, got)
			}
		}
	}
	// Of a list the name says it as well.
	list := &Verify{Name: "test/other", Address: "127.0.0.1:8000", Error: "refused"}
	if got := written(t, list, "prometheus"); !strings.Contains(got, `namespace="test",virtual_service="other"`) {
		t.Error(got)
	}
}
