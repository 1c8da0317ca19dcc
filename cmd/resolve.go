package cmd

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
)

// exposer is one run of expose: what was learnt of the cluster, and what it
// means.
type exposer struct {
	o         *exposeOptions
	cluster   *k8s.Cluster
	mesh      *istio.Mesh
	appliers  k8s.Appliers
	namespace *corev1.Namespace
	workload  k8s.Workload
	lacking   int // pods of the newest revision without a sidecar
	pods      int // pods of the newest revision
	port      k8s.PortFound
	injection report.Injection
	ingress   istio.Ingress
	open      istio.IngressPort
	exposure  manifest.Exposure
	warnings  []string
}

// resolve answers every question that the Intent leaves open, from the cluster,
// and rehearses. It writes nothing.
func (o *exposeOptions) resolve(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) (*exposer, error) {
	x := &exposer{o: o, cluster: cluster, mesh: mesh, appliers: k8s.Appliers{
		"Namespace": cluster, "Service": cluster, "Gateway": mesh, "VirtualService": mesh,
	}}
	for _, step := range []func(context.Context) error{
		x.findWorkload, x.findPort, x.findInjection, x.findGateway, x.findRoute,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (x *exposer) findWorkload(ctx context.Context) error {
	name := x.o.intent.Namespace
	ns, err := x.cluster.Core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &manifest.TargetError{What: "no namespace " + name + " in this cluster",
			Hint: "Name the one that the gRPC server runs in with -n."}
	}
	if err != nil {
		return fmt.Errorf("reading namespace %s: %w", name, err)
	}
	if ns.Status.Phase == corev1.NamespaceTerminating {
		return &k8s.NotReadyError{Subject: "namespace " + name, Cause: "it is being deleted", Hint: "Nothing was written."}
	}
	x.namespace = ns
	all, err := x.cluster.Workloads(ctx, name)
	if err != nil {
		return err
	}
	if x.workload, err = k8s.Choose(all, name, x.o.intent.Workload); err != nil {
		return err
	}
	for _, w := range all {
		if w.UID != x.workload.UID {
			x.injection.Touches = append(x.injection.Touches, w.String())
		}
	}
	if err := (manifest.Exposure{WorkloadName: x.workload.Name}).Validate(); err != nil {
		return err
	}
	if err := x.countSidecars(ctx); err != nil {
		return err
	}
	x.o.say("workload   %s, %s", x.workload, plural(x.pods, "pod"))
	return x.restartable()
}

// countSidecars looks at the newest revision's pods, once the controller has
// taken notice of the newest template.
func (x *exposer) countSidecars(ctx context.Context) error {
	w, err := x.cluster.Observed(ctx, x.workload)
	if err != nil {
		return err
	}
	pods, err := x.cluster.NewestPods(ctx, w)
	if err != nil {
		return err
	}
	x.workload, x.pods, x.lacking = w, len(pods), 0
	for i := range pods {
		if !k8s.HasSidecar(pods[i].Spec) {
			x.lacking++
		}
	}
	return nil
}

// restartable refuses, before anything is written, what a restart could not
// bring about.
func (x *exposer) restartable() error {
	refuse := func(cause, hint string) error {
		return &k8s.NotReadyError{Subject: x.workload.String(), Cause: cause, Hint: "Nothing was written. " + hint}
	}
	switch {
	case x.lacking == 0:
		return nil
	case x.workload.Paused:
		return refuse("its rollout is paused, so its pods can't be given the sidecar",
			fmt.Sprintf("Resume it first: kubectl -n %s rollout resume deployment/%s", x.workload.Namespace, x.workload.Name))
	case x.workload.OnDelete:
		return refuse("its update strategy is OnDelete, so a restart replaces no pod",
			"Label the namespace and delete its pods yourself, or change the strategy.")
	}
	return nil
}

// gap is why a restart would leave the service without pods for a while, or "".
func (x *exposer) gap() string {
	if x.lacking == 0 {
		return ""
	}
	return x.workload.Gap()
}

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

func (x *exposer) findInjection(ctx context.Context) error {
	injectors, err := x.mesh.Injectors(ctx)
	if err != nil {
		return err
	}
	inj, err := istio.DecideInjection(injectors, x.namespace, x.workload.Template, x.o.intent.Revision)
	if err != nil {
		return err
	}
	x.exposure.InjectLabel = inj.Set
	x.injection.Label = inj.Label
	if x.injection.Rehearsed, err = x.mesh.Rehearse(ctx, injectors, x.namespace, x.workload, inj); err != nil {
		return err
	}
	rehearsed := "rehearsed: a pod gets its sidecar"
	if !x.injection.Rehearsed {
		rehearsed = "not rehearsed: no injector answers before the label is set"
	}
	x.o.say("injection  %s (%s)", inj.Label, rehearsed)
	if inj.Set == nil {
		x.injection.Touches = nil // the label is there: nothing new reaches them
	} else if len(x.injection.Touches) > 0 {
		x.o.say("           the label will also reach, at their next restart: %s", strings.Join(x.injection.Touches, ", "))
	}
	return nil
}

func (x *exposer) findGateway(ctx context.Context) error {
	all, err := x.mesh.Ingresses(ctx)
	if err != nil {
		return err
	}
	if x.ingress, err = istio.ChooseIngress(all, x.o.intent.GatewaySelector); err != nil {
		return err
	}
	if x.open, err = istio.ChoosePort(x.ingress, x.o.intent.GatewayPort, x.exposure.Port); err != nil {
		return err
	}
	x.exposure.GatewaySelector = x.ingress.Selector
	x.o.say("gateway    %s, port %d, %s", x.ingress, x.open.Port, plural(len(x.ingress.Pods), "replica"))
	return nil
}

func (x *exposer) findRoute(ctx context.Context) error {
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return err
	}
	if err := routes.Clash(x.ingress, x.open.Port, x.exposure); err != nil {
		return err
	}
	have, foreign, err := routes.OwnGateway(x.exposure.Namespace, x.ingress)
	if err != nil {
		return err
	}
	if foreign && istio.Covers(have, x.open.Port, x.exposure.Host) {
		x.exposure.ReuseGateway = true
		x.o.say("           Gateway %s is not grpcmesh's and listens as wanted; it is used as it is", manifest.GatewayName)
	}
	x.exposure.Servers = manifest.MergeServers(have, x.open.Port, x.exposure.Host)
	return nil
}

