package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	files    []string // what they ask to be exposed is to go,
	all      bool     // or all that is exposed in the namespace
	restart  bool
	timeout  time.Duration
	output   string
	dryRun   string
	yes      bool

	printing sync.Mutex // several restarts report at once
	board    board      // of what is waited for
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

  # Whatever a file exposes; whatever is exposed in a namespace
  grpcmesh unexpose -f exposures.yaml
  grpcmesh unexpose -n test --all

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
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "Undo what a `FILE` asks to be exposed ('-' is stdin).")
	fs.BoolVar(&o.all, "all", false, "Undo every exposure of the namespace.")
	fs.BoolVar(&o.restart, "restart", false, "Restart the workload's pods if they then no longer get a sidecar.")
	fs.BoolVarP(&o.yes, "yes", "y", false, "Go on where a question would be asked.")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "How long to wait in all.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: text, json, yaml or name.")
	fs.StringVar(&o.dryRun, "dry-run", "none", "none or server (the server checks, persists nothing).")
	return c
}

// many says whether the run was asked for several exposures, however many they
// come to.
func (o *unexposeOptions) many() bool { return o.all || len(o.files) > 0 }

func (o *unexposeOptions) validate() error {
	if err := cmp.Or(chosen("--output", o.output, outputs("unexpose")), chosen("--dry-run", o.dryRun, dryRuns("unexpose"))); err != nil {
		return err
	}
	if o.timeout <= 0 {
		return &manifest.InvalidError{Field: "--timeout", Value: o.timeout.String(), Reason: "must be more than 0"}
	}
	switch {
	case o.all && len(o.files) > 0:
		return usageError{errors.New("--all and --filename don't go together: it is all of a namespace, or what a file says")}
	case o.many() && o.workload != "":
		return usageError{errors.New("WORKLOAD goes with neither --all nor --filename: name one workload, or several")}
	}
	return manifest.Intent{Namespace: o.flags.Namespace(), Workload: o.workload, Port: manifest.DefaultPort, Host: "*"}.Validate()
}

// run is the whole way: what is there, plan, carry out, report. Nothing is
// written before all of it is planned.
func (o *unexposeOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	us, err := o.undoers()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	each := func(do func(*undoer) error) error {
		var errs []error
		for _, u := range us {
			if err := do(u); err != nil {
				err = outOfTime(ctx, err, o.timeout)
				u.doc.Error = err.Error()
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	err = each(func(u *undoer) error { return u.foresee(ctx) })
	if err == nil && o.dryRun == "none" {
		err = each(func(u *undoer) error { return u.carryOut(ctx) })
	} else if err == nil {
		err = each(func(u *undoer) error { return u.stays })
	}
	if err != nil && o.output == "text" {
		return err
	}
	return errors.Join(err, o.print(us))
}

// undoers are one for each namespace, in the order of the files.
func (o *unexposeOptions) undoers() ([]*undoer, error) {
	intents := []manifest.Intent{{Namespace: o.flags.Namespace(), Workload: o.workload}}
	if len(o.files) > 0 {
		var err error
		files := &exposeOptions{IO: o.IO, files: o.files, intent: manifest.Intent{Namespace: o.flags.Namespace()}}
		if intents, err = files.given(); err != nil {
			return nil, err
		}
	}
	cluster, mesh, err := connect(o.flags)
	if err != nil {
		return nil, err
	}
	var us []*undoer
	for _, intent := range intents {
		i := slices.IndexFunc(us, func(u *undoer) bool { return u.namespace == intent.Namespace })
		if i < 0 {
			u := &undoer{o: o, cluster: cluster, mesh: mesh, namespace: intent.Namespace, all: o.all, appliers: appliersOf(cluster, mesh)}
			u.doc = &report.Unexpose{APIVersion: report.APIVersion, Kind: "UnexposeReport", Namespace: u.namespace, Changes: []report.Change{}}
			if o.dryRun != "none" {
				u.doc.DryRun = o.dryRun
			}
			us, i = append(us, u), len(us)
		}
		if intent.Workload != "" {
			us[i].named = append(us[i].named, intent.Workload)
		}
	}
	return us, nil
}

func (o *unexposeOptions) print(us []*undoer) error {
	list := &report.UnexposeList{APIVersion: report.APIVersion, Kind: "UnexposeReportList"}
	for _, u := range us {
		list.Items = append(list.Items, u.doc)
	}
	var doc any = us[0].doc
	if o.many() {
		doc = list
	}
	return printedAll(o.Out, o.output, doc, list.Items)
}

// say prints a word on what is being found out or waited for.
func (o *unexposeOptions) say(format string, args ...any) {
	o.board.print(o.Err, func() { _, _ = fmt.Fprintln(o.Err, report.CleanLines(fmt.Sprintf(format, args...))) })
}
