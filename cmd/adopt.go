package cmd

import (
	"slices"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

func adoptFlag(fs *pflag.FlagSet, o *exposeOptions) {
	fs.BoolVar(&o.adopt, "adopt", false, "Take over a Service, Gateway or VirtualService in the way, or a namespace's opt-out; unexpose gives it back.")
}

// take adopts another's Service for the route: just the protocol of the port
// that leads to the app is set, and the rest of it is left.
func (x *exposer) take(svc corev1.Service, port corev1.ServicePort) {
	e := &x.exposure
	e.Taken, e.Port = true, int(port.Port)
	if len(svc.Spec.Ports) > 1 {
		e.ReusePort = int(port.Port)
	}
}

// orAdopt offers to have the port's protocol set, where --adopt does.
func (x *exposer) orAdopt(svc corev1.Service) string {
	switch {
	case !x.o.adopt && svc.Spec.ClusterIP != corev1.ClusterIPNone:
		return "\nOr have it set, and given back by unexpose: --adopt"
	case x.o.adopt:
		return "\n--adopt does not help here: it takes over a Service with a cluster IP that leads to the workload's pods alone."
	}
	return ""
}

// takenBefore finds the Service that an earlier run adopted for this workload.
func (x *exposer) takenBefore(services []corev1.Service, mine func(corev1.Service) bool) {
	for _, svc := range services {
		if _, adopted := svc.Annotations[manifest.AdoptedAnnotation]; !adopted || !mine(svc) {
			continue
		}
		i := slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool {
			return k8s.TargetPort(p, []corev1.Pod{{Spec: x.workload.Template.Spec}}) == x.port.Port
		})
		if i >= 0 {
			x.take(svc, svc.Spec.Ports[i])
		}
	}
}
