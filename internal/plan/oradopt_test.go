package plan_test

import (
	"strings"
	"testing"

	"grpcmesh/internal/plan"
)

// TestOrAdopt: the refusal to write to another's object names --adopt where it
// would help, and says where it would not.
func TestOrAdopt(t *testing.T) {
	of := want
	for kind, want := range map[string]string{"VirtualService": "unexpose: --adopt", "Gateway": "unexpose: --adopt", "DestinationRule": "--adopt takes over no DestinationRule"} {
		_, err := plan.Build([]plan.Step{{Want: of(kind), Live: state(t, object(theirs, "1")), Dry: state(t, object(ours, "2"))}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v lacks %q", kind, err, want)
		}
	}
}
