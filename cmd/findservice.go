package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// strangers names what a Service with the selector would lead to beside the
// workload's own pods.
type strangers func(ctx context.Context, selector map[string]string) ([]string, error)

func (x *exposer) strangers(ctx context.Context, selector map[string]string) ([]string, error) {
	return x.cluster.Strangers(ctx, x.workload, x.workloads, selector)
}

// decideService reuses a Service that already leads to the app's port as gRPC,
// and to this workload's pods alone: a second one on the same port would confuse
// the sidecar's idea of it. Where a run before has made one, that one stays. A
// new one must lead to this workload's pods alone as well.
func (x *exposer) decideService(ctx context.Context, services []corev1.Service, others strangers) error {
	x.exposure = manifest.Exposure{
		Namespace: x.workload.Namespace, NamespaceUID: x.namespace.UID,
		WorkloadKind: x.workload.Kind, WorkloadName: x.workload.Name, WorkloadUID: x.workload.UID, Inject: x.intent.Inject, Adopt: x.o.adopt,
		Selector: x.workload.PodLabels(), Port: x.intent.Port, TargetPort: x.port.Port,
		Host: x.intent.Host, MatchServices: x.intent.Services(), Route: x.intent.Route,
	}
	wrong := []error{x.findCanary(ctx)}
	if len(x.exposure.Subsets) > 0 || wrong[0] != nil { // calls go to subsets alone, so others' pods behind a Service get none
		others = func(context.Context, map[string]string) ([]string, error) { return nil, nil }
	}
	x.selected = labels.SelectorFromSet(x.exposure.Selector)
	mine := func(svc corev1.Service) bool {
		return manifest.OwnedBy(svc.Labels, x.workload.Kind, x.workload.Name)
	}
	made := slices.ContainsFunc(services, mine)
	x.exposure.Service = serviceToMake(services, x.workload.Name, mine)
	var findings []leading
	for _, svc := range services {
		for _, p := range svc.Spec.Ports {
			if mine(svc) || k8s.TargetPort(p, []corev1.Pod{{Spec: x.workload.Template.Spec}}) != x.port.Port {
				continue
			}
			f := leading{svc: svc, port: p}
			if (k8s.GRPCPort(p) || x.o.adopt) && svc.Spec.ClusterIP != corev1.ClusterIPNone {
				var err error
				if f.strangers, err = others(ctx, svc.Spec.Selector); err != nil {
					return err
				}
				if e := &x.exposure; k8s.GRPCPort(p) && len(f.strangers) == 0 && !made && e.Reuse == "" && x.selectsVersions(svc.Spec.Selector) {
					e.Reuse, e.Port = svc.Name, int(p.Port)
					x.selected = labels.SelectorFromSet(svc.Spec.Selector)
					if len(svc.Spec.Ports) > 1 {
						e.ReusePort = int(p.Port)
					}
				}
			}
			findings = append(findings, f)
		}
	}
	x.takenBefore(services, mine)
	for _, f := range findings {
		wrong = append(wrong, x.judge(f))
	}
	x.findTwoPorts(services, mine)
	if x.exposure.Reuse == "" {
		wrong = append(wrong, x.selectsOthers(ctx, others))
	}
	return errors.Join(wrong...)
}

// selectsOthers refuses to make a Service that would lead to others' pods.
func (x *exposer) selectsOthers(ctx context.Context, others strangers) error {
	more, err := others(ctx, x.exposure.Selector)
	if err != nil || len(more) == 0 {
		return err
	}
	return &k8s.NotReadyError{Code: finding.SelectsOthers, Namespace: x.workload.Namespace, Subject: x.workload.String(),
		Cause: fmt.Sprintf("a Service by its pods' labels (%s) would lead to %s too", istio.FormatSelector(x.exposure.Selector), strings.Join(more, " and ")),
		Hint:  "Nothing was written. Give the pods of each a label that the others' lack, in spec.selector as well, or make a Service that takes this workload's alone."}
}

// serviceToMake is the name of the workload's own Service where it is not the
// workload's: the one that a run before made, or one beside a headless Service
// that has that name, as a StatefulSet's usually has.
func serviceToMake(services []corev1.Service, workload string, mine func(corev1.Service) bool) string {
	i := slices.IndexFunc(services, func(s corev1.Service) bool { return s.Name == workload })
	switch {
	case i >= 0 && mine(services[i]):
		return ""
	case slices.ContainsFunc(services, mine):
		return services[slices.IndexFunc(services, mine)].Name
	case i >= 0 && services[i].Spec.ClusterIP == corev1.ClusterIPNone:
		return workload + "-grpc"
	}
	return ""
}

// found is another's Service that leads to the app's port.
type leading struct {
	svc       corev1.Service
	port      corev1.ServicePort
	strangers []string
}

// judge warns of a Service that is passed by. One that holds the name that a
// new Service would have is a *plan.ConflictError.
func (x *exposer) judge(f leading) error {
	svc, reused := f.svc, x.exposure.Reuse != ""
	inTheWay := !reused && svc.Name == x.exposure.ServiceName()
	conflict := func(code, reason, hint string) error {
		return &plan.ConflictError{Code: code, ID: manifest.ID{Kind: "Service", Namespace: svc.Namespace, Name: svc.Name},
			Reason: "it was not made by grpcmesh, and " + reason, Hint: "Nothing was written. " + hint}
	}
	beside := func(code, reason, next string) {
		w := finding.New(code, svc.Namespace, "Service/"+svc.Name, reason, next)
		w.Severity = finding.Warning
		x.found(w)
	}
	leads := "leads to " + strings.Join(f.strangers, " and ") + " too"
	switch {
	case !k8s.GRPCPort(f.port) && inTheWay && x.o.adopt && len(f.strangers) == 0 && svc.Spec.ClusterIP != corev1.ClusterIPNone:
		x.take(svc, f.port)
	case !k8s.GRPCPort(f.port) && inTheWay:
		return conflict(finding.PortProtocol, fmt.Sprintf("Istio does not take its port %d for gRPC: %s", f.port.Port, protocolOf(f.port)),
			"Set it yourself: "+mendPort(svc, f.port)+x.orAdopt(svc))
	case !k8s.GRPCPort(f.port):
		beside(finding.PortProtocol, fmt.Sprintf("it leads to the same port %d and Istio does not take it for gRPC (%s); the sidecar can only believe one of the two",
			x.port.Port, protocolOf(f.port)), "If its clients speak gRPC, mend it: "+mendPort(svc, f.port))
	case reused || len(f.strangers) == 0 && svc.Spec.ClusterIP != corev1.ClusterIPNone:
		// It is the one in use, or does no harm beside it.
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		beside(finding.Headless, "it is headless; the route leads to a Service of its own beside it, "+x.exposure.ServiceName(), "")
	case inTheWay:
		return conflict(finding.LeadsToOthers, "it "+leads,
			fmt.Sprintf("Narrow its selector (now %s) to the pods of %s, or delete it and let grpcmesh make one.", istio.FormatSelector(svc.Spec.Selector), x.workload))
	default:
		beside(finding.LeadsToOthers, "it "+leads+"; the route leads to a Service of its own beside it", "")
	}
	return nil
}

// mendPort is the command that makes Istio take a Service's port for gRPC.
func mendPort(svc corev1.Service, p corev1.ServicePort) string {
	return fmt.Sprintf("kubectl -n %s patch service %s --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/ports/%d/appProtocol\",\"value\":\"grpc\"}]'",
		svc.Namespace, svc.Name, slices.IndexFunc(svc.Spec.Ports, func(q corev1.ServicePort) bool { return q.Port == p.Port }))
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
