package cmd

import (
	"time"

	"github.com/spf13/cobra"

	"grpcmesh/internal/k8s"
)

func newDiff(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &exposeOptions{IO: streams, flags: flags, dryRun: "server", diff: true}
	c := &cobra.Command{
		Use:   "diff [WORKLOAD]",
		Short: "Show what expose would change, field by field",
		Long: `Show what expose would change, field by field, by a dry run on the server. Nothing is written.

The exit code is 0 where expose would change nothing, 1 where it would, and above 1 for an error.`,
		Example: `  # Has anyone changed what was exposed?
  grpcmesh diff -f exposures.yaml

  # What would exposing the only workload of a namespace do?
  grpcmesh diff --namespace test`,
		Args: oneWorkload,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.take(c, args); err != nil {
				return err
			}
			if err := o.run(c.Context()); err != nil {
				return diffError{err}
			}
			return nil
		},
	}
	o.intentFlags(c.Flags())
	adoptFlag(c.Flags(), o)
	c.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "How long to take in all.")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "Output format: text, json, yaml or name.")
	return c
}

func newRender(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &exposeOptions{IO: streams, flags: flags, dryRun: "client", timeout: time.Minute}
	c := &cobra.Command{
		Use:   "render [WORKLOAD]",
		Short: "Print the objects that expose would apply, without asking a cluster",
		Long: `Print the objects that expose would apply, without asking a cluster: the same for the same
input, for a repository that something else applies from. Applied by
  kubectl apply --server-side --field-manager grpcmesh -f -
they are what expose would have written, so that a following expose changes nothing of them.

What a cluster would be asked for must be said: the app's port, its pods' labels and the gateway's.`,
		Example: `  # All that a file says
  grpcmesh render -f exposures.yaml > rendered.yaml

  # One workload
  grpcmesh render server -n test --target-port 50051 --pod-labels app=server \
      --gateway-selector istio=ingressgateway`,
		Args: oneWorkload,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.take(c, args); err != nil {
				return err
			}
			return o.run(c.Context())
		},
	}
	o.intentFlags(c.Flags())
	c.Flags().StringVarP(&o.output, "output", "o", "yaml", "Output format: yaml, json, text or name.")
	return c
}
