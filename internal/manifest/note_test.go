package manifest_test

import (
	"encoding/json"
	"slices"
	"testing"

	"grpcmesh/internal/manifest"
)

// TestNote: what a namespace is made to note is read back, and nothing is where
// there is nothing to note.
func TestNote(t *testing.T) {
	for _, want := range [][]string{nil, {"deployment/a"}, {"deployment/a", "statefulset/b"}} {
		e := manifest.Exposure{Namespace: "test", InjectLabel: map[string]string{"istio-injection": "enabled"}, Reuse: "web", UseGateway: "edge/web", UseRoutes: []string{"edge/web"}, Reuses: want}
		objs := e.Objects()
		if len(objs) != 1 || !e.WhollyReused() {
			t.Fatalf("%d objects of an exposure that is someone else's but for the label", len(objs))
		}
		b, err := json.Marshal(objs[0].Apply)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(b, &object); err != nil {
			t.Fatal(err)
		}
		if got := manifest.Reuses(object); !slices.Equal(got, want) {
			t.Errorf("noted %q, read back %q", want, got)
		}
		objs[0].Note(nil)
		if objs[0].Apply.Metadata.Annotations[manifest.ReusesAnnotation] != "" {
			t.Error("it goes on noting")
		}
	}
}
