// Package report turns the outcome of a run into one versioned document, and
// renders it. It decides nothing.
package report

import (
	"fmt"
	"io"
	"strings"

	"grpcmesh/internal/plan"
)

// APIVersion is of every document; a field is never renamed or removed within
// one version.
const APIVersion = "grpcmesh.dev/v1alpha1"

// Expose is what a run of expose found and did.
type Expose struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"` // ExposeReport
	DryRun     string     `json:"dryRun,omitempty"`
	Namespace  string     `json:"namespace"`
	Workload   string     `json:"workload"` // Kind/name
	TargetPort int        `json:"targetPort"`
	PortFrom   string     `json:"targetPortFrom"` // how the port is known
	Injection  Injection  `json:"injection"`
	Gateway    GatewayRef `json:"gateway"`
	Changes    []Change   `json:"changes"`
	Live       *Live      `json:"live,omitempty"`
	Host       string     `json:"host"`
	Addresses  []string   `json:"addresses,omitempty"` // host:port
	Verify     string     `json:"verify,omitempty"`    // the command to run next
	Warnings   []string   `json:"warnings,omitempty"`
}

// Injection is how the workload's pods get their sidecar.
type Injection struct {
	Label     string   `json:"label"`
	Rehearsed bool     `json:"rehearsed"`
	Touches   []string `json:"touches,omitempty"` // other workloads that the label will reach at their next restart
}

// GatewayRef is the ingress gateway in use.
type GatewayRef struct {
	Service  string `json:"service"` // namespace/name
	Port     int    `json:"port"`
	Replicas int    `json:"replicas"`
}

// Change is one line of the plan, done or to be done.
type Change struct {
	Action    plan.Action  `json:"action"`
	Kind      string       `json:"kind"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	Reason    string       `json:"reason,omitempty"`
	Diff      []plan.Field `json:"diff,omitempty"`
}

// Live says how the exposure was seen to work.
type Live struct {
	Replicas int     `json:"gatewayReplicas"`
	Calls    int     `json:"callsInARow"` // good ones, to each replica
	Seconds  float64 `json:"seconds"`     // from the last write until the first of them
}

// ChangeOf makes a report's line of a plan's change.
func ChangeOf(c plan.Change) Change {
	return Change{Action: c.Action, Kind: c.ID.Kind, Namespace: c.ID.Namespace, Name: c.ID.Name, Reason: c.Reason, Diff: c.Diff}
}

// Line is the change as one line of text; the field by field difference, where
// there is one, follows on lines of its own.
func (c Change) Line(dryRun string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s%s/%s", c.Action, c.Kind, c.Name)
	if c.Reason != "" {
		b.WriteString("  (" + Clean(c.Reason) + ")")
	}
	if dryRun != "" {
		b.WriteString("  (dry run: " + dryRun + ")")
	}
	for _, f := range c.Diff {
		fmt.Fprintf(&b, "\n            %s: %s -> %s", Clean(f.Path), orNothing(f.From), orNothing(f.To))
	}
	return b.String()
}

func orNothing(s string) string {
	if s == "" {
		return "(none)"
	}
	return Clean(s)
}

// Tail is what the text output ends with, after the changes: where the service
// is, and what to run next.
func (e *Expose) Tail(w io.Writer) error {
	var b strings.Builder
	wrote := 0
	for _, c := range e.Changes {
		if c.Action == plan.Create || c.Action == plan.Update || c.Action == plan.Restart {
			wrote++
		}
	}
	if e.DryRun != "" {
		fmt.Fprintf(&b, "\nDry run (%s): nothing was written.\n", e.DryRun)
		_, err := io.WriteString(w, b.String())
		return err
	}
	if wrote == 0 {
		b.WriteString("\nNothing to change: everything is as asked for already.\n")
	}
	host := ""
	if e.Host != "*" {
		host = ", host " + e.Host
	}
	where := Clean(strings.Join(e.Addresses, " and "))
	if where == "" {
		where = "no address yet"
	}
	fmt.Fprintf(&b, "\n%s is exposed at %s%s\n", e.Workload, where, host)
	if e.Verify != "" {
		fmt.Fprintf(&b, "\nNext, prove that its calls are balanced:\n  %s\n", Clean(e.Verify))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Names lists the objects one a line, as kubectl's -o name does.
func (e *Expose) Names(w io.Writer) error {
	for _, c := range e.Changes {
		if c.Action == plan.Restart {
			continue // listed once, as what it is
		}
		if _, err := fmt.Fprintf(w, "%s/%s\n", resource(c.Kind), c.Name); err != nil {
			return err
		}
	}
	return nil
}

func resource(kind string) string {
	switch kind {
	case "Gateway", "VirtualService":
		return strings.ToLower(kind) + ".networking.istio.io"
	case "Deployment", "StatefulSet", "DaemonSet":
		return strings.ToLower(kind) + ".apps"
	}
	return strings.ToLower(kind)
}
