package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Status is what a run of status found.
type Status struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`                // StatusReport
	Namespace  string     `json:"namespace,omitempty"` // empty: all of them
	Exposures  []Exposure `json:"exposures"`
}

// Exposure is one VirtualService that leads calls from a gateway to a Service.
type Exposure struct {
	Namespace      string   `json:"namespace"`
	VirtualService string   `json:"virtualService"`
	ManagedBy      string   `json:"managedBy,omitempty"` // "grpcmesh", or what else its label says
	Adopted        bool     `json:"adopted,omitempty"`   // someone else made it; unexpose gives it back
	Injection      string   `json:"injection,omitempty"` // namespace, pod or none, as expose was told; empty: grpcmesh did not make it
	Hosts          []string `json:"hosts"`
	Paths          []string `json:"paths,omitempty"`   // what its rules ask of a call's path; empty: nothing
	Routing        []string `json:"routing,omitempty"` // what its rules say beyond paths: headers, timeout, retries, subsets, and how grpcmesh has the gateway choose a pod
	Services       []string `json:"services"`          // where its rules lead
	Workloads      []string `json:"workloads"`         // Kind/name of those whose pods the Services select; of another namespace, that before it
	Gateways       []string `json:"gateways"`          // namespace/name of the gateways' Services
	Uses           []string `json:"uses,omitempty"`    // what expose found there and used as it is, of an exposure that grpcmesh made: Kind/namespace/name
	Addresses      []string `json:"addresses"`         // host:port, by TLS https://host:port
	Pods           int      `json:"pods"`
	Ready          int      `json:"ready"`
	Sidecars       int      `json:"sidecars"`
	Problems       []string `json:"problems"`
}

// Table writes the exposures one a line, with more columns if wide, and their
// problems below.
func (s *Status) Table(w io.Writer, wide bool) error {
	tw := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			if cells[i] = Clean(c); c == "" {
				cells[i] = "<none>"
			}
		}
		_, _ = fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	head := []string{"WORKLOAD", "HOSTS", "ADDRESS", "PODS", "SIDECARS", "MANAGED BY"}
	if wide {
		head = append(head, "VIRTUALSERVICE", "SERVICE", "GATEWAY", "PATHS", "ROUTING", "INJECTION", "USES")
	}
	if s.Namespace == "" {
		head = append([]string{"NAMESPACE"}, head...)
	}
	row(head...)
	list := func(all []string) string { return strings.Join(all, ",") }
	for _, e := range s.Exposures {
		by := e.ManagedBy
		if e.Adopted {
			by += " (adopted)"
		}
		cells := []string{list(e.Workloads), list(e.Hosts), list(e.Addresses), fmt.Sprintf("%d/%d", e.Ready, e.Pods), fmt.Sprintf("%d/%d", e.Sidecars, e.Pods), by}
		if wide {
			cells = append(cells, e.VirtualService, list(e.Services), list(e.Gateways), list(e.Paths), list(e.Routing), e.Injection, list(e.Uses))
		}
		if s.Namespace == "" {
			cells = append([]string{e.Namespace}, cells...)
		}
		row(cells...)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	lead := "\n"
	for _, e := range s.Exposures {
		for _, p := range e.Problems {
			if _, err := fmt.Fprintf(w, "%sVirtualService %s/%s: %s\n", lead, Clean(e.Namespace), Clean(e.VirtualService), Clean(p)); err != nil {
				return err
			}
			lead = ""
		}
	}
	return nil
}

// Names lists the VirtualServices one a line, as kubectl's -o name does.
func (s *Status) Names(w io.Writer) error {
	for _, e := range s.Exposures {
		if _, err := fmt.Fprintf(w, "%s/%s\n", resource("VirtualService"), Clean(e.VirtualService)); err != nil {
			return err
		}
	}
	return nil
}
