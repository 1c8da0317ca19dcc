package plan

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"grpcmesh/internal/manifest"
)

// Settled says whether applying what is wanted would surely change nothing: of
// the live object grpcmesh owns, by server-side apply, just the fields that are
// wanted, and they have the wanted values. Where that can't be told for sure it
// is false, and the server is to be asked by a dry run.
func Settled(want manifest.Object, live State) bool {
	b, err := json.Marshal(want.Apply)
	if err != nil {
		return false
	}
	var fields map[string]any
	if json.Unmarshal(b, &fields) != nil || fields == nil {
		return false
	}
	owned, ok := applied(live, fields["apiVersion"])
	if !ok {
		return false
	}
	meta, _ := fields["metadata"].(map[string]any)
	if uid, ok := meta["uid"]; ok && uid != live.UID {
		return false
	}
	for _, key := range []string{"name", "namespace", "uid"} { // they are whose the object is, and owned by no one
		delete(meta, key)
	}
	if len(meta) == 0 {
		delete(fields, "metadata")
	}
	delete(fields, "apiVersion")
	delete(fields, "kind")
	if owned == nil {
		return len(fields) == 0
	}
	return settled(fields, live.Object, owned)
}

// applied are the fields that grpcmesh owns by server-side apply, as
// managedFields has them; nil for none. Not ok, where they are written in
// another version of the API.
func applied(live State, version any) (owned map[string]any, ok bool) {
	meta, _ := live.Object["metadata"].(map[string]any)
	entries, _ := meta["managedFields"].([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		if entry["manager"] != manifest.FieldManager || entry["operation"] != "Apply" || entry["subresource"] != nil {
			continue
		}
		owned, isMap := entry["fieldsV1"].(map[string]any)
		return owned, isMap && entry["apiVersion"] == version && entry["fieldsType"] == "FieldsV1"
	}
	return nil, true
}

// settled compares one value. owned is its node in the set of fields: a leaf is
// owned whole; else "f:" leads to a field, "k:" to an item of a list by its keys.
func settled(want, live any, owned map[string]any) bool {
	children := len(owned)
	if _, self := owned["."]; self {
		children--
	}
	if children == 0 {
		return reflect.DeepEqual(want, live)
	}
	switch want := want.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok || len(want) != children {
			return false
		}
		for key, value := range want {
			node, ok := owned["f:"+key].(map[string]any)
			if !ok || !settled(value, have[key], node) {
				return false
			}
		}
		return true
	case []any:
		have, ok := live.([]any)
		if !ok || len(want) != children {
			return false
		}
		for _, value := range want {
			if !slices.ContainsFunc(have, func(other any) bool { return settledItem(value, other, owned) }) {
				return false
			}
		}
		return true
	}
	return false
}

// settledItem says whether two items of a list have the same keys, by one of
// the owned ones, and are settled.
func settledItem(want, live any, owned map[string]any) bool {
	for name, node := range owned {
		text, ok := strings.CutPrefix(name, "k:")
		fields, isMap := node.(map[string]any)
		var keys map[string]any
		if !ok || !isMap || json.Unmarshal([]byte(text), &keys) != nil {
			continue
		}
		if has(want, keys) && has(live, keys) {
			return settled(want, live, fields)
		}
	}
	return false
}

func has(item any, keys map[string]any) bool {
	fields, ok := item.(map[string]any)
	for key, value := range keys {
		ok = ok && reflect.DeepEqual(fields[key], value)
	}
	return ok && len(keys) > 0
}
