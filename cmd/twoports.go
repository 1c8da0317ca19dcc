package cmd

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// leads are the ports of Services that lead to one port of a workload's pods, by
// number: of one number for several Services a sidecar has no two minds.
type leads struct {
	words   []string
	numbers []int32
}

func (l *leads) add(service string, port int32) {
	l.words = append(l.words, fmt.Sprintf("port %d of Service %s", port, service))
	l.numbers = append(l.numbers, port)
}

// twoPorts is the finding where several lead there; ok is false where not.
func (l *leads) twoPorts(w k8s.Workload, target int) (f finding.Finding, ok bool) {
	slices.Sort(l.numbers)
	if len(slices.Compact(slices.Clone(l.numbers))) < 2 {
		return f, false
	}
	slices.Sort(l.words)
	f = finding.New(finding.TwoPorts, w.Namespace, w.String(), strings.Join(l.words, " and ")+fmt.Sprintf(" lead to its port %d; a sidecar believes one of them for what is spoken there", target),
		"Let one port lead there, or see to it that all of them say the same protocol.")
	if w.Kind != "Deployment" {
		f.Istio = "" // whose analyzer looks at no other kind
	}
	return f, true
}

// findTwoPorts warns of ports beside the one that the route will lead to, its
// own Service's as it is to be.
func (x *exposer) findTwoPorts(services []corev1.Service, mine func(corev1.Service) bool) {
	var l leads
	e := x.exposure
	for _, svc := range services {
		own := e.Reuse == "" && (mine(svc) || svc.Name == e.ServiceName())
		if own || svc.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		for _, p := range svc.Spec.Ports {
			tcp := p.Protocol == "" || p.Protocol == corev1.ProtocolTCP
			if tcp && k8s.TargetPort(p, []corev1.Pod{{Spec: x.workload.Template.Spec}}) == x.port.Port {
				l.add(svc.Name, p.Port)
			}
		}
	}
	if e.Reuse == "" && e.Port > 0 {
		l.add(e.ServiceName(), int32(e.Port))
	}
	if f, ok := l.twoPorts(x.workload, x.port.Port); ok {
		f.Severity = finding.Warning
		x.found(f)
	}
}
