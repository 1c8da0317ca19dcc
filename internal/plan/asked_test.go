package plan

import (
	"encoding/json"
	"testing"

	"grpcmesh/internal/manifest"
)

// TestAsked: what is told of a live object is all that grpcmesh applied, nothing
// of others, and applied again it changes nothing.
func TestAsked(t *testing.T) {
	for _, tc := range []struct{ kind, live, want string }{
		{"Service", liveService, `{"metadata":{"labels":{"app":"server"}},"spec":{"ports":[{"name":"grpc","port":8000,"protocol":"TCP"}],"selector":{"app":"server"}}}`},
		{"Gateway", liveGateway, `{"spec":{"selector":{"istio":"ingressgateway"},"servers":[{"hosts":["a.example"],"port":{"name":"grpc-80","number":80,"protocol":"GRPC"}}]}}`},
		{"Namespace", liveNamespace, `{}`},
	} {
		live := State{UID: "u"}
		if err := json.Unmarshal([]byte(tc.live), &live.Object); err != nil {
			t.Fatal(err)
		}
		got, err := Asked(live)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v\n%s, want\n%s", tc.kind, err, got, tc.want)
			continue
		}
		again, err := manifest.Restored(manifest.ID{Kind: tc.kind, Namespace: "test", Name: live.Name()}, got)
		if err != nil || !Settled(again, live) {
			t.Errorf("%s: applied again it is not settled (%v)", tc.kind, err)
		}
	}
}
