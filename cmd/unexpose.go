package cmd

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

type unexposeOptions struct {
	IO
	flags  *k8s.Flags
	called called

	workload string
	restart  bool
	timeout  time.Duration
	output   string
	dryRun   string
	yes      bool
	board    board // of what is waited for
}

func newUnexpose(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &unexposeOptions{IO: streams, flags: flags}
	c := &cobra.Command{
		Use:   "unexpose [WORKLOAD]",
		Short: "Take back what expose did",
		Long: `Take back what expose did: the VirtualService, the Service, and of the Gateway what no other
route needs. With the last exposure of a namespace the injection label goes too, if expose set it.

Only what grpcmesh made and still owns is deleted. Pods keep their sidecar until they are
restarted, which is done only with --restart. An exposure whose VirtualService someone else has
written into is kept whole (exit code 5).`,
		Example: `  # The only exposed workload of a namespace
  grpcmesh unexpose --namespace test

  # One of several, and take its sidecars away as well
  grpcmesh unexpose deployment/server -n test --restart

  # See what would be done
  grpcmesh unexpose -n test --dry-run=server`,
		Args: oneWorkload,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.workload = args[0]
			}
			o.called = calledAs(c)
			return o.run(c.Context())
		},
	}
	fs := c.Flags()
	fs.BoolVar(&o.restart, "restart", false, "Restart the workload's pods if they then no longer get a sidecar.")
	fs.BoolVarP(&o.yes, "yes", "y", false, "Go on where a question would be asked.")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "How long to wait in all.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: text, json, yaml or name.")
	fs.StringVar(&o.dryRun, "dry-run", "none", "none or server (the server checks, persists nothing).")
	return c
}

func (o *unexposeOptions) validate() error {
	if err := cmp.Or(chosen("--output", o.output, outputs("unexpose")), chosen("--dry-run", o.dryRun, dryRuns("unexpose"))); err != nil {
		return err
	}
	if o.timeout <= 0 {
		return &manifest.InvalidError{Field: "--timeout", Value: o.timeout.String(), Reason: "must be more than 0"}
	}
	return manifest.Intent{Namespace: o.flags.Namespace(), Workload: o.workload, Port: manifest.DefaultPort, Host: "*"}.Validate()
}

// run is the whole way: what is there, plan, carry out, report.
func (o *unexposeOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	cluster, mesh, err := connect(o.flags)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	u := &undoer{o: o, cluster: cluster, mesh: mesh, namespace: o.flags.Namespace(), appliers: appliersOf(cluster, mesh)}
	u.doc = &report.Unexpose{APIVersion: report.APIVersion, Kind: "UnexposeReport", Namespace: u.namespace, Changes: []report.Change{}}
	if o.dryRun != "none" {
		u.doc.DryRun = o.dryRun
	}
	p, err := u.plan(ctx)
	if err != nil {
		return outOfTime(ctx, err, o.timeout)
	}
	u.tellKept(p)
	if o.dryRun == "server" || u.stays != nil {
		for _, c := range p.Changes {
			u.change(c)
		}
	}
	if u.stays != nil {
		return u.cutShort(ctx, u.stays)
	}
	if o.dryRun == "server" {
		if u.leaving != nil && u.relabel == nil {
			u.change(u.leaving.change())
		}
		return o.print(u.doc)
	}
	sweep(ctx, u.mesh, u.routes, u.namespace, o.say, u.warn)
	if err := k8s.Carry(ctx, u.appliers, p, u.change); err != nil {
		return u.cutShort(ctx, err)
	}
	if err := k8s.WaitGone(ctx, u.appliers, p); err != nil {
		return u.cutShort(ctx, err)
	}
	if err := u.restart(ctx); err != nil {
		return u.cutShort(ctx, err)
	}
	return o.print(u.doc)
}

func (o *unexposeOptions) print(doc *report.Unexpose) error {
	switch o.output {
	case "json":
		return report.JSON(o.Out, doc)
	case "yaml":
		return report.YAML(o.Out, doc)
	case "name":
		return doc.Names(o.Out)
	}
	return doc.Tail(o.Out)
}

// say prints a word on what is being found out or waited for.
func (o *unexposeOptions) say(format string, args ...any) {
	o.board.print(o.Err, func() { _, _ = fmt.Fprintln(o.Err, report.CleanLines(fmt.Sprintf(format, args...))) })
}
