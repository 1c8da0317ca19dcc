package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
)

func (x *exposer) findPort(ctx context.Context) error {
	services, err := x.cluster.Selecting(ctx, x.workload.Namespace, x.workload.Template.Labels)
	if err != nil {
		return err
	}
	if err := x.decidePort(ctx, services); err != nil {
		return err
	}
	x.o.say("port       %d (%s)", x.port.Port, x.port.How)
	if err := x.decideService(ctx, services, x.strangers); err != nil {
		return err
	}
	return x.exposure.Validate() // of the name that a new Service would have
}

func (x *exposer) decidePort(ctx context.Context, services []corev1.Service) error {
	if p := x.intent.TargetPort; p != 0 {
		x.port = k8s.PortFound{Port: p, How: "--target-port"}
		return nil
	}
	if found, ok := k8s.DeclaredPort(x.workload.Template); ok {
		x.port = found
		return nil
	}
	pods, err := x.cluster.Pods(ctx, x.workload)
	if err != nil {
		return err
	}
	if found, ok := k8s.ServedPort(services, pods); ok {
		x.port = found
		return nil
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return k8s.Ready(&p) })
	if i < 0 {
		return noPortError{&manifest.TargetError{
			What: fmt.Sprintf("%s declares no gRPC port, and it has no ready pod that could be asked", x.workload),
			Hint: "Say which port the app listens on: --target-port"}}
	}
	var tried []string
	x.port, err = x.cluster.TryPorts(ctx, &pods[i], probe.SpeaksGRPC, func(port int, result string) {
		tried = append(tried, fmt.Sprintf("%d %s", port, result))
	})
	x.o.say("           no port is declared; asked pod %s: %s", pods[i].Name, strings.Join(tried, ", "))
	var none *manifest.TargetError
	if errors.As(err, &none) && len(none.Candidates) == 0 {
		return noPortError{none}
	}
	return err
}

// noPortError says that a workload is not known to speak gRPC on any port.
type noPortError struct{ *manifest.TargetError }

// Unwrap gives the reason.
func (e noPortError) Unwrap() error { return e.TargetError }
