package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"grpcmesh/internal/manifest"
)

// Field is one difference: a path such as spec.ports[0].name, and the values
// there. An empty From or To means that the field is absent on that side.
type Field struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// serverFields change with every write or belong to the server alone, so they
// never are a difference that anyone asked for.
func serverFields(path string) bool {
	switch path {
	case "metadata.managedFields", "metadata.resourceVersion", "metadata.generation",
		"metadata.uid", "metadata.creationTimestamp", "status":
		return true
	}
	return false
}

// Diff lists where two objects, given as JSON values, differ, in the order of
// their paths. What the server alone keeps is left out.
func Diff(from, to map[string]any) []Field {
	var fields []Field
	diffValue("", from, to, &fields)
	return fields
}

// Whole lists every field of an object that is to be made, as a difference from
// nothing.
func Whole(obj manifest.Object) ([]Field, error) {
	b, err := json.Marshal(obj.Apply)
	if err != nil {
		return nil, err
	}
	var to map[string]any
	if err := json.Unmarshal(b, &to); err != nil {
		return nil, err
	}
	var fields []Field
	leaves("", to, &fields)
	return fields, nil
}

func leaves(path string, v any, out *[]Field) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			leaves(strings.TrimPrefix(path+"."+k, "."), v[k], out)
		}
	case []any:
		for i := range v {
			leaves(path+"["+strconv.Itoa(i)+"]", v[i], out)
		}
	default:
		*out = append(*out, Field{Path: path, To: show(v)})
	}
}

func diffValue(path string, from, to any, out *[]Field) {
	if serverFields(path) || reflect.DeepEqual(from, to) {
		return
	}
	fromMap, ok1 := from.(map[string]any)
	toMap, ok2 := to.(map[string]any)
	if (ok1 || from == nil) && (ok2 || to == nil) && (ok1 || ok2) && (ok1 == ok2 || path == "") {
		keys := make([]string, 0, len(fromMap)+len(toMap))
		for k := range fromMap {
			keys = append(keys, k)
		}
		for k := range toMap {
			if _, both := fromMap[k]; !both {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			sub := k
			if path != "" {
				sub = path + "." + k
			}
			diffValue(sub, fromMap[k], toMap[k], out)
		}
		return
	}
	fromList, ok1 := from.([]any)
	toList, ok2 := to.([]any)
	if ok1 && ok2 && len(fromList) == len(toList) {
		for i := range fromList {
			diffValue(path+"["+strconv.Itoa(i)+"]", fromList[i], toList[i], out)
		}
		return
	}
	*out = append(*out, Field{Path: path, From: show(from), To: show(to)})
}

func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil { // JSON values only come from JSON
		return fmt.Sprint(v)
	}
	return string(b)
}
