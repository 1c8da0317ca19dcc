package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// grpcPorts are the ports of a workload on which it is said to speak gRPC: by
// its own template, by a Service's port that Istio takes for it, or by a route
// for gRPC.
func (d *checkup) grpcPorts(w k8s.Workload) []int {
	var ports []int
	for _, p := range k8s.DeclaredPorts(w.Template) {
		ports = append(ports, p.Port)
	}
	for _, svc := range d.before(w) {
		for _, p := range svc.Spec.Ports {
			if k8s.GRPCPort(p) || slices.Contains(d.grpcLed[svc.Namespace+"/"+svc.Name], int(p.Port)) {
				ports = append(ports, podPort(p, w))
			}
		}
	}
	slices.Sort(ports)
	return slices.DeleteFunc(slices.Compact(ports), func(p int) bool { return p == 0 })
}

// before are the Services that select the workload's pods.
func (d *checkup) before(w k8s.Workload) []*corev1.Service {
	var found []*corev1.Service
	for i := range d.services {
		svc := &d.services[i]
		if svc.Namespace == w.Namespace && len(svc.Spec.Selector) > 0 && labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(w.Template.Labels)) {
			found = append(found, svc)
		}
	}
	return found
}

func podPort(p corev1.ServicePort, w k8s.Workload) int {
	return k8s.TargetPort(p, []corev1.Pod{{Spec: w.Template.Spec}})
}

