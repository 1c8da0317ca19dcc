package plan

import (
	"encoding/json"
	"testing"

	"grpcmesh/internal/manifest"
)

// FuzzRemoval: whatever an object's metadata holds, it is deleted only if its
// label says that grpcmesh made it, the API server that grpcmesh applied it, and
// no entry of another manager names the spec or can't be read.
func FuzzRemoval(f *testing.F) {
	const label = `"labels":{"app.kubernetes.io/managed-by":"grpcmesh"}`
	f.Add([]byte(`{` + label + `,"managedFields":[{"manager":"grpcmesh","operation":"Apply","fieldsV1":{"f:spec":{}}}]}`))
	f.Add([]byte(`{` + label + `,"managedFields":[{"manager":"grpcmesh","operation":"Apply","fieldsV1":{}},{"manager":"kubectl-edit","operation":"Update","fieldsV1":{"f:spec":{"f:ports":{}}}}]}`))
	f.Add([]byte(`{` + label + `,"managedFields":[{"manager":"grpcmesh","operation":"Apply"},{"manager":"lb","subresource":"status","fieldsV1":{"f:spec":{}}},{"manager":"odd","fieldsV1":[1]}]}`))
	f.Add([]byte(`{"managedFields":null}`))
	f.Add([]byte(`{` + label + `,"managedFields":7}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var meta map[string]any
		if json.Unmarshal(b, &meta) != nil {
			return
		}
		live := State{Labels: map[string]string{}, Object: map[string]any{"metadata": meta}}
		labels, _ := meta["labels"].(map[string]any)
		for k, v := range labels {
			live.Labels[k], _ = v.(string)
		}
		if Removal(manifest.ID{Kind: "Service"}, live).Action != Delete {
			return
		}
		applied := false
		entries, _ := meta["managedFields"].([]any)
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			if entry["manager"] == manifest.FieldManager {
				applied = applied || entry["operation"] == "Apply"
				continue
			}
			sub, _ := entry["subresource"].(string)
			if entry["fieldsV1"] == nil || sub != "" {
				continue
			}
			fields, readable := entry["fieldsV1"].(map[string]any)
			if _, spec := fields["f:spec"]; spec || !readable {
				t.Fatalf("deleted, though %v owns %v", entry["manager"], entry["fieldsV1"])
			}
		}
		if labels[manifest.ManagedBy] != manifest.FieldManager || !applied {
			t.Fatalf("deleted, with labels %v, applied by grpcmesh: %v", labels, applied)
		}
	})
}
