package report

import (
	"fmt"
	"io"
	"strings"

	"grpcmesh/internal/finding"
)

// Doctor is what a run of doctor found.
type Doctor struct {
	APIVersion      string            `json:"apiVersion"`
	Kind            string            `json:"kind"`                // DoctorReport
	Namespace       string            `json:"namespace,omitempty"` // empty: all of them
	Workloads       int               `json:"workloads"`           // that speak gRPC, as far as the objects say
	Silent          int               `json:"silent"`              // workloads that say nothing of gRPC: not looked at
	Services        int               `json:"services"`            // looked at, like the next two
	Gateways        int               `json:"gateways"`
	VirtualServices int               `json:"virtualServices"`
	Errors          int               `json:"errors"`
	Warnings        int               `json:"warnings"`
	Findings        []finding.Finding `json:"findings"`        // sorted
	Error           string            `json:"error,omitempty"` // why the look was cut short
}

// Text writes the findings, then what was looked at.
func (d *Doctor) Text(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Findings {
		b.WriteString(CleanLines(f.Text()) + "\n\n")
	}
	where := "all namespaces"
	if d.Namespace != "" {
		where = "namespace " + d.Namespace
	}
	verdict := "Nothing wrong is found"
	if len(d.Findings) > 0 {
		verdict = fmt.Sprintf("%s and %s", count(d.Errors, "error"), count(d.Warnings, "warning"))
	}
	fmt.Fprintf(&b, "%s in %s, with %s of gRPC, %s, %s and %s.\n", verdict, where, count(d.Workloads, "workload"),
		count(d.Services, "Service"), count(d.Gateways, "Gateway"), count(d.VirtualServices, "VirtualService"))
	if d.Silent > 0 {
		fmt.Fprintf(&b, "Not looked at: %s whose ports and Services say nothing of gRPC; expose asks the pods themselves (grpcmesh diff NAME -n NAMESPACE).\n", count(d.Silent, "workload"))
	}
	if len(d.Findings) > 0 {
		fmt.Fprintf(&b, "The whole story of one: grpcmesh doctor --explain %s\n", d.Findings[0].Code)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Story is all that is to be told of a code.
type Story struct {
	Code    string `json:"code"`
	Meaning string `json:"meaning"`
	Effect  string `json:"effect"` // what it does to the run
	Istio   string `json:"istio,omitempty"`
	finding.Story
}

// Text writes the story for a reader.
func (s *Story) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", s.Code, s.Meaning)
	fmt.Fprintf(&b, "%s", s.Effect)
	if s.Istio != "" {
		b.WriteString("; `istioctl analyze` tells it as " + s.Istio)
	}
	b.WriteString("\n")
	for _, part := range []struct{ head, text string }{{"How it comes about", s.Cause}, {"How to see it", s.See}, {"How to mend it", s.Mend}} {
		fmt.Fprintf(&b, "\n%s\n", part.head)
		for line := range strings.SplitSeq(part.text, "\n") {
			b.WriteString("  " + line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
