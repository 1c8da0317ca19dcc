package cmd

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

type statusOptions struct {
	IO
	flags *k8s.Flags

	all    bool
	output string
}

func newStatus(streams IO, flags *k8s.Flags) *cobra.Command {
	o := &statusOptions{IO: streams, flags: flags}
	c := &cobra.Command{
		Use:   "status",
		Short: "List what is exposed, where, and by whom",
		Long: `List what is exposed through gateways, at which addresses, and by whom, with its pods and
sidecars. What grpcmesh did not make is listed too. Nothing is written.`,
		Example: `  # What a namespace exposes
  grpcmesh status --namespace test

  # The whole cluster, with routes and gateways
  grpcmesh status --all-namespaces -o wide`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	fs := c.Flags()
	fs.BoolVarP(&o.all, "all-namespaces", "A", false, "Look at every namespace.")
	fs.StringVarP(&o.output, "output", "o", "text", "Output format: text, wide, json, yaml or name.")
	return c
}

func (o *statusOptions) run(ctx context.Context) error {
	if err := chosen("--output", o.output, outputs("status")); err != nil {
		return err
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
	w, err := look(ctx, cluster, mesh, namespace)
	if err != nil {
		return err
	}
	found := w.exposures(namespace)
	if !o.all && len(w.workloads) == 0 && len(found) == 0 {
		ns, err := cluster.Get(ctx, manifest.ID{Kind: "Namespace", Name: namespace})
		if err == nil && ns == nil { // who may not look is told what the lists said
			return noNamespace(namespace)
		}
	}
	doc := &report.Status{APIVersion: report.APIVersion, Kind: "StatusReport", Namespace: namespace, Exposures: found}
	return printed(o.Out, o.output, doc, func(out io.Writer) error { return o.text(out, doc) })
}

func (o *statusOptions) text(out io.Writer, doc *report.Status) error {
	switch {
	case o.output == "name":
		return doc.Names(out)
	case len(doc.Exposures) > 0:
		return doc.Table(out, o.output == "wide")
	}
	where := "in namespace " + doc.Namespace
	if o.all {
		where = "in this cluster"
	}
	_, err := fmt.Fprintln(o.Err, report.CleanLines("Nothing is exposed through a gateway "+where+"."))
	return err
}

// exposures are the VirtualServices of the namespace ("" is all) that gateways
// serve, by namespace and name.
func (w *view) exposures(namespace string) []report.Exposure {
	found := []report.Exposure{}
	for _, vs := range w.routes.VirtualServices {
		if (namespace == "" || vs.Namespace == namespace) && istio.BeyondMesh(vs) && len(vs.Spec.Hosts) > 0 {
			found = append(found, w.exposure(vs))
		}
	}
	slices.SortFunc(found, func(a, b report.Exposure) int {
		return strings.Compare(a.Namespace+"/"+a.VirtualService, b.Namespace+"/"+b.VirtualService)
	})
	return found
}

func (w *view) exposure(vs *clientnet.VirtualService) report.Exposure {
	e := report.Exposure{Namespace: vs.Namespace, VirtualService: vs.Name, ManagedBy: vs.Labels[manifest.ManagedBy], Adopted: vs.Annotations[manifest.AdoptedAnnotation] != "", Hosts: vs.Spec.Hosts, Injection: vs.Annotations[manifest.InjectAnnotation],
		Services: []string{}, Workloads: []string{}, Gateways: []string{}, Addresses: []string{}, Problems: []string{}}
	problem := func(format string, args ...any) { e.Problems = append(e.Problems, fmt.Sprintf(format, args...)) }
	w.entrances(vs, &e)
	if e.Injection == "" && manifest.Owned(vs.Labels) {
		e.Injection = manifest.InjectNamespace
	}
	if manifest.Owned(vs.Labels) {
		e.Uses = w.uses(vs)
	}
	led := &led{view: w, exposure: &e, problem: problem}
	if len(e.Gateways) == 0 {
		problem("no ingress gateway listens for it: none of its Gateways (%s) is there, selects a gateway, opens one of its ports and admits its hosts", strings.Join(vs.Spec.Gateways, ", "))
	}
	for _, rule := range vs.Spec.Http {
		e.Paths = append(e.Paths, pathsOf(rule)...)
		e.Routing = append(e.Routing, routingOf(rule)...)
		destinations, err := istio.Destinations(rule, vs.Namespace)
		if err != nil {
			problem("%s", err)
		}
		for _, d := range destinations {
			led.to(d, written(rule, d))
		}
	}
	e.Routing = append(e.Routing, w.balancing(vs)...)
	for _, list := range []*[]string{&e.Services, &e.Workloads, &e.Paths, &e.Routing, &e.Gateways, &e.Addresses} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if e.Pods > 0 && e.Sidecars < e.Pods && e.Injection != manifest.InjectNone {
		problem("%d of %s without the sidecar", e.Pods-e.Sidecars, plural(e.Pods, "pod"))
	}
	if led.counted > 0 && led.uncounted == 0 && e.Ready == 0 {
		problem("no pod is ready")
	}
	if host, other := w.routes.Behind(vs, w.ingresses); other != nil {
		problem("VirtualService %s/%s comes before it and takes every call to host %q; expose one of them under a host of its own, or delete one", other.Namespace, other.Name, host)
	}
	return e
}

func (w *view) entrances(vs *clientnet.VirtualService, e *report.Exposure) {
	for _, l := range w.routes.Entrances(vs, w.ingresses) {
		e.Gateways = append(e.Gateways, l.Ingress.String())
		for _, a := range l.Ingress.Addresses {
			address := net.JoinHostPort(a, strconv.Itoa(int(l.Server.Port.Number)))
			if l.Secures() {
				address = "https://" + address
			}
			e.Addresses = append(e.Addresses, address)
		}
	}
}

// pathsOf is what a rule asks of a call's path.
func pathsOf(rule *networking.HTTPRoute) []string {
	var paths []string
	for _, m := range rule.Match {
		switch uri := m.GetUri().GetMatchType().(type) {
		case *networking.StringMatch_Exact:
			paths = append(paths, uri.Exact)
		case *networking.StringMatch_Prefix:
			paths = append(paths, uri.Prefix+"*")
		case *networking.StringMatch_Regex:
			paths = append(paths, "~"+uri.Regex)
		}
	}
	return paths
}
