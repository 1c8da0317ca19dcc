package manifest_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"grpcmesh/internal/manifest"
)

// TestRestored: what is given back is what the applied fields were, and nothing
// that was not touched.
func TestRestored(t *testing.T) {
	e := procedure()
	e.InjectLabel, e.Taken, e.Port = map[string]string{"istio-injection": "enabled"}, true, 7000
	live := map[string]string{
		"Namespace": `{"metadata":{"name":"test","uid":"u","resourceVersion":"7","labels":{"team":"a","istio-injection":"disabled"}},"spec":{"finalizers":["kubernetes"]}}`,
		"Service": `{"metadata":{"name":"server","namespace":"test","labels":{"app.kubernetes.io/managed-by":"helm","owner":"x"}},
			"spec":{"type":"NodePort","selector":{"app":"server"},"ports":[{"name":"web","port":7000,"protocol":"TCP","targetPort":1},{"name":"web","port":7000,"protocol":"UDP"},{"name":"m","port":9}]}}`,
		"VirtualService": `{"metadata":{"name":"server","labels":{"owner":"x"}},"spec":{"hosts":["a.com"],"http":[{"timeout":"3s"}],"tcp":[{}]}}`,
	}
	want := map[string]string{
		"Namespace": `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"test","labels":{"istio-injection":"disabled"}}}`,
		"Service": `{"apiVersion":"v1","kind":"Service","metadata":{"name":"server","namespace":"test","labels":{"app.kubernetes.io/managed-by":"helm"}},
			"spec":{"ports":[{"name":"web","port":7000,"protocol":"TCP","targetPort":1}]}}`,
		"VirtualService": `{"apiVersion":"networking.istio.io/v1alpha3","kind":"VirtualService","metadata":{"name":"server","namespace":"test"},"spec":{"hosts":["a.com"],"http":[{"timeout":"3s"}]}}`,
	}
	for _, obj := range e.Objects() {
		if live[obj.Kind] == "" {
			continue
		}
		var is, should, got map[string]any
		if err := json.Unmarshal([]byte(live[obj.Kind]), &is); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(want[obj.Kind]), &should); err != nil {
			t.Fatal(err)
		}
		record, err := obj.Before(is)
		if err != nil {
			t.Fatal(err)
		}
		restored, err := manifest.Restored(obj.ID, record)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(bytesOf(t, restored), &got); err != nil {
			t.Fatal(err)
		}
		if meta, _ := got["metadata"].(map[string]any); len(meta) > 0 { // empty maps give nothing back
			for _, k := range []string{"labels", "annotations"} {
				if m, ok := meta[k].(map[string]any); ok && len(m) == 0 {
					delete(meta, k)
				}
			}
		}
		if !reflect.DeepEqual(got, should) {
			t.Errorf("%s: %v\nwant %v", obj.ID, got, should)
		}
	}
	if _, err := manifest.Restored(manifest.ID{Kind: "Service", Namespace: "test", Name: "a"}, "{"); err == nil {
		t.Error("a record that was cut off was taken")
	}
}
