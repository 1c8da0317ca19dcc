package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/manifest"
)

// Removal decides about one object that is to go: it is deleted if grpcmesh
// made it and still owns it, given back if grpcmesh adopted it, and is kept, with
// the reason, where the label that says so was forged or someone else has since
// written into its spec.
func Removal(id manifest.ID, live State) Change {
	c := Change{ID: id, Action: Delete, ResourceVersion: live.ResourceVersion, UID: live.UID}
	others, ours := managers(live)
	switch {
	case !manifest.Owned(live.Labels):
		c.Action, c.Reason = Keep, "not made by grpcmesh"
	case !ours:
		c.Action, c.Reason = Keep, "its label says that grpcmesh made it, and its managed fields do not"
	case manifest.Adopted(live.Object) != "":
		restored, err := manifest.Restored(id, manifest.Adopted(live.Object))
		if err != nil {
			c.Action, c.Reason = Keep, err.Error()
			break
		}
		c.Action, c.Object, c.Reason = Update, restored, "given back as it was before it was adopted"
	case len(others) > 0:
		c.Action, c.Reason = Keep, "parts of it were written by "+strings.Join(others, ", ")
	}
	return c
}

// Applied says whether grpcmesh has applied the object and still owns a field
// of it.
func Applied(live State) bool {
	_, ours := managers(live)
	return ours
}

// managers says whether grpcmesh has applied the object, and who else has
// written into its spec. Labels and annotations may be anyone's.
func managers(live State) (others []string, ours bool) {
	b, err := json.Marshal(live.Object["metadata"])
	if err != nil {
		return []string{err.Error()}, false
	}
	var meta metav1.ObjectMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return []string{err.Error()}, false
	}
	for _, m := range meta.ManagedFields {
		if m.Manager == manifest.FieldManager {
			ours = ours || m.Operation == metav1.ManagedFieldsOperationApply
			continue
		}
		if m.FieldsV1 == nil || m.Subresource != "" {
			continue
		}
		fields := map[string]any{}
		unreadable := json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) != nil // then it may own anything
		if _, spec := fields["f:spec"]; spec || unreadable {
			others = append(others, m.Manager)
		}
	}
	slices.Sort(others)
	return slices.Compact(others), ours
}

// Leads says whether an object that is labelled as a workload's still leads
// calls to it, whoever has written into it by now: the VirtualService of the
// workload's own name, bound to a gateway.
func Leads(s State) bool {
	_, name, ok := strings.Cut(s.Labels[manifest.WorkloadLabel], ".")
	spec, _ := s.Object["spec"].(map[string]any)
	gateways, _ := spec["gateways"].([]any)
	return ok && manifest.Owned(s.Labels) && strings.HasPrefix(s.Name(), name) && // a long name is cut short in the label
		slices.ContainsFunc(gateways, func(g any) bool { return g != "mesh" })
}

// Exposed lists the workloads that the labels of objects name, as "kind/name"
// in lower case, sorted. Only what an undoing would delete counts, and a
// VirtualService that leads calls: a label alone may be forged, and a Service
// that someone else took over exposes nothing.
func Exposed(all []State) []string {
	var found []string
	for _, s := range all {
		kind, name, ok := strings.Cut(s.Labels[manifest.WorkloadLabel], ".")
		if ok && (Removal(manifest.ID{}, s).Action == Delete || manifest.Adopted(s.Object) != "" || Leads(s)) {
			found = append(found, fmt.Sprintf("%s/%s", kind, name))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