func (d *checkup) diagnoseWorkloads(ctx context.Context) error {
	for _, w := range d.workloads {
		if !d.within(w.Namespace) {
			continue
		}
		ports := d.grpcPorts(w)
		if len(ports) > 0 {
			d.speaking++
		} else {
			d.silent++
		}
		d.diagnoseServices(w, ports)
		if len(ports) == 0 || d.unlisted || len(d.injectors) == 0 || d.namespaces[w.Namespace] == nil {
			continue
		}
		if err := d.diagnoseSidecars(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// diagnoseServices judges the ports of the Services before a workload that lead
// to where it speaks gRPC.
func (d *checkup) diagnoseServices(w k8s.Workload, grpc []int) {
	into := map[int]*leads{} // by the pods' port
	for _, target := range grpc {
		into[target] = &leads{}
	}
	for _, svc := range d.before(w) {
		for _, p := range svc.Spec.Ports {
			if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
				continue
			}
			target := podPort(p, w)
			if target == 0 {
				d.tell(finding.New(finding.NoTarget, svc.Namespace, "Service/"+svc.Name,
					fmt.Sprintf("its port %d leads to the port name %s, which no container of %s declares, so to nothing", p.Port, p.TargetPort.StrVal, w),
					"Name a port that the pod template declares, or give the number."))
			}
			if !slices.Contains(grpc, target) {
				continue
			}
			if !k8s.GRPCPort(p) {
				d.tellProtocol(*svc, p, w, target)
			}
			if svc.Spec.ClusterIP != corev1.ClusterIPNone {
				into[target].add(svc.Name, p.Port)
			}
		}
	}
	d.tellHeadless(w, grpc, into)
	for _, target := range grpc {
		if f, ok := into[target].twoPorts(w, target); ok {
			d.tell(f)
		}
	}
}

func (d *checkup) tellProtocol(svc corev1.Service, p corev1.ServicePort, w k8s.Workload, target int) {
	f := finding.New(finding.PortProtocol, svc.Namespace, "Service/"+svc.Name,
		fmt.Sprintf("%s speaks gRPC on port %d, and Istio does not take the Service's port %d for it: %s", w, target, p.Port, protocolOf(p)),
		"Set it: "+mendPort(svc, p))
	if !k8s.KnownProtocol(p) {
		f.Istio = "IST0118"
	}
	if slices.Contains(d.led[svc.Namespace+"/"+svc.Name], int(p.Port)) {
		d.tell(f)
		return
	}
	d.soft(f)
}

// tellHeadless tells of headless Services before a gRPC port that no other
// Service leads to.
func (d *checkup) tellHeadless(w k8s.Workload, grpc []int, into map[int]*leads) {
	for _, svc := range d.before(w) {
		if svc.Spec.ClusterIP != corev1.ClusterIPNone {
			continue
		}
		for _, p := range svc.Spec.Ports {
			if target := podPort(p, w); slices.Contains(grpc, target) && len(into[target].words) == 0 {
				d.tell(finding.New(finding.Headless, svc.Namespace, "Service/"+svc.Name,
					fmt.Sprintf("it is headless, and no other Service leads to port %d of %s: clients without a sidecar resolve its pods once and stay with them", target, w),
					fmt.Sprintf("Give the clients a Service with a cluster IP beside it: grpcmesh expose %s/%s -n %s makes one.", strings.ToLower(w.Kind), w.Name, w.Namespace)))
			}
		}
	}
}

// diagnoseSidecars judges a workload whose namespace injects, or whose pods can
// have no sidecar.
func (d *checkup) diagnoseSidecars(ctx context.Context, w k8s.Workload) error {
	ns := d.namespaces[w.Namespace]
	inj, err := istio.DecideInjection(d.injectors, ns, w.String(), w.Template, "")
	if err != nil {
		found, _ := findingsIn(err)
		for _, f := range found {
			// A choice of whoever wrote the template, and told where the namespace injects.
			plain, err := istio.DecideInjection(d.injectors, ns, "", corev1.PodTemplateSpec{}, "")
			if (f.Code == finding.Declines || f.Code == finding.HostNetwork) && err == nil && plain.Set == nil {
				d.soft(f)
			}
		}
		return nil
	}
	pods, lacking := d.sidecars(w)
	if inj.Set != nil || lacking == 0 {
		return nil
	}
	f := finding.New(finding.MissingSidecar, w.Namespace, w.String(), fmt.Sprintf("%d of %s without the sidecar that %s asks for: they are older than the label, or the injector was away", lacking, plural(pods, "pod"), inj.Label),
		fmt.Sprintf("Restart it: kubectl -n %s rollout restart %s/%s", w.Namespace, strings.ToLower(w.Kind), w.Name))
	if w.OnDelete {
		f.Next = fmt.Sprintf("Its update strategy is OnDelete, so a restart replaces no pod: delete its pods, one after another. They are: kubectl -n %s get pods -l %s",
			w.Namespace, quote(metav1.FormatLabelSelector(w.Selector)))
	}
	if inj.Label != "istio-injection=enabled" {
		f.Istio = "" // whose analyzer looks at no other label
	}
	if !d.reached(w) {
		d.soft(f) // a neighbour of what is exposed, for the most part, which wants no restart
		return nil
	}
	d.tell(f)
	return d.restartDue(ctx, w, inj)
}

// reached says whether a gateway's route leads to the workload.
func (d *checkup) reached(w k8s.Workload) bool {
	return slices.ContainsFunc(d.before(w), func(svc *corev1.Service) bool { return len(d.led[svc.Namespace+"/"+svc.Name]) > 0 })
}

// sidecars counts a workload's pods, and those without a sidecar.
func (d *checkup) sidecars(w k8s.Workload) (pods, lacking int) {
	selector, err := metav1.LabelSelectorAsSelector(w.Selector)
	if err != nil {
		return 0, 0 // the API server takes no such selector
	}
	for i := range d.pods {
		if p := &d.pods[i]; p.Namespace == w.Namespace && selector.Matches(labels.Set(p.Labels)) {
			if pods++; !k8s.HasSidecar(p.Spec) {
				lacking++
			}
		}
	}
	return pods, lacking
}

// restartDue says what would keep a restart from giving the pods their sidecar,
// or hurt.
func (d *checkup) restartDue(ctx context.Context, w k8s.Workload, inj istio.Injection) error {
	stuck, _ := findingsIn(rollable(called{}, w, "be given the sidecar", "Delete its pods yourself"))
	d.found = append(d.found, stuck...)
	others := slices.DeleteFunc(slices.Clone(d.workloads), func(o k8s.Workload) bool { return o.UID == w.UID || o.Namespace != w.Namespace })
	over, unchecked, err := overBudget(ctx, d.cluster, w, others)
	if err != nil {
		return err
	}
	if unchecked != nil {
		d.tell(*unchecked)
	}
	for _, r := range risksOf(w, over) {
		if len(stuck) == 0 { // else there is no restart to go on with
			d.soft(r)
		}
	}
	notYet, err := d.mesh.Rehearse(ctx, d.injectors, d.namespaces[w.Namespace], w, inj, !w.InPlace())
	if notYet == istio.NoRoom {
		d.soft(finding.New(finding.QuotaFull, w.Namespace, w.String(), notYet+"; its restart makes room before it makes a pod, but what the sidecar requests must fit in too", ""))
	}
	found, rest := findingsIn(err)
	d.found = append(d.found, found...)
	if err := errors.Join(rest...); err != nil && anyOf(err, apierrors.IsForbidden) {
		d.tell(finding.New(finding.Unchecked, w.Namespace, w.String(), "whether a pod of it would get its sidecar is unchecked: this user may not create pods in namespace "+w.Namespace+", not even by dry run",
			"The role grpcmesh-expose of docs/rbac.yaml allows it."))
		return nil
	} else if err != nil {
		return err
	}
	return nil
}
