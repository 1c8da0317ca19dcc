// Package report turns the outcome of a run into one versioned document, and
// renders it. It decides nothing.
package report

import (
	"fmt"
	"io"
	"strings"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/plan"
)

// APIVersion is of every document; a field is never renamed or removed within
// one version.
const APIVersion = "grpcmesh.dev/v1alpha1"

// Expose is what a run of expose found and did.
type Expose struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"` // ExposeReport
	DryRun     string            `json:"dryRun,omitempty"`
	Namespace  string            `json:"namespace"`
	Workload   string            `json:"workload"` // Kind/name
	TargetPort int               `json:"targetPort"`
	PortFrom   string            `json:"targetPortFrom"` // how the port is known
	Injection  Injection         `json:"injection"`
	Gateway    GatewayRef        `json:"gateway"`
	Changes    []Change          `json:"changes"`
	Undone     []Change          `json:"undone,omitempty"` // what was taken back, by --undo-on-failure
	Live       *Live             `json:"live,omitempty"`
	Host       string            `json:"host"`
	TLS        *TLS              `json:"tls,omitempty"`       // missing: plaintext
	Addresses  []string          `json:"addresses,omitempty"` // host:port
	Forward    string            `json:"forward,omitempty"`   // without addresses: the command that leads a local port to the gateway
	Verify     string            `json:"verify,omitempty"`    // the command to run next, beside Forward where there is one
	Warnings   []string          `json:"warnings,omitempty"`
	Findings   []finding.Finding `json:"findings,omitempty"` // of the preflight, sorted; the warnings among them are in Warnings too
	Error      string            `json:"error,omitempty"`    // why it was cut short
}

// ExposeList is what a run found and did that was asked for several.
type ExposeList struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"` // ExposeReportList
	Items      []*Expose `json:"items"`
}

// Injection is how the workload's pods get their sidecar.
type Injection struct {
	Mode      string   `json:"mode"`              // namespace, pod or none
	Label     string   `json:"label"`             // what injects; empty: nothing does
	Rehearsed bool     `json:"rehearsed"`         // false also where nothing was to be tried: every pod has its sidecar
	Touches   []string `json:"touches,omitempty"` // other workloads that the label will reach at their next restart
}

// GatewayRef is the ingress gateway in use.
type GatewayRef struct {
	Service  string `json:"service"` // namespace/name
	Type     string `json:"type,omitempty"`
	Port     int    `json:"port"`
	NodePort int    `json:"nodePort,omitempty"` // where it is reached by that for want of an address
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

// TLS is how the gateway's port is secured.
type TLS struct {
	Secret string `json:"secret"` // in the gateway's namespace
	Mode   string `json:"mode"`   // simple or mutual
}

// Live says how the exposure was seen to work.
type Live struct {
	Replicas int     `json:"gatewayReplicas"`
	Calls    int     `json:"callsInARow"` // good ones, to each replica
	Seconds  float64 `json:"seconds"`     // from the last write until the first of them
	// Unproved is what that leaves open, in words; or "".
	Unproved string `json:"unproved,omitempty"`
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
		if (plan.Change{Action: c.Action}).Writes() {
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
	fmt.Fprintf(&b, "\n%s is exposed %s\n", e.Workload, e.where())
	switch {
	case e.Verify == "":
	case e.Forward != "":
		fmt.Fprintf(&b, "\nNext, prove that its calls are balanced. Lead a local port to the gateway:\n  %s\nand meanwhile, in another terminal:\n  %s\n",
			Clean(e.Forward), Clean(e.Verify))
	default:
		fmt.Fprintf(&b, "\nNext, prove that its calls are balanced:\n  %s\n", Clean(e.Verify))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// where is how clients reach the service: by a load balancer's address, else by
// a node's, else not from outside.
func (e *Expose) where() string {
	place := fmt.Sprintf("on port %d of gateway %s", e.Gateway.Port, e.Gateway.Service)
	if len(e.Addresses) > 0 {
		place = "at " + Clean(strings.Join(e.Addresses, " and "))
	}
	if e.Host != "*" {
		place += ", host " + e.Host
	}
	if e.TLS != nil {
		place += ", by " + strings.TrimPrefix(e.TLS.Mode+" TLS", "simple ")
	}
	balanced := e.Gateway.Type == "LoadBalancer"
	switch {
	case e.Gateway.NodePort != 0 && balanced:
		place += "; that is a node's port, as the gateway's load balancer has no address yet"
	case e.Gateway.NodePort != 0:
		place += "; that is a node's port"
	case len(e.Addresses) > 0:
	case balanced:
		place += "; the gateway's load balancer has no address yet"
	default:
		place += "; the gateway has no address outside the cluster"
	}
	return place
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
	case "Gateway", "VirtualService", "DestinationRule":
		return strings.ToLower(kind) + ".networking.istio.io"
	case "Deployment", "StatefulSet", "DaemonSet":
		return strings.ToLower(kind) + ".apps"
	}
	return strings.ToLower(kind)
}
