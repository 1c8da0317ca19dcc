package cmd

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// completeTime is how long the shell waits at most for candidates; whoever
// presses tab gets none rather than to wait, or to be told of an error.
const completeTime = 250 * time.Millisecond

// completer gives the candidates that begin with what was typed.
type completer = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// oneOf completes what is known without the cluster.
func oneOf(list func() []string) completer {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(list(), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// asking is a completer that asks the cluster. Where it does not answer in time,
// or refuses, there are no candidates.
func asking(flags *k8s.Flags, list func(context.Context, *k8s.Cluster, *istio.Mesh) []string) completer {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completeTime)
		defer cancel()
		answered := make(chan []string, 1)
		go func() { // a login plug-in of the kubeconfig may not know the context
			quiet := *flags
			quiet.Tell = nil
			cluster, mesh, err := connect(&quiet)
			if err != nil {
				answered <- nil
				return
			}
			answered <- list(ctx, cluster, mesh)
		}()
		select {
		case all := <-answered:
			return beginning(all, typed), cobra.ShellCompDirectiveNoFileComp
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

func beginning(all []string, typed string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, typed) })
}

// completeWorkload completes the one argument, kind/name or the name alone.
func completeWorkload(flags *k8s.Flags) completer {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return asking(flags, func(ctx context.Context, cluster *k8s.Cluster, _ *istio.Mesh) []string {
			workloads, err := cluster.Workloads(ctx, flags.Namespace())
			if err != nil {
				return nil
			}
			var names []string
			for i := range workloads {
				if w := &workloads[i]; strings.Contains(typed, "/") || !strings.HasPrefix(w.Name, typed) || typed == "" {
					names = append(names, w.Arg())
				} else {
					names = append(names, w.Name)
				}
			}
			return names
		})(c, args, typed)
	}
}

// gateways are the selectors of the cluster's ingress gateways.
func gateways(ctx context.Context, _ *k8s.Cluster, mesh *istio.Mesh) []string {
	ingresses, err := mesh.AllIngresses(ctx)
	if err != nil {
		return nil
	}
	var selectors []string
	for _, in := range ingresses {
		selectors = append(selectors, istio.FormatSelector(in.Selector))
	}
	slices.Sort(selectors)
	return slices.Compact(selectors)
}

// gatewayObjects are the cluster's Gateways, as --gateway takes them.
func gatewayObjects(ctx context.Context, _ *k8s.Cluster, mesh *istio.Mesh) []string {
	routes, err := mesh.Routes(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, gw := range routes.Gateways {
		names = append(names, gw.Namespace+"/"+gw.Name)
	}
	slices.Sort(names)
	return names
}

// complete teaches a command's flags, and those of the connection, what they may
// be given.
func complete(c *cobra.Command, flags *k8s.Flags) {
	known := map[string]completer{
		"namespace": asking(flags, func(ctx context.Context, cluster *k8s.Cluster, _ *istio.Mesh) []string {
			names, err := cluster.NamespaceNames(ctx)
			if err != nil {
				return nil
			}
			return names
		}),
		"context":          oneOf(func() []string { return flags.Names().Contexts }),
		"cluster":          oneOf(func() []string { return flags.Names().Clusters }),
		"user":             oneOf(func() []string { return flags.Names().Users }),
		"gateway-selector": asking(flags, gateways),
		"gateway":          asking(flags, gatewayObjects),
	}
	for name, values := range map[string][]string{
		"output": outputs(c.Name()), "dry-run": dryRuns(c.Name()), "identify": identities(),
		"lb": {"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "header:"}, "tls-mode": {"simple", "mutual"}, "control": controls(),
		"backend-from": {"header:", "trailer:", "field:"},
		"inject":       {manifest.InjectNamespace, manifest.InjectPod, manifest.InjectNone},
	} {
		known[name] = oneOf(func() []string { return values })
	}
	for _, name := range []string{"canary", "revision", "tls-secret", "selector", "host", "match-service", "match-header", "pod-labels",
		"port", "target-port", "gateway-port", "timeout", "timeout-per-call", "retries", "per-try-timeout"} {
		known[name] = oneOf(func() []string { return nil }) // and no names of files, as a shell does else
	}
	for name, with := range known {
		_ = c.RegisterFlagCompletionFunc(name, with) // it fails where the command has no such flag
	}
	if strings.HasSuffix(c.Use, "[WORKLOAD]") {
		c.ValidArgsFunction = completeWorkload(flags)
	}
}
