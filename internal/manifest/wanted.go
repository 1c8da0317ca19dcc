package manifest

import (
	"maps"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Wanted are the fields of an object that grpcmesh means to own, as they are
// sent by server-side apply. (client-go's apply configurations, which are the
// same, would bring along every kind that there is.)
type Wanted struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   Meta   `json:"metadata"`
	// Spec is whatever marshals to just the fields that are meant; nil: none.
	Spec any `json:"spec,omitempty"`
}

// Meta is an object's metadata, as far as it is ever sent.
type Meta struct {
	Name            string            `json:"name,omitempty"`
	Namespace       string            `json:"namespace,omitempty"`
	UID             types.UID         `json:"uid,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

// apiVersionOf is that of a kind that is applied.
func apiVersionOf(kind string) string {
	switch kind {
	case "Namespace", "Service":
		return "v1"
	case "Deployment", "StatefulSet", "DaemonSet":
		return "apps/v1"
	}
	return "networking.istio.io/v1alpha3"
}

// newObject is one of which nothing is wanted yet.
func newObject(kind, namespace, name string) Object {
	return Object{ID: ID{kind, namespace, name},
		Apply: &Wanted{Kind: kind, APIVersion: apiVersionOf(kind), Metadata: Meta{Namespace: namespace, Name: name}}}
}

// At is the same, sent only to the live object of the resourceVersion; empty: to
// whichever there is.
func (w Wanted) At(resourceVersion string) Wanted {
	w.Metadata.ResourceVersion = resourceVersion
	return w
}

func (w *Wanted) annotate(key, value string) {
	w.Metadata.Annotations = maps.Clone(w.Metadata.Annotations)
	if w.Metadata.Annotations == nil {
		w.Metadata.Annotations = map[string]string{}
	}
	w.Metadata.Annotations[key] = value
}

// serviceSpec is what is wanted of a Service.
type serviceSpec struct {
	Ports    []servicePort     `json:"ports,omitempty"`
	Selector map[string]string `json:"selector,omitempty"`
	Type     string            `json:"type,omitempty"`
}

type servicePort struct {
	Name        string              `json:"name,omitempty"`
	Protocol    string              `json:"protocol"`
	AppProtocol string              `json:"appProtocol"`
	Port        int                 `json:"port"`
	TargetPort  *intstr.IntOrString `json:"targetPort,omitempty"`
}
