package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// exposer is one run of expose: what was learnt of the cluster, and what it
// means.
type exposer struct {
	o         *exposeOptions
	intent    manifest.Intent
	before    batch // exposures of the same run that come first
	cluster   *k8s.Cluster
	mesh      *istio.Mesh
	appliers  k8s.Appliers
	namespace *corev1.Namespace
	injectors []istio.Injector
	workload  k8s.Workload
	workloads []k8s.Workload // all of the namespace
	lacking   int            // pods of the newest revision without a sidecar
	pods      int            // pods of the newest revision
	kept      []string       // pods without a sidecar that a partition keeps from being restarted
	port      k8s.PortFound
	injection report.Injection
	ingress   istio.Ingress
	open      istio.IngressPort
	follower  string // who is to open that port once the Gateway asks for it; "": it is open
	node      string // address of a node, where the gateway is reached by its node port; or empty
	routes    istio.Routes
	ownCA     bool // the gateway's certificate is of no CA that this system knows
	shared    bool // other VirtualServices serve the host too
	exposure  manifest.Exposure
	warnings  []string
	selected  labels.Selector   // of the Service that the route leads to
	findings  []finding.Finding // warnings of the preflight
	over      string            // why a restart would take more pods than a budget allows; or ""
	may       bool              // this user may do all that it takes
	routed    bool              // all that its objects are made of is known
	planned   plan.Plan
	again     replanning
	earlier   *k8s.Workload // as it was before this run restarted it; nil: it did not
	failed    error         // why it was cut short
	doc       *report.Expose

	steps     preflight
	injected  bool     // it is known by which label
	served    bool     // and by which Service
	sharesOwn bool     // others of the run need the namespace's own Gateway, and it does not
	led       bool     // and by which Gateway and route, clashes or not
	routable  bool     // it is known where the route would be
	merging   *merging // what the batch's exposures share of the routes
	silent    bool     // words are held back
	held      []string
}

func newExposer(o *exposeOptions, cluster *k8s.Cluster, mesh *istio.Mesh, intent manifest.Intent, m *merging) *exposer {
	return &exposer{o: o, intent: intent, merging: m, again: newReplanning(), cluster: cluster, mesh: mesh, appliers: appliersOf(cluster, mesh)}
}

// resolve answers every question that the Intent leaves open, from the cluster,
// and rehearses, but for what depends on the exposures before. It writes nothing.
// What is found wrong is told at once; what a failed step leaves open is not
// guessed at.
func (x *exposer) resolve(ctx context.Context) error {
	p := &x.steps
	entered := p.passes(ctx, x.enter)
	known := entered && p.passes(ctx, x.findWorkload)
	listed := true
	if known {
		p.passes(ctx, x.restartable)
		p.passes(ctx, x.findRisks)
		ported := p.passes(ctx, x.findPort)
		if (x.o.all || x.o.selector != "") && errors.As(p.err(), new(noPortError)) {
			return p.err() // it is passed by, whatever else there is
		}
		listed = !ported || p.passes(ctx, x.findServices)
		x.injected = p.passes(ctx, x.findInjection)
		x.routed = ported && x.injected
	}
	if x.may && p.passes(ctx, x.findGateway) && x.open.Port != 0 {
		p.passes(ctx, x.findSecret)
		p.passes(ctx, x.mayForward)
		x.routable = x.exposure.WorkloadName != "" && listed
	}
	return p.err()
}

// join fits it in with those before it, in order.
func (x *exposer) join(ctx context.Context, before batch) error {
	x.before = before
	if x.injected {
		x.steps.passes(ctx, x.findReach)
	}
	x.routed = x.routable && x.steps.passes(ctx, x.findRoute) && x.steps.passes(ctx, x.findPlaintext) && x.steps.passes(ctx, x.findTwoGateways) && x.routed
	if err := x.steps.err(); err != nil {
		return err
	}
	x.doc = x.document(x.o.dryRun)
	return nil
}

// enter reads the namespace, and sees to it that this user may do the rest: a
// refusal is told with all that is missing.
func (x *exposer) enter(ctx context.Context) error {
	err := x.findNamespace(ctx)
	forbidden := anyOf(err, apierrors.IsForbidden)
	if _, rest := findingsIn(err); len(rest) > 0 && !forbidden {
		return err
	}
	denied := x.mayExpose(ctx)
	if denied != nil && forbidden {
		return denied
	}
	x.may = denied == nil
	return errors.Join(denied, err)
}

