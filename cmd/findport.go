package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
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
	return x.decideService(services)
}

func (x *exposer) decidePort(ctx context.Context, services []corev1.Service) error {
	if p := x.o.intent.TargetPort; p != 0 {
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
		return &manifest.TargetError{
			What: fmt.Sprintf("%s declares no gRPC port, and it has no ready pod that could be asked", x.workload),
			Hint: "Say which port the app listens on: --target-port"}
	}
	var tried []string
	x.port, err = x.cluster.TryPorts(ctx, &pods[i], probe.SpeaksGRPC, func(port int, result string) {
		tried = append(tried, fmt.Sprintf("%d %s", port, result))
	})
	x.o.say("           no port is declared; asked pod %s: %s", pods[i].Name, strings.Join(tried, ", "))
	return err
}

// decideService reuses a Service that already leads to the app's port as gRPC:
// a second one on the same port would confuse the sidecar's idea of it.
func (x *exposer) decideService(services []corev1.Service) error {
	e := &x.exposure
	*e = manifest.Exposure{
		Namespace: x.workload.Namespace, NamespaceUID: x.namespace.UID,
		WorkloadKind: x.workload.Kind, WorkloadName: x.workload.Name,
		Selector: x.workload.PodLabels(), Port: x.o.intent.Port, TargetPort: x.port.Port,
		Host: x.o.intent.Host, MatchService: x.o.intent.MatchService,
	}
	for _, svc := range services {
		if manifest.OwnedBy(svc.Labels, x.workload.Kind, x.workload.Name) {
			continue
		}
		for _, p := range svc.Spec.Ports {
			if k8s.TargetPort(p, []corev1.Pod{{Spec: x.workload.Template.Spec}}) != x.port.Port {
				continue
			}
			switch {
			case !k8s.GRPCPort(p):
				if svc.Name == x.workload.Name {
					return &plan.ConflictError{ID: manifest.ID{Kind: "Service", Namespace: svc.Namespace, Name: svc.Name},
						Reason: fmt.Sprintf("it was not made by grpcmesh, and Istio does not take its port %d for gRPC: %s", p.Port, protocolOf(p)),
						Hint: fmt.Sprintf("Nothing was written. Set it yourself: kubectl -n %s patch service %s --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/ports/%d/appProtocol\",\"value\":\"grpc\"}]'",
							svc.Namespace, svc.Name, slices.IndexFunc(svc.Spec.Ports, func(q corev1.ServicePort) bool { return q.Port == p.Port }))}
				}
				x.warn("Service %s leads to the same port %d and Istio does not take it for gRPC (%s); the sidecar can only believe one of the two",
					svc.Name, x.port.Port, protocolOf(p))
			case svc.Spec.ClusterIP == corev1.ClusterIPNone:
				x.warn("Service %s is headless; the route leads to a Service of its own beside it", svc.Name)
			default:
				e.Reuse = svc.Name
				if len(svc.Spec.Ports) > 1 {
					e.ReusePort = int(p.Port)
				}
				e.Port = int(p.Port)
				return nil
			}
		}
	}
	return nil
}

func protocolOf(p corev1.ServicePort) string {
	if p.AppProtocol != nil {
		return "its appProtocol is " + *p.AppProtocol
	}
	if p.Name == "" {
		return "it has neither a name nor an appProtocol"
	}
	return "its name " + p.Name + " does not begin with grpc"
}
