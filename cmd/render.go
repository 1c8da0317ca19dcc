package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// render is expose's --dry-run=client: the objects of Intents that leave
// nothing to find out, without a connection to anything. What is left open is
// a usage error that names it.
func (o *exposeOptions) render(intents []manifest.Intent) error {
	if o.all || o.selector != "" {
		return usageError{errors.New("no cluster is asked here, so it can't know the workloads: name them; or ask one by grpcmesh diff")}
	}
	var all []manifest.Exposure
	var unlabelled []string
	servers := map[string][]manifest.Server{} // by namespace: its exposures share a Gateway
	for _, intent := range intents {
		e, err := o.complete(intent)
		if err != nil {
			return err
		}
		if e.UseGateway == "" {
			servers[e.Namespace] = manifest.MergeServers(servers[e.Namespace], e.GatewayPort, e.TLS, e.Host)
		} else {
			o.say("note: Gateway %s is used as it is; whether it listens on port %d for host %s is for the cluster to say (grpcmesh diff)", e.UseGateway, e.GatewayPort, e.Host)
		}
		if i := intent.Inject; i != manifest.InjectNone && i != manifest.InjectPod && intent.Revision == "" && !slices.Contains(unlabelled, e.Namespace) {
			unlabelled = append(unlabelled, e.Namespace)
		}
		all = append(all, e)
	}
	o.tellUnlabelled(unlabelled)
	for ns, all := range servers {
		if port := manifest.Mixed(all); port != 0 {
			return usageError{fmt.Errorf("namespace %s: port %d of the gateway can't speak both TLS and plaintext; give one of the exposures another --gateway-port", ns, port)}
		}
		if host := manifest.TwoCertificates(all); host != "" {
			return usageError{fmt.Errorf("namespace %s: host %s has one TLS server on a port of the gateway; give its exposures the same --tls-secret and --tls-mode", ns, host)}
		}
	}
	var objects []manifest.Object
	seen := map[manifest.ID]bool{}
	for _, e := range all {
		e.Servers = servers[e.Namespace]
		for _, obj := range e.Objects() {
			if !seen[obj.ID] {
				objects = append(objects, obj)
			}
			seen[obj.ID] = true
		}
	}
	return o.printObjects(objects, all)
}

// tellUnlabelled says, once, what the objects lack for pods to get a sidecar.
func (o *exposeOptions) tellUnlabelled(namespaces []string) {
	if len(namespaces) == 0 {
		return
	}
	whose, with := "namespace's label", "--revision REV"
	if len(namespaces) > 1 {
		whose = "namespaces' label"
	}
	if len(o.files) > 0 {
		with = inFile(with)
	}
	o.say("note: the %s for injection is not among these objects, as it depends on the mesh.\n"+
		"With %s it is: istio.io/rev=REV. Else, for Istio's default: kubectl label namespace %s istio-injection=enabled", whose, with, strings.Join(namespaces, " "))
}

// complete makes an Exposure of an Intent that leaves nothing open.
func (o *exposeOptions) complete(i manifest.Intent) (manifest.Exposure, error) {
	var missing []string
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	need(i.Workload != "", "WORKLOAD")
	need(i.TargetPort != 0, "--target-port")
	need(len(i.PodLabels) > 0, "--pod-labels")
	need(len(i.GatewaySelector) > 0 || i.UsesGateway() != "", "--gateway-selector")
	need(i.MatchService != manifest.AutoServices, "--match-service")
	if len(missing) > 0 {
		what := "it must be told"
		if o.many() {
			what = i.Namespace + "/" + i.Workload + " must say"
			for n, m := range missing {
				missing[n] = manifest.FieldOf(m)
			}
		}
		return manifest.Exposure{}, usageError{fmt.Errorf("no cluster is asked here, so %s: %s", what, strings.Join(missing, ", "))}
	}
	kind, name, err := manifest.ParseWorkload(i.Workload)
	if err != nil {
		return manifest.Exposure{}, err
	}
	if kind == "" {
		kind = "Deployment"
	}
	port := i.GatewayPort
	if port == 0 {
		port = i.Port
	}
	if i.GatewayPort == 0 && i.TLS().On() {
		port = manifest.TLSPort
	}
	if why := (istio.IngressPort{Port: port, Secured: i.TLS().On()}).CannotServe(); why != "" {
		return manifest.Exposure{}, &manifest.InvalidError{Field: "--gateway-port", Value: strconv.Itoa(port), Reason: "can't be the gateway's: " + why}
	}
	i.Host = manifest.HostFor(i.Host, name, i.Namespace)
	e := manifest.Exposure{
		Namespace: i.Namespace, WorkloadKind: kind, WorkloadName: name,
		Selector: i.PodLabels, Port: i.Port, TargetPort: i.TargetPort,
		UseGateway: i.UsesGateway(), GatewaySelector: i.GatewaySelector, GatewayPort: port, TLS: i.TLS(),
		Host: i.Host, MatchServices: i.Services(), Route: i.Route, Inject: i.Inject,
	}
	if e.Subsets, err = i.Route.Split(i.PodLabels); err != nil {
		return e, err
	}
	e.Selector = i.Route.Shared(i.PodLabels)
	// Which label injects depends on the cluster's mesh: the wrong one would keep
	// sidecars away, so none is guessed.
	switch {
	case i.Inject == manifest.InjectNone:
	case i.Inject == manifest.InjectPod:
		// A part of a workload is none for kubectl to apply: it takes over the
		// fields that it had applied before, and drops what it is not shown.
		label := "sidecar.istio.io/inject: \"true\""
		if i.Revision != "" {
			label = "istio.io/rev: " + i.Revision
		}
		o.say("note: the label of the pods is not among these objects. Give it to the pod template of %s/%s where that is kept: %s", kind, name, label)
	case i.Revision != "":
		e.InjectLabel = map[string]string{"istio.io/rev": i.Revision}
	}
	if err := i.Validate(); err != nil {
		return e, err
	}
	return e, e.Validate()
}

func (o *exposeOptions) printObjects(objs []manifest.Object, all []manifest.Exposure) error {
	switch o.output {
	case "json", "yaml":
		var objects []any
		for _, obj := range objs {
			objects = append(objects, obj.Apply)
		}
		if o.output == "json" {
			return report.JSON(o.Out, map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
		}
		return report.YAMLStream(o.Out, objects)
	}
	doc := &report.Expose{DryRun: "client", Host: all[0].Host, Workload: all[0].WorkloadKind + "/" + all[0].WorkloadName}
	for _, obj := range objs {
		c := report.ChangeOf(plan.Change{ID: obj.ID, Action: plan.Create})
		if obj.Kind == "Namespace" { // it is there already, with the workload in it
			c = report.ChangeOf(plan.Change{ID: obj.ID, Action: plan.Update, Reason: "label istio.io/rev=" + all[slices.IndexFunc(all, func(e manifest.Exposure) bool {
				return e.Namespace == obj.Name && e.InjectLabel != nil
			})].InjectLabel["istio.io/rev"]})
		}
		doc.Changes = append(doc.Changes, c)
		if o.output == "text" {
			if _, err := fmt.Fprintln(o.Out, c.Line("client")); err != nil {
				return err
			}
		}
	}
	if o.output == "name" {
		return doc.Names(o.Out)
	}
	return doc.Tail(o.Out)
}
