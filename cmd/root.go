// Package cmd is the command line: a file a verb, each a constructor, its
// flags, and a run that reads from top to bottom.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/report"
)

// IO are the streams of a run: data goes to Out, words and progress to Err.
type IO struct {
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	Lent *Lent // what the run owes the cluster by now; may be nil
}

// Execute runs the command line and returns the exit code. It prints the error,
// once, on Err.
func Execute(ctx context.Context, args []string, streams IO) int {
	klog.SetLogger(klog.Logger{}) // none: client-go's own chatter; what matters comes back as an error
	parsed := false
	root := newRoot(streams, &parsed) //nolint:contextcheck // cobra hands the context to each run
	root.SetArgs(args)
	ran, err := root.ExecuteContextC(ctx)
	if err != nil && !parsed {
		err = usageError{err}
	}
	err = ended(ctx, err)
	if err != nil && !errors.As(err, new(verdictError)) {
		_, _ = fmt.Fprintln(streams.Err, "grpcmesh: "+report.CleanLines(explain(ran.Name(), err)))
	}
	return ExitCode(err)
}

// explain is the error of a command with the next step, where one follows from
// its kind.
func explain(verb string, err error) string {
	msg := err.Error()
	switch {
	case errors.As(err, new(usageError)):
		msg += "\nSee 'grpcmesh --help', or 'grpcmesh COMMAND --help'."
	case anyOf(err, apierrors.IsUnauthorized):
		msg += "\nThe API server does not know this user: log in again, or choose another --context or --user."
	case anyOf(err, apierrors.IsForbidden):
		msg += "\nThe API server does not allow this to the user: ask for the permission, or choose another --context or --user."
	case silent(err):
		msg += "\nThe API server gave no answer in time. Is it up, and is its address right? kubectl cluster-info"
	case errors.As(err, new(SignalError)) && (verb == "expose" || verb == "unexpose"): // the others begin nothing
		msg += "; the same command completes what was begun"
	}
	return msg
}

// silent says whether the API server left a call without an answer until its
// time was over.
func silent(err error) bool {
	var call *url.Error
	return errors.As(err, &call) && call.Timeout()
}

func newRoot(streams IO, parsed *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "grpcmesh",
		Short: "Expose gRPC services through a mesh gateway, and prove that requests spread across pods",
		Example: `  # Put the only workload of a namespace behind the mesh's ingress gateway
  grpcmesh expose --namespace test

  # Prove that requests, not just connections, are balanced over its pods
  grpcmesh verify --addr 203.0.113.10:8000`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRun:  func(*cobra.Command, []string) { *parsed = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	connection := pflag.NewFlagSet("connection", pflag.ContinueOnError)
	cluster := k8s.NewFlags(connection)
	cluster.Tell = func(words string) { _, _ = fmt.Fprintln(streams.Err, report.CleanLines("waiting    "+words)) }
	root.PersistentFlags().AddFlagSet(connection)
	// As a kubectl plug-in it is called by both names.
	if strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl grpcmesh"}
	}
	for _, c := range []*cobra.Command{newExpose(streams, cluster), newDiff(streams, cluster), newRender(streams, cluster),
		newUnexpose(streams, cluster), newStatus(streams, cluster), newDoctor(streams, cluster), newVerify(streams, cluster)} {
		groupFlags(c, connection)
		root.AddCommand(c)
		complete(c, cluster)
	}
	return root
}

// groupFlags prints a command's own flags apart from the connection flags that
// every command has.
func groupFlags(c *cobra.Command, connection *pflag.FlagSet) {
	c.SetUsageFunc(func(c *cobra.Command) error {
		own := pflag.NewFlagSet("own", pflag.ContinueOnError)
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if connection.Lookup(f.Name) == nil {
				own.AddFlag(f)
			}
		})
		rest := pflag.NewFlagSet("rest", pflag.ContinueOnError)
		connection.VisitAll(func(f *pflag.Flag) {
			if f.Name == "namespace" {
				own.AddFlag(f)
				return
			}
			rest.AddFlag(f)
		})
		_, err := fmt.Fprintf(c.OutOrStdout(), "Examples:\n%s\n\nUsage:\n  %s\n\nFlags:\n%s\nConnection to the cluster (as kubectl has them):\n%s",
			c.Example, c.UseLine(), own.FlagUsagesWrapped(100), rest.FlagUsagesWrapped(100))
		return err
	})
}

// version is what was built: the module's version, or the commit that go
// build noted.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return v
}
