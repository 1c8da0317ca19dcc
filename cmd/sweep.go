package cmd

import (
	"context"

	"grpcmesh/internal/istio"
)

// sweep removes the probe routes that killed runs left in the namespace, once
// their time is over. A run does not fail for what another has left: warn is
// told what could not be removed.
func sweep(ctx context.Context, mesh *istio.Mesh, routes istio.Routes, namespace string, say, warn func(string, ...any)) {
	swept, err := mesh.Sweep(ctx, routes, namespace)
	for _, route := range swept {
		say("swept      %s, which a run that was killed had left", route)
	}
	if err != nil {
		for _, route := range routes.Left(namespace) {
			warn("%s may be left of a run that was killed, and could not be removed (%s)", route, err)
		}
	}
}

// sweep does so for each namespace of the batch.
func (xs batch) sweep(ctx context.Context) {
	seen := map[string]bool{}
	for _, x := range xs {
		if ns := x.exposure.Namespace; !seen[ns] {
			seen[ns] = true
			sweep(ctx, x.mesh, x.routes, ns, x.o.say, x.warn)
		}
	}
}
