package manifest

import "k8s.io/apimachinery/pkg/types"

// How the workload's pods are to get their sidecar.
const (
	InjectNamespace = "namespace" // by a label of their namespace, which reaches its other workloads too
	InjectPod       = "pod"       // by a label of their own template, which reaches no one else
	InjectNone      = "none"      // not at all
)

// InjectAnnotation is on a VirtualService that was exposed otherwise than by the
// namespace's label: InjectPod or InjectNone.
const InjectAnnotation = "grpcmesh.dev/inject"

// OnlyLabelled says whether objects of the kind are someone else's by nature,
// and grpcmesh sets one label on them at most.
func OnlyLabelled(kind string) bool {
	switch kind {
	case "Namespace", "Deployment", "StatefulSet", "DaemonSet":
		return true
	}
	return false
}

// WorkloadObject is a workload of which grpcmesh owns just these labels of its
// pod template. Without labels it owns nothing: applied, it gives up what
// grpcmesh had set. Either way the pods are made anew if the template changes.
// The uid, where it is known, keeps it from ever making a workload.
func WorkloadObject(kind, namespace, name string, uid types.UID, labels map[string]string) Object {
	obj := newObject(kind, namespace, name)
	obj.Apply.Metadata.UID = uid
	if len(labels) > 0 {
		obj.Apply.Spec = map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}}}
	}
	return obj
}
