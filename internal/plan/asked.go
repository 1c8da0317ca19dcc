package plan

import (
	"encoding/json"
	"strings"
)

// Asked is what grpcmesh last applied to a live object, as JSON that asks for
// the same again: the fields that it owns by server-side apply, with the values
// that they have. Without any it is "{}".
func Asked(live State) (string, error) {
	owned, _ := applied(live, nil) // in whichever version: the client asks in its own
	b, err := json.Marshal(ownPart(live.Object, owned))
	return string(b), err
}

// ownPart is the part of a live value that the owned fields tell of, in the
// notation of managedFields; nil for none.
func ownPart(live any, owned map[string]any) any {
	children := len(owned)
	if _, self := owned["."]; self {
		children--
	}
	switch live := live.(type) {
	case map[string]any:
		part := map[string]any{}
		for name, node := range owned {
			key, ok := strings.CutPrefix(name, "f:")
			fields, isMap := node.(map[string]any)
			if value, there := live[key]; ok && isMap && there {
				part[key] = below(value, fields)
			}
		}
		return part
	case []any:
		if children == 0 {
			return live
		}
		var part []any
		for _, item := range live {
			for name, node := range owned {
				text, ok := strings.CutPrefix(name, "k:")
				fields, isMap := node.(map[string]any)
				var keys map[string]any
				if ok && isMap && json.Unmarshal([]byte(text), &keys) == nil && has(item, keys) {
					part = append(part, below(item, fields))
				}
			}
		}
		return part
	}
	return live
}

// below is the whole of a value that is owned as one, else its owned part.
func below(value any, owned map[string]any) any {
	if len(owned) == 0 {
		return value
	}
	return ownPart(value, owned)
}
