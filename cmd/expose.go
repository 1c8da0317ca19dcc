package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

type exposeOptions struct {
	IO
	flags  *k8s.Flags
	called called
	again  repeat
	intent manifest.Intent

	files    []string // Intents are read from these,
	all      bool     // or made for every workload of the namespace,
	selector string   // or for those with these labels
	wait     bool
	timeout  time.Duration
	yes      bool
	undo     bool
	adopt    bool
	output   string
	dryRun   string
	diff     bool // only say what would change, and whether anything

	printing sync.Mutex // several exposures report at once
	board    board      // of what is waited for
}

func newExpose(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &exposeOptions{IO: streams, flags: flags}
	c := &cobra.Command{
		Use:   "expose [WORKLOAD]",
		Short: "Put a gRPC workload behind the mesh's ingress gateway",
		Long: `Put a gRPC workload behind the mesh's ingress gateway, and wait until calls come through.

It labels the namespace for sidecar injection, creates the Service, the Gateway and the
VirtualService, restarts the workload's pods if they lack the sidecar, and waits until every
replica of the gateway leads calls to them. What is as it should be is left alone, so a run
that was cut short is completed by running it again.`,
		Example: `  # The only workload of a namespace, on any host name
  grpcmesh expose --namespace test

  # One of several, under a host name of its own
  grpcmesh expose deployment/server -n test --host greeter.example.com

  # Only one gRPC service of it, so that others can share the host
  grpcmesh expose server -n test --match-service helloworld.Greeter

  # Several, each under its own host name, as a file says
  grpcmesh expose -f exposures.yaml

  # Whatever speaks gRPC in a namespace
  grpcmesh expose -n test --all --host '{workload}.example.com'

  # By TLS, with the certificate in a Secret of the gateway's namespace
  grpcmesh expose server -n test --host greeter.example.com --tls-secret greeter-cert

  # See what would be done, by a dry run on the server
  grpcmesh expose -n test --dry-run=server

  # Print the objects without asking any cluster
  grpcmesh expose server -n test --target-port 50051 --pod-labels app=server \
      --gateway-selector istio=ingressgateway --dry-run=client -o yaml`,
		Args: oneWorkload,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.take(c, args); err != nil {
				return err
			}
			return o.run(c.Context())
		},
	}
	fs := c.Flags()
	o.intentFlags(fs)
	fs.BoolVar(&o.wait, "wait", true, "Wait until calls come through.")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait in all.")
	adoptFlag(fs, o)
	fs.BoolVar(&o.undo, "undo-on-failure", false, "If the pods don't come up, take back what this run did: its exposure, or the new settings of one that was there, its label and its restart.")
	fs.BoolVarP(&o.yes, "yes", "y", false, "Go on where a question would be asked.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: text, json, yaml or name.")
	fs.StringVar(&o.dryRun, "dry-run", "none", "none, client (asks no cluster) or server (the server checks, persists nothing).")
	return c
}

// intentFlags are the flags that say what is to be exposed, and how.
func (o *exposeOptions) intentFlags(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "Read what to expose from a `FILE` (docs/exposure.schema.json; '-' is stdin).")
	fs.BoolVar(&o.all, "all", false, "Expose every workload of the namespace that speaks gRPC.")
	fs.StringVarP(&o.selector, "selector", "l", "", "Expose every workload of the namespace with these labels that speaks gRPC.")
	fs.IntVar(&o.intent.Port, "port", manifest.DefaultPort, "Port of the Service to create.")
	fs.IntVar(&o.intent.TargetPort, "target-port", 0, "Port that the app listens on. 0: as declared, or found by asking a pod.")
	fs.StringVar(&o.intent.Host, "host", "*", "Host name that the route serves; '*' is any. {workload} and {namespace} are filled in.")
	o.routeFlags(fs)
	fs.StringVar(&o.intent.Gateway, "gateway", "", "Bind the route to this Gateway, [NAMESPACE/]NAME, as it is. (default one that already serves the host, else grpc of the namespace, which is made)")
	fs.IntVar(&o.intent.GatewayPort, "gateway-port", 0, "Port of the gateway. 0: the Service's port if the gateway opens it, else 80; by TLS 443, else the Service's.")
	fs.StringToStringVar(&o.intent.GatewaySelector, "gateway-selector", nil, "Labels of the gateway's pods, where there are several gateways (key=value,...).")
	fs.StringVar(&o.intent.TLSSecret, "tls-secret", "", "Serve by TLS, with the certificate of this Secret in the namespace of the gateway's pods. On port 443, unless --gateway-port says otherwise.")
	fs.StringVar(&o.intent.TLSMode, "tls-mode", "", "simple, or mutual: clients must show a certificate of the CA that the Secret has as ca.crt, or a second one named NAME-cacert. (default simple)")
	fs.StringVar(&o.intent.Inject, "inject", manifest.InjectNamespace, "How the pods get their sidecar: by the 'namespace''s label, by their own ('pod'), or not at all ('none').")
	fs.StringVar(&o.intent.Revision, "revision", "", "Revision of the mesh, where several are live.")
	fs.StringToStringVar(&o.intent.PodLabels, "pod-labels", nil, "Labels of the workload's pods; only needed where no cluster is asked (render, --dry-run=client).")
}

