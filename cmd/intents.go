package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// take reads the command line.
func (o *exposeOptions) take(c *cobra.Command, args []string) error {
	o.called, o.again = calledAs(c), o.givenAs(c)
	if len(args) == 1 {
		o.intent.Workload = args[0]
	}
	return o.oneSource(c)
}

// oneSource refuses Intents from two places: what a file says, flags do not say
// as well, and of --all and a workload's name one is meant.
func (o *exposeOptions) oneSource(c *cobra.Command) error {
	beside := func(with string, names ...string) error {
		for _, name := range names {
			if c.Flags().Changed(name) {
				return usageError{fmt.Errorf("--%s and %s don't go together: say it in one place", name, with)}
			}
		}
		if o.intent.Workload != "" {
			return usageError{fmt.Errorf("WORKLOAD and %s don't go together: name one workload, or several", with)}
		}
		return nil
	}
	switch {
	case len(o.files) > 0:
		return beside("--filename", append([]string{"all", "selector", "port", "target-port", "host", "gateway", "gateway-port", "gateway-selector", "tls-secret", "tls-mode", "inject", "revision", "pod-labels"}, routeFlagNames()...)...)
	case o.all:
		return beside("--all", "selector")
	case o.selector != "":
		return beside("--selector")
	}
	return nil
}

// given are the Intents that the command line and its files hold. With --all
// and --selector it is one, for every workload.
func (o *exposeOptions) given() ([]manifest.Intent, error) {
	if len(o.files) == 0 {
		if _, err := labels.Parse(o.selector); err != nil {
			return nil, &manifest.InvalidError{Field: "--selector", Value: o.selector, Reason: err.Error()}
		}
		return []manifest.Intent{o.intent}, o.intent.Validate()
	}
	if slices.Index(o.files, "-") != len(o.files)-1 && slices.Contains(o.files, "-") {
		return nil, usageError{errors.New("stdin can be read once, and last: -f -")}
	}
	var all []manifest.Intent
	for _, file := range o.files {
		intents, err := o.read(file)
		if err != nil {
			return nil, err
		}
		all = append(all, intents...)
	}
	var passed []error
	for _, i := range all {
		passed = append(passed, notPassedBy(i.Workload+": namespace", i.Namespace))
	}
	return all, errors.Join(append(passed, manifest.Distinct(all))...)
}

func (o *exposeOptions) read(file string) ([]manifest.Intent, error) {
	if file == "-" {
		return manifest.Read(o.In, "stdin", o.intent.Namespace)
	}
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s: it is a folder; name a file", file)
	}
	return manifest.Read(io.Reader(f), file, o.intent.Namespace)
}

// expand makes an Intent of --all or --selector into one for each workload.
func (o *exposeOptions) expand(ctx context.Context, cluster *k8s.Cluster, intents []manifest.Intent) ([]manifest.Intent, error) {
	if !o.all && o.selector == "" {
		return intents, nil
	}
	selector, err := labels.Parse(o.selector)
	if err != nil {
		return nil, err
	}
	workloads, err := cluster.Workloads(ctx, o.intent.Namespace)
	if err != nil {
		return nil, err
	}
	var all []manifest.Intent
	for _, w := range workloads {
		if selector.Matches(labels.Set(w.Labels)) {
			one := intents[0]
			one.Workload = w.Arg()
			all = append(all, one)
		}
	}
	if len(all) > 1 && !strings.Contains(o.intent.Host, "{workload}") && o.intent.MatchService != manifest.AutoServices {
		return nil, usageError{fmt.Errorf("%d workloads can't all have host %q: give each one of its own (--host '{workload}.example.com'), or its own gRPC services (--match-service auto)", len(all), o.intent.Host)}
	}
	if len(all) == 0 {
		what := "no Deployment, StatefulSet or DaemonSet in namespace " + o.intent.Namespace
		if o.selector != "" {
			what += " has the labels " + o.selector
		}
		return nil, &manifest.TargetError{What: what, Hint: "See what there is: " + o.called.kubectl("-n", o.intent.Namespace, "get", "deployments,statefulsets,daemonsets", "--show-labels")}
	}
	return all, nil
}

// oneWorkload takes one argument. "deploy one", as kubectl has it, is one too
// many: it is told how to write it here.
func oneWorkload(c *cobra.Command, args []string) error {
	if len(args) == 2 {
		if kind, _, err := manifest.ParseWorkload(args[0] + "/" + args[1]); err == nil && kind != "" {
			return fmt.Errorf("one workload is one word: write %s/%s", args[0], args[1])
		}
	}
	return cobra.MaximumNArgs(1)(c, args)
}