// plan asks the server for a dry run of everything and decides what to write.
func (x *exposer) plan(ctx context.Context) (plan.Plan, error) {
	steps, err := k8s.Propose(ctx, x.appliers, x.exposure.Objects())
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := plan.Build(steps)
	if err != nil {
		return plan.Plan{}, err
	}
	if x.o.dryRun == "server" && x.lacking > 0 {
		p.Changes = append(p.Changes, x.restartChange())
	}
	return p, nil
}

// restart restarts the workload if its newest pods lack the sidecar, judged
// anew now that the label is there.
func (x *exposer) restart(ctx context.Context) (bool, error) {
	if err := x.countSidecars(ctx); err != nil {
		return false, err
	}
	if x.lacking == 0 {
		return false, nil
	}
	if err := x.restartable(); err != nil {
		return false, err
	}
	return true, x.cluster.Restart(ctx, x.workload, time.Now())
}

func (x *exposer) restartChange() plan.Change {
	return plan.Change{
		ID:     manifest.ID{Kind: x.workload.Kind, Namespace: x.workload.Namespace, Name: x.workload.Name},
		Action: plan.Restart,
		Reason: fmt.Sprintf("%d of %s lack the sidecar", x.lacking, plural(x.pods, "pod")),
	}
}

func (x *exposer) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	x.warnings = append(x.warnings, w)
	x.o.say("warning    %s", w)
}

func (x *exposer) document(dryRun string) *report.Expose {
	doc := &report.Expose{
		APIVersion: report.APIVersion, Kind: "ExposeReport",
		Namespace: x.workload.Namespace, Workload: x.workload.String(),
		TargetPort: x.port.Port, PortFrom: x.port.How, Injection: x.injection,
		Gateway:  report.GatewayRef{Service: x.ingress.String(), Port: x.open.Port, Replicas: len(x.ingress.Pods)},
		Host:     x.exposure.Host,
		Warnings: x.warnings,
	}
	if dryRun != "none" {
		doc.DryRun = dryRun
	}
	for _, a := range x.ingress.Addresses {
		doc.Addresses = append(doc.Addresses, net.JoinHostPort(a, strconv.Itoa(x.open.Port)))
	}
	addr := "HOST:" + strconv.Itoa(x.open.Port)
	if len(doc.Addresses) > 0 {
		addr = doc.Addresses[0]
	}
	doc.Verify = "grpcmesh verify --addr " + addr
	if x.exposure.Host != "*" {
		doc.Verify += " --authority " + authorityFor(x.exposure.Host, "")
	}
	return doc
}

// authorityFor is a name that the host pattern takes: itself, or some name
// below a wildcard; for "*" the address.
func authorityFor(host, address string) string {
	switch {
	case host == "*" && address != "":
		return address
	case host == "*":
		return "grpcmesh.invalid"
	case strings.HasPrefix(host, "*."):
		return "grpcmesh" + host[1:]
	}
	return host
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