func (x *exposer) findNamespace(ctx context.Context) error {
	name := x.intent.Namespace
	ns, err := x.cluster.ReadNamespace(ctx, name)
	if apierrors.IsNotFound(err) {
		return noNamespace(name)
	}
	if err != nil {
		return fmt.Errorf("reading namespace %s: %w", name, err)
	}
	if ns.Status.Phase == corev1.NamespaceTerminating {
		return &k8s.NotReadyError{Code: finding.Terminating, Subject: "namespace " + name, Cause: "it is being deleted", Hint: "Nothing was written."}
	}
	x.namespace = ns
	if x.injectors, err = x.mesh.Injectors(ctx); err != nil {
		return err
	}
	if istio.RunsMesh(x.injectors, name) {
		return &k8s.NotReadyError{Code: finding.MeshsOwn, Subject: "namespace " + name,
			Cause: "the mesh itself runs in it, and an injection label there would reach the mesh's own pods",
			Hint:  "Nothing was written. Run the gRPC server in a namespace of its own, and name that one with -n."}
	}
	return nil
}

func (x *exposer) findWorkload(ctx context.Context) error {
	name := x.intent.Namespace
	all, err := x.cluster.Workloads(ctx, name)
	if err != nil {
		return err
	}
	if x.workload, err = k8s.Choose(all, name, x.intent.Workload); err != nil {
		return x.whichWorkload(err)
	}
	x.workloads = all
	if err := x.countSidecars(ctx); err != nil {
		return err
	}
	x.say("workload   %s, %s", x.workload, plural(x.pods, "pod"))
	x.intent.Host = manifest.HostFor(x.intent.Host, x.workload.Name, name)
	if err := x.intent.Validate(); err != nil {
		return err
	}
	return nil
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
	x.kept = nil
	if w.Partition > 0 {
		all, err := x.cluster.Pods(ctx, w)
		if err != nil {
			return err
		}
		x.kept = w.Held(all)
	}
	x.workload, x.pods, x.lacking = w, len(pods), 0
	for i := range pods {
		if !k8s.HasSidecar(pods[i].Spec) {
			x.lacking++
		}
	}
	if x.intent.Inject == manifest.InjectNone {
		x.lacking, x.kept = 0, nil // they are not to have any
	}
	return nil
}

// restartable refuses, before anything is written, what a restart could not
// bring about.
func (x *exposer) restartable(context.Context) error {
	none := x.pods == 0 && x.workload.Replicas > 0 // a paused Deployment makes no first pods either
	switch {
	case len(x.kept) > 0:
		return &k8s.NotReadyError{Code: finding.Partition, Namespace: x.workload.Namespace, Subject: x.workload.String(),
			Cause: fmt.Sprintf("its spec.updateStrategy.rollingUpdate.partition is %d, so a restart leaves %s without the sidecar", x.workload.Partition, strings.Join(x.kept, ", ")),
			Hint: fmt.Sprintf("Nothing was written. Set the partition to 0 first: kubectl -n %s patch statefulset %s --type merge -p '{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"partition\":0}}}}'",
				x.workload.Namespace, x.workload.Name)}
	case x.lacking == 0 && (!x.workload.Paused || !none):
		return nil
	}
	return rollable(x.o.called, x.workload, "be given the sidecar", "Label the namespace and delete its pods yourself")
}

// watch has it read what it needs as it changes, from now on.
func (x *exposer) watch() {
	x.cluster = x.cluster.Live()
	x.mesh = x.mesh.Beside(x.cluster)
	x.appliers = appliersOf(x.cluster, x.mesh)
}

// restart restarts the workload if its newest pods lack the sidecar, judged
// anew now that the label is there. One that changed meanwhile is judged again: a
// pod that crashes changes its workload's status all the time.
func (x *exposer) restart(ctx context.Context) (restarted bool, err error) {
	for range 5 {
		if err := x.countSidecars(ctx); err != nil {
			return false, err
		}
		if err := x.restartable(ctx); err != nil {
			return false, err
		}
		if x.lacking == 0 {
			return false, nil
		}
		earlier := x.workload
		if err = x.cluster.Restart(ctx, x.workload, time.Now()); !errors.As(err, new(*plan.ConflictError)) {
			if err == nil {
				x.earlier = &earlier
			}
			return err == nil, err
		}
		x.watch()
	}
	return false, err
}

func (x *exposer) restartChange() plan.Change {
	return plan.Change{
		ID:     manifest.ID{Kind: x.workload.Kind, Namespace: x.workload.Namespace, Name: x.workload.Name},
		Action: plan.Restart,
		Reason: fmt.Sprintf("%d of %s without the sidecar", x.lacking, plural(x.pods, "pod")),
	}
}

func (x *exposer) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	x.warnings = append(x.warnings, w)
	if x.doc != nil {
		x.doc.Warnings = x.warnings
	}
	x.say("warning    %s", w)
}