func (o *exposeOptions) validate() error {
	if err := cmp.Or(chosen("--output", o.output, outputs("expose")), chosen("--dry-run", o.dryRun, dryRuns("expose"))); err != nil {
		return err
	}
	if len(o.intent.PodLabels) > 0 && o.dryRun != "client" {
		return usageError{errors.New("--pod-labels is only where no cluster is asked (render, --dry-run=client): here the workload's own are read")}
	}
	if o.undo && !o.wait {
		return usageError{errors.New("--undo-on-failure and --wait=false don't go together: whether the pods come up is seen by waiting")}
	}
	if o.timeout <= 0 {
		return &manifest.InvalidError{Field: "--timeout", Value: o.timeout.String(), Reason: "must be more than 0"}
	}
	return notPassedBy("--namespace", o.flags.Namespace())
}

// notPassedBy refuses a namespace in which no pod ever gets a sidecar.
func notPassedBy(field, namespace string) error {
	if istio.PassedBy(namespace) {
		return fmt.Errorf("%s: %w", finding.Excluded, &manifest.InvalidError{Field: field, Value: namespace,
			Reason: "Istio's injector passes this namespace by whatever its labels, so no pod in it gets a sidecar; run the gRPC server in a namespace of its own"})
	}
	return nil
}

// run is the whole way: intents, world, plans, apply, restart, wait, report.
// Everything is found out and dry-run before the first write.
func (o *exposeOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.intent.Namespace = o.flags.Namespace()
	intents, err := o.given()
	if err != nil {
		return err
	}
	if o.dryRun == "client" {
		return o.render(intents)
	}
	if len(intents) > 1 && os.Getenv("GOGC") == "" { // a large batch leaves much garbage, and ends soon
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(256 << 20) // from there on it is collected as it comes
	}
	cluster, mesh, err := connect(o.flags)
	if err != nil {
		return err
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()

	xs, err := o.resolve(ctx, cluster, mesh, intents)
	if err != nil {
		return outOfTime(ctx, err, o.timeout)
	}
	if err := xs.settlePlan(ctx, xs.plan); err != nil {
		return outOfTime(ctx, o.unwritten(xs, err), o.timeout)
	}
	asked := false
	for _, x := range xs {
		if err := o.consent(ctx, x); err != nil {
			return err
		}
		asked = asked || o.asks(x)
	}
	if asked { // and who knows how long ago
		if err := xs.settlePlan(ctx, xs.replan); err != nil {
			return outOfTime(ctx, err, o.timeout)
		}
	}
	if o.dryRun == "server" {
		return o.foresee(xs)
	}
	xs.sweep(ctx)
	if err := xs.carryOut(ctx); err != nil {
		return o.cutShort(ctx, xs, errors.Join(err, xs.takeBack(whole)))
	}
	return o.print(xs)
}

// foresee tells what would be done.
func (o *exposeOptions) foresee(xs batch) error {
	writes := 0
	for _, x := range xs {
		for _, c := range x.planned.Changes {
			x.change(c)
		}
		writes += x.planned.Writes()
	}
	if !o.diff || o.output != "text" {
		if err := o.print(xs); err != nil {
			return err
		}
	}
	if o.diff && writes > 0 {
		return verdictError{exitDiffers}
	}
	return nil
}

// cutShort says what had been done when the run failed.
func (o *exposeOptions) cutShort(ctx context.Context, xs batch, err error) error {
	err = outOfTime(ctx, err, o.timeout)
	if o.output == "text" || !slices.ContainsFunc(xs, func(x *exposer) bool { return len(x.doc.Changes) > 0 }) {
		return err
	}
	return errors.Join(err, o.print(xs))
}

// many says whether the run was asked for several exposures, however many they
// came to.
func (o *exposeOptions) many() bool { return len(o.files) > 0 || o.all || o.selector != "" }

func (o *exposeOptions) print(xs batch) error {
	list := xs.document()
	var doc any = xs[0].doc
	if o.many() {
		doc = list
	}
	return printedAll(o.Out, o.output, doc, list.Items)
}

// say prints a word on what is being found out or waited for.
func (o *exposeOptions) say(format string, args ...any) {
	o.board.print(o.Err, func() { _, _ = fmt.Fprintln(o.Err, report.CleanLines(fmt.Sprintf(format, args...))) })
}

// asks says whether there is anything to ask about.
func (o *exposeOptions) asks(x *exposer) bool {
	return len(x.risks()) > 0 && !o.yes && o.dryRun == "none"
}

// consent asks before a restart that would hurt the service. Where no one can
// answer, --yes must have.
func (o *exposeOptions) consent(ctx context.Context, x *exposer) error {
	if !o.asks(x) {
		return nil
	}
	return confirm(ctx, o.IO, x.workload, x.risks(), o.timeout)
}

// connect makes the clients of the cluster and its mesh that the flags name; it
// opens no connection.
func connect(flags *k8s.Flags) (*k8s.Cluster, *istio.Mesh, error) {
	cluster, err := flags.Connect(userAgent())
	if err != nil {
		return nil, nil, err
	}
	mesh, err := istio.New(cluster.Config, cluster.Core)
	return cluster, mesh, err
}

// appliersOf are the Appliers of all the kinds that grpcmesh writes.
func appliersOf(cluster *k8s.Cluster, mesh *istio.Mesh) k8s.Appliers {
	return k8s.Appliers{"Namespace": cluster, "Service": cluster, "Gateway": mesh, "VirtualService": mesh, "DestinationRule": mesh,
		"Deployment": cluster, "StatefulSet": cluster, "DaemonSet": cluster}
}

func userAgent() string { return "grpcmesh/" + strings.ReplaceAll(version(), " ", "+") }
