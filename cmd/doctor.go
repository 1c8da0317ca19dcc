package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

type doctorOptions struct {
	IO
	flags *k8s.Flags

	all     bool
	explain string
	output  string
	timeout time.Duration
}

func newDoctor(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &doctorOptions{IO: streams, flags: flags}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong for gRPC through the mesh, without a call and without a write",
		Long: `Say what is wrong for gRPC through the mesh: with the workloads of a namespace that speak it, the
Services before them, and the Gateways and VirtualServices that lead there. It looks, and makes a pod by
dry run where pods lack their sidecar; nothing is written, and no call is made.

Each finding has a code, the object, the reason and the next step; where 'istioctl analyze' tells the
same, its code stands beside. The exit code is 3 where an error was found, and 0 for warnings alone.`,
		Example: `  # One namespace
  grpcmesh doctor --namespace test

  # The whole cluster
  grpcmesh doctor --all-namespaces

  # What a code means, how it comes about, how to see it and how to mend it
  grpcmesh doctor --explain GM144`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	fs := c.Flags()
	fs.BoolVarP(&o.all, "all-namespaces", "A", false, "Look at every namespace.")
	fs.StringVar(&o.explain, "explain", "", "Tell the whole story of a `CODE` instead; no cluster is asked.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: text, json or yaml.")
	fs.DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to look in all.")
	_ = c.RegisterFlagCompletionFunc("explain", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var codes []string
		for _, c := range finding.Codes() {
			codes = append(codes, c.Code+"\t"+c.Meaning)
		}
		for _, c := range check.Codes() {
			codes = append(codes, c.Code+"\t"+c.Meaning)
		}
		return codes, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (o *doctorOptions) run(ctx context.Context) error {
	if err := chosen("--output", o.output, outputs("doctor")); err != nil {
		return err
	}
	if o.explain != "" {
		return o.tell(o.explain)
	}
	if o.timeout <= 0 {
		return &manifest.InvalidError{Field: "--timeout", Value: o.timeout.String(), Reason: "must be more than 0"}
	}
	namespace := o.flags.Namespace()
	if o.all {
		namespace = metav1.NamespaceAll
	} else if err := (manifest.Intent{Namespace: namespace, Port: manifest.DefaultPort, Host: "*"}).Validate(); err != nil {
		return err
	}
	cluster, mesh, err := connect(o.flags)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	d := &checkup{cluster: cluster, mesh: mesh, namespace: namespace}
	failed := d.look(ctx)
	if failed == nil {
		failed = d.diagnose(ctx)
	}
	failed = outOfTime(ctx, failed, o.timeout)
	doc := d.document()
	switch {
	case failed == nil:
	case o.output == "text":
		return failed
	default:
		doc.Error = failed.Error()
	}
	if err = errors.Join(failed, printed(o.Out, o.output, doc, doc.Text)); err == nil && doc.Errors > 0 {
		return verdictError{exitNo}
	}
	return err
}

// tell prints the story of a code.
func (o *doctorOptions) tell(code string) error {
	story, ok := storyOf(code)
	if !ok {
		return &manifest.InvalidError{Field: "--explain", Value: code, Reason: "is no code of grpcmesh's: they are GM and three digits, as expose, doctor and verify print them"}
	}
	return printed(o.Out, o.output, story, story.Text)
}

// checkup is one look at a namespace, or at all of them, and what it finds.
type checkup struct {
	cluster   *k8s.Cluster
	mesh      *istio.Mesh
	namespace string // "" is all
	*view
	gateways   []istio.Ingress // those without pods too
	injectors  []istio.Injector
	unlisted   bool // the injectors: this user may not
	namespaces map[string]*corev1.Namespace
	led        map[string][]int // ports of a Service that a route of a gateway leads to, by namespace/name
	grpcLed    map[string][]int // those to which the gateway's port is for gRPC
	found      []finding.Finding
	speaking   int  // workloads that speak gRPC
	silent     int  // that say nothing of it
	without    bool // Istio's kinds
}

func (d *checkup) tell(f finding.Finding) { d.found = append(d.found, f) }

// soft tells a finding as a warning: it does harm where more is wanted of the
// object.
func (d *checkup) soft(f finding.Finding) {
	f.Severity = finding.Warning
	d.tell(f)
}

// look reads all that is judged. What this user may not read beside the objects
// themselves is told.
func (d *checkup) look(ctx context.Context) error {
	d.view, d.namespaces = &view{}, map[string]*corev1.Namespace{}
	if err := d.readNamespaces(ctx); err != nil {
		return err
	}
	var err error
	if d.routes, err = d.mesh.Routes(ctx); err != nil {
		f, rest := findingsIn(err)
		if len(rest) > 0 {
			return err
		}
		d.found, d.without = append(d.found, f...), true
	}
	if d.gateways, err = d.mesh.AllIngresses(ctx); err != nil {
		return err
	}
	d.ingresses = slices.DeleteFunc(slices.Clone(d.gateways), func(i istio.Ingress) bool { return i.Asleep })
	d.injectors, err = d.mesh.Injectors(ctx)
	if d.unlisted = apierrors.IsForbidden(err); d.unlisted {
		d.tell(finding.New(finding.Unchecked, "", "injection", "this user may not list mutatingwebhookconfigurations.admissionregistration.k8s.io, so nothing is said of sidecars",
			"Ask for the permission; the role grpcmesh-look of docs/rbac.yaml has it."))
	} else if err != nil {
		return err
	}
	if err := d.read(ctx, d.cluster, d.namespace); err != nil {
		return err
	}
	for _, other := range d.elsewhere(d.namespace) {
		if err := d.read(ctx, d.cluster, other); err != nil && !anyOf(err, apierrors.IsForbidden) {
			return err
		}
	}
	return nil
}

func (d *checkup) readNamespaces(ctx context.Context) error {
	api := d.cluster.Core.CoreV1().Namespaces()
	var items []corev1.Namespace
	var err error
	if d.namespace == metav1.NamespaceAll {
		var list *corev1.NamespaceList
		if list, err = api.List(ctx, metav1.ListOptions{}); err == nil {
			items = list.Items
		}
	} else {
		var ns *corev1.Namespace
		if ns, err = api.Get(ctx, d.namespace, metav1.GetOptions{}); err == nil {
			items = []corev1.Namespace{*ns}
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return noNamespace(d.namespace)
	case apierrors.IsForbidden(err):
		verb := "get"
		if d.namespace == metav1.NamespaceAll {
			verb = "list"
		}
		d.tell(finding.New(finding.Unchecked, "", "namespaces", "this user may not "+verb+" namespaces, so nothing is said of their labels",
			"Ask for the permission; the role grpcmesh-look of docs/rbac.yaml has it."))
	case err != nil:
		return fmt.Errorf("reading namespaces: %w", err)
	}
	for i := range items {
		d.namespaces[items[i].Name] = &items[i]
	}
	return nil
}

// diagnose judges what was read, and looks closer where that is needed.
func (d *checkup) diagnose(ctx context.Context) error {
	if d.without {
		return nil // without Istio's kinds there is nothing to judge by
	}
	if len(d.injectors) == 0 && !d.unlisted {
		_, err := istio.DecideInjection(nil, &corev1.Namespace{}, "", corev1.PodTemplateSpec{}, "")
		f, _ := findingsIn(err)
		d.found = append(d.found, f...)
	}
	if len(d.gateways) == 0 {
		d.soft(finding.New(finding.NoGateway, "", "this cluster", "no Service leads to pods that run the proxy as a router, so there is no ingress gateway",
			"Install one first, for instance with Istio's gateway chart."))
	}
	d.follow()
	if err := d.diagnoseGateways(ctx); err != nil {
		return err
	}
	d.diagnoseRoutes()
	d.diagnoseNamespaces()
	return d.diagnoseWorkloads(ctx)
}

// within says whether a namespace is one of those that are looked at: neither
// another's, nor one that Istio passes by, nor the mesh's own.
func (d *checkup) within(namespace string) bool {
	return (d.namespace == "" || d.namespace == namespace) && !istio.PassedBy(namespace) && !istio.RunsMesh(d.injectors, namespace)
}

func (d *checkup) document() *report.Doctor {
	doc := &report.Doctor{APIVersion: report.APIVersion, Kind: "DoctorReport", Namespace: d.namespace, Workloads: d.speaking, Silent: d.silent,
		Findings: finding.Sort(d.found)}
	for _, f := range doc.Findings {
		if f.Severity == finding.Error {
			doc.Errors++
		} else {
			doc.Warnings++
		}
	}
	for _, gw := range d.routes.Gateways {
		if d.namespace == "" || gw.Namespace == d.namespace {
			doc.Gateways++
		}
	}
	for _, vs := range d.routes.VirtualServices {
		if d.namespace == "" || vs.Namespace == d.namespace {
			doc.VirtualServices++
		}
	}
	for i := range d.services {
		if d.namespace == "" || d.services[i].Namespace == d.namespace {
			doc.Services++
		}
	}
	return doc
}

// noNamespace says that there is none of that name.
func noNamespace(name string) error {
	return &manifest.TargetError{Code: finding.NoNamespace, What: "no namespace " + name + " in this cluster",
		Hint: "Name the one that the gRPC server runs in with -n."}
}
