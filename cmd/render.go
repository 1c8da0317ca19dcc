package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// render is expose's --dry-run=client: the objects of an Intent that leaves
// nothing to find out, without a connection to anything. What is left open is
// a usage error that names it.
func (o *exposeOptions) render() error {
	o.intent.Namespace = o.flags.Namespace()
	if err := o.intent.Validate(); err != nil {
		return err
	}
	var missing []string
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	need(o.intent.Workload != "", "WORKLOAD")
	need(o.intent.TargetPort != 0, "--target-port")
	need(len(o.podLabels) > 0, "--pod-labels")
	need(len(o.intent.GatewaySelector) > 0, "--gateway-selector")
	if len(missing) > 0 {
		return usageError{fmt.Errorf("--dry-run=client asks no cluster, so it must be told: %s", strings.Join(missing, ", "))}
	}
	if err := manifest.ValidLabels("--pod-labels", o.podLabels); err != nil {
		return err
	}
	kind, name, err := manifest.ParseWorkload(o.intent.Workload)
	if err != nil {
		return err
	}
	if kind == "" {
		kind = "Deployment"
	}
	port := o.intent.GatewayPort
	if port == 0 {
		port = o.intent.Port
	}
	if why := (istio.IngressPort{Port: port}).CannotServe(); why != "" {
		return &manifest.InvalidError{Field: "--gateway-port", Value: strconv.Itoa(port), Reason: "can't be the gateway's: " + why}
	}
	e := manifest.Exposure{
		Namespace: o.intent.Namespace, WorkloadKind: kind, WorkloadName: name,
		Selector: o.podLabels, Port: o.intent.Port, TargetPort: o.intent.TargetPort,
		GatewaySelector: o.intent.GatewaySelector,
		GatewayPort:     port,
		Servers:         manifest.MergeServers(nil, port, o.intent.Host),
		Host:            o.intent.Host, MatchService: o.intent.MatchService,
	}
	if err := e.Validate(); err != nil {
		return err
	}
	// Which label injects depends on the cluster's mesh: the wrong one would keep
	// sidecars away, so none is guessed.
	if rev := o.intent.Revision; rev != "" {
		e.InjectLabel = map[string]string{"istio.io/rev": rev}
	} else {
		o.say("note: the namespace's label for injection is not among these objects, as it depends on the mesh.\n"+
			"With --revision REV it is: istio.io/rev=REV. Else, for Istio's default: kubectl label namespace %s istio-injection=enabled", e.Namespace)
	}
	switch o.output {
	case "json", "yaml":
		var objects []any
		for _, obj := range e.Objects() {
			objects = append(objects, obj.Apply)
		}
		if o.output == "json" {
			return report.JSON(o.Out, map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
		}
		return report.YAMLStream(o.Out, objects)
	}
	doc := &report.Expose{DryRun: "client", Host: o.intent.Host, Workload: kind + "/" + name}
	for _, obj := range e.Objects() {
		c := report.ChangeOf(plan.Change{ID: obj.ID, Action: plan.Create})
		if obj.Kind == "Namespace" { // it is there already, with the workload in it
			c = report.ChangeOf(plan.Change{ID: obj.ID, Action: plan.Update, Reason: "label istio.io/rev=" + o.intent.Revision})
		}
		doc.Changes = append(doc.Changes, c)
		if o.output == "text" {
			if _, err := fmt.Fprintln(o.Out, c.Line("client")); err != nil {
				return err
			}
		}
	}
	return o.print(doc)
}
