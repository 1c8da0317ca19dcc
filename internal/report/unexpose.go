package report

import (
	"fmt"
	"io"
	"strings"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Unexpose is what a run of unexpose found and did.
type Unexpose struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"` // UnexposeReport
	DryRun     string   `json:"dryRun,omitempty"`
	Namespace  string   `json:"namespace"`
	Workload   string   `json:"workload,omitempty"`  // kind/name; empty: none was exposed, or it was asked for several
	Workloads  []string `json:"workloads,omitempty"` // the same, of a run that was asked for several
	Touches    []string `json:"touches,omitempty"`   // other workloads that lose their sidecar at their next restart
	Changes    []Change `json:"changes"`
	Warnings   []string `json:"warnings,omitempty"`
	Error      string   `json:"error,omitempty"` // why it was cut short, or what stays
}

// UnexposeList is what a run found and did that was asked for several, one
// document for each namespace.
type UnexposeList struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"` // UnexposeReportList
	Items      []*Unexpose `json:"items"`
}

// Tail is what the text output ends with, after the changes.
func (u *Unexpose) Tail(w io.Writer) error {
	gone, restarted := 0, 0
	var kept []string
	for _, c := range u.Changes {
		switch c.Action {
		case plan.Update:
			if manifest.OnlyLabelled(c.Kind) && c.Kind != "Namespace" {
				restarted++ // its pod template
				continue
			}
			gone++
		case plan.Create, plan.Delete:
			gone++
		case plan.Restart:
			restarted++
		case plan.Keep:
			kept = append(kept, Clean(c.Kind+"/"+c.Name))
		case plan.Reuse, plan.Unchanged:
		}
	}
	var b strings.Builder
	switch {
	case u.DryRun != "":
		fmt.Fprintf(&b, "\nDry run (%s): nothing was written.\n", u.DryRun)
	case gone == 0 && restarted > 0:
		fmt.Fprintf(&b, "\nThe sidecars are gone; nothing else was to undo in namespace %s.\n", Clean(u.Namespace))
	case gone == 0 && len(kept) > 0:
		fmt.Fprintf(&b, "\nNothing was undone in namespace %s.\n", Clean(u.Namespace))
	case gone == 0:
		fmt.Fprintf(&b, "\nNothing to undo in namespace %s.\n", Clean(u.Namespace))
	case len(u.Workloads) > 0:
		fmt.Fprintf(&b, "\nNo longer exposed in namespace %s: %s.\n", Clean(u.Namespace), Clean(strings.Join(u.Workloads, ", ")))
	case u.Workload == "":
		fmt.Fprintf(&b, "\nWhat a run that was cut short had left in namespace %s is gone.\n", Clean(u.Namespace))
	default:
		fmt.Fprintf(&b, "\n%s in namespace %s is no longer exposed.\n", Clean(u.Workload), Clean(u.Namespace))
	}
	if len(kept) > 0 {
		fmt.Fprintf(&b, "Kept, as it is not grpcmesh's alone: %s.\n", strings.Join(kept, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Names lists the objects one a line, as kubectl's -o name does.
func (u *Unexpose) Names(w io.Writer) error { return (&Expose{Changes: u.Changes}).Names(w) }
