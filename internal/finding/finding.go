// Package finding has what can be found wrong before a write, and by looking
// at a cluster alone: the codes GM1xx, their catalogue, and the story of each.
// It is pure and imports nothing of this module, so that whoever refuses
// something can name its code. (The codes GM2xx are verify's own, in check.)
package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity is how much a Finding matters.
type Severity string

// Severities. An error stops expose before the first write; a warning is told.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing found. Its texts may quote names and annotations of the
// cluster: escape them before they are shown.
type Finding struct {
	Code      string   `json:"code"` // of Codes
	Severity  Severity `json:"severity"`
	Object    string   `json:"object"`              // "Deployment/server", "gateway istio-system/ingress"
	Namespace string   `json:"namespace,omitempty"` // of the object, where it has one
	Reason    string   `json:"reason"`
	Next      string   `json:"next,omitempty"`  // the next command or step
	Istio     string   `json:"istio,omitempty"` // the code by which `istioctl analyze` tells the same
}

// New is a Finding of the code, with the severity and Istio's code that the
// catalogue has for it.
func New(code, namespace, object, reason, next string) Finding {
	c := Lookup(code)
	return Finding{Code: code, Severity: c.Severity, Istio: c.Istio, Namespace: namespace, Object: object, Reason: reason, Next: next}
}

// Text is the Finding as a reader sees it: code, severity and object, then the
// reason and the next step, each line indented.
func (f Finding) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-7s  %s", f.Code, f.Severity, f.Object)
	if f.Namespace != "" {
		b.WriteString(" in namespace " + f.Namespace)
	}
	if f.Istio != "" {
		b.WriteString("  [" + f.Istio + "]")
	}
	for _, text := range []string{f.Reason, f.Next} {
		for line := range strings.SplitSeq(text, "\n") {
			if line != "" {
				b.WriteString("\n    " + line)
			}
		}
	}
	return b.String()
}

// Sort orders findings: errors before warnings, then by code and object. What
// is told twice stays once.
func Sort(all []Finding) []Finding {
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(all)
}
