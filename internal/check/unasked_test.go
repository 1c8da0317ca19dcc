package check

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// Without a cluster the one finding says so, why, and what would do; and that
// the address itself is broken still comes first.
func TestUnasked(t *testing.T) {
	e := Evidence{Rung: RungRoute, Alpha: 0.001, Where: Where{Address: "a:1"}, WitnessWhy: "there is none",
		Unasked: "no kubeconfig: /x does not exist\nName one with --kubeconfig or the environment variable KUBECONFIG.",
		Command: strings.Fields("grpcmesh verify --addr a:1 --namespace n")}
	got := Judge(e)
	if len(got.Findings) != 1 || got.Verdict != Inconclusive {
		t.Fatalf("%+v", got)
	}
	f := got.Findings[0]
	if f.Code != codeNobody || !strings.Contains(f.Message, "no cluster could be asked") || !strings.HasSuffix(f.Message, "/x does not exist") ||
		!strings.HasPrefix(f.Hint, "Name one with --kubeconfig") ||
		!strings.HasSuffix(f.Hint, ": grpcmesh verify --addr a:1 --call PACKAGE.SERVICE/METHOD --backend-from header:NAME --expect N") {
		t.Errorf("%+v", f)
	}
	e.Witness, e.WitnessWhy = []probe.Sample{{NotGRPC: true, Code: codes.Unknown}}, ""
	if got := Judge(e); got.Verdict != Fail || got.Findings[0].Code != codeNotGRPC {
		t.Errorf("%+v", got)
	}
}
