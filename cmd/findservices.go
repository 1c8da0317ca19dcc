package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
)

// findServices reads from the app, by reflection, which gRPC services are to be
// routed, where that is asked for.
func (x *exposer) findServices(ctx context.Context) error {
	if x.intent.MatchService != manifest.AutoServices {
		return nil
	}
	pods, err := x.cluster.NewestPods(ctx, x.workload)
	if err != nil {
		return err
	}
	const byName = "Name them instead: --match-service pkg.Service,..."
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return k8s.Ready(&p) })
	if i < 0 {
		return &k8s.NotReadyError{Code: finding.NoServices, Subject: x.workload.String(), Cause: "it has no ready pod that could be asked for its gRPC services", Hint: "Nothing was written. " + byName}
	}
	services, err := x.reflect(ctx, &pods[i])
	if err != nil {
		if ctx.Err() != nil || denied(err) != nil {
			return err
		}
		return &manifest.TargetError{Code: finding.NoServices, What: fmt.Sprintf("%s does not tell its gRPC services by reflection (%s)", x.workload, err), Hint: byName}
	}
	for _, s := range services {
		if !probe.Utility(s.Name) {
			x.exposure.MatchServices = append(x.exposure.MatchServices, s.Name)
		}
	}
	if len(x.exposure.MatchServices) == 0 {
		return &manifest.TargetError{Code: finding.NoServices, What: x.workload.String() + " lists no gRPC service of its own by reflection", Hint: byName}
	}
	x.say("services   %s", strings.Join(x.exposure.MatchServices, ", "))
	return nil
}

// reflect asks one pod, through the API server.
func (x *exposer) reflect(ctx context.Context, pod *corev1.Pod) ([]probe.Service, error) {
	conn, err := probe.Open(ctx, probe.Target{
		Addr: fmt.Sprintf("%s:%d", pod.Name, x.port.Port), Authority: x.authority(),
		Network: func(ctx context.Context) (net.Conn, error) {
			return x.cluster.Forward(ctx, pod.Namespace, pod.Name, x.port.Port)
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.Services(ctx, "", nil)
}

// withinRun tells of a route in the way that it is one which the same run is to
// make.
func (x *exposer) withinRun(err error) error {
	var conflict *plan.ConflictError
	if !errors.As(err, &conflict) || conflict.ID.Kind != "VirtualService" {
		return err
	}
	for _, b := range x.before {
		if e := b.exposure; conflict.ID.Namespace == e.Namespace && conflict.ID.Name == e.WorkloadName {
			return &plan.ConflictError{Code: conflict.Code, ID: conflict.ID, Hint: conflict.Hint,
				Reason: fmt.Sprintf("this run is to make it for %s, and then %s", b.workload, strings.Replace(conflict.Reason, "it already serves", "it serves", 1))}
		}
	}
	return err
}
