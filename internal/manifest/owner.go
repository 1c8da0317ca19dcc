package manifest

import (
	"strings"
)

// Owned says whether the labels are those of an object that grpcmesh made.
func Owned(labels map[string]string) bool { return labels[ManagedBy] == FieldManager }

// OwnedBy says whether the labels are those of an object that grpcmesh made
// for this very workload.
func OwnedBy(labels map[string]string, kind, name string) bool {
	return Owned(labels) && labels[WorkloadLabel] == workloadLabel(kind, name)
}

// workloadLabel shortens to the 63 characters that a label's value may have;
// kinds and names that only differ past that still differ by the object's own
// name, which is the workload's.
func workloadLabel(kind, name string) string {
	v := strings.ToLower(kind) + "." + name
	if len(v) > 63 {
		v = strings.TrimRight(v[:63], "-._")
	}
	return v
}
