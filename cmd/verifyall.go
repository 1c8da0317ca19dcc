package cmd

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

// checksAtOnce is how many services are verified at a time.
const checksAtOnce = 16

// several says whether the run was asked for several services.
func (o *verifyOptions) several() bool { return o.all || len(o.files) > 0 }

// oneTarget refuses flags that single out one service beside those that ask for
// several.
func (o *verifyOptions) oneTarget(c *cobra.Command) error {
	if !o.several() {
		return nil
	}
	with := "--all"
	if len(o.files) > 0 {
		with = "--filename"
	}
	for _, name := range []string{"all", "authority", "service", "virtual-service", "path", "call", "backend-from", "expect", "samples"} {
		if c.Flags().Changed(name) && "--"+name != with {
			return usageError{errors.New(apart(name, with))}
		}
	}
	return nil
}

// runAll verifies several services and sums up. The false-alarm rate is that of
// all together, split evenly. What keeps one from being judged stops no other.
func (o *verifyOptions) runAll(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) error {
	all, err := o.targets(ctx, cluster, mesh)
	if err != nil {
		return outOfTime(ctx, err, o.timeout)
	}
	shares := &lines{open: map[string]*shared{}}
	defer shares.close()
	o.say("testing    %s, up to %d at a time", plural(len(all), "service"), checksAtOnce)
	if !o.readOnly && (o.identify == "auto" || o.identify == check.RungRoute) {
		o.say("by         a probe route each, where that can be: one VirtualService is added in its namespace for the time of the check")
	}
	items, errs := make([]*report.Verify, len(all)), make([]error, len(all))
	done := newTally(o, len(all))
	k8s.AtOnce(len(all), checksAtOnce, func(i int) {
		all[i].lines, all[i].alpha = shares, o.alpha/float64(len(all))
		items[i], errs[i] = all[i].judged(ctx, cluster, mesh)
		done.one(items[i])
	}, nil)
	if errors.As(context.Cause(ctx), new(SignalError)) {
		return ctx.Err()
	}
	list := report.NewVerifyList(items, o.alpha)
	return summedUp(list, o.finish(list, list.Verdict), errors.Join(errs...))
}

// judged is the verdict on one of several.
func (o *verifyOptions) judged(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) (*report.Verify, error) {
	o.begun = time.Now()
	doc, evidence, err := &report.Verify{}, (*check.Evidence)(nil), o.absent
	if err == nil && o.addr != "" {
		err = o.validAddr()
	} else if err == nil {
		err = &manifest.TargetError{What: "its gateway has no address that is known here",
			Hint: "Forward a port of the gateway's Service and name it: --addr 127.0.0.1:PORT"}
	}
	if err == nil {
		doc, evidence, err = o.examine(ctx, cluster, mesh)
	}
	if err != nil {
		err = outOfTime(ctx, err, o.timeout)
		doc = unjudged(o.addr, o.dialAuthority(), err)
		doc.Name = o.among
		o.timed(doc)
		return doc, err
	}
	doc.Name, doc.Result = o.among, check.Judge(*evidence)
	doc.Reached(*evidence)
	o.timed(doc)
	return doc, nil
}

// targets are the checks to make, one for each route that was asked for.
func (o *verifyOptions) targets(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) ([]*verifyOptions, error) {
	if o.all {
		namespace := o.flags.Namespace()
		w, err := look(ctx, cluster, mesh, namespace)
		if err != nil {
			return nil, err
		}
		all := o.each(w, w.exposures(namespace), map[string]string{})
		if len(all) == 0 {
			return nil, &manifest.TargetError{What: "nothing is exposed through a gateway in namespace " + namespace, Hint: "See where something is: grpcmesh status -A"}
		}
		return all, nil
	}
	files := &exposeOptions{IO: o.IO, files: o.files, intent: manifest.Intent{Namespace: o.flags.Namespace()}}
	intents, err := files.given()
	if err != nil {
		return nil, err
	}
	var all []*verifyOptions
	views := map[string]*view{}
	for _, intent := range intents {
		w := views[intent.Namespace]
		if w == nil {
			if w, err = look(ctx, cluster, mesh, intent.Namespace); err != nil {
				return nil, err
			}
			views[intent.Namespace] = w
		}
		found := slices.DeleteFunc(w.exposures(intent.Namespace), func(e report.Exposure) bool { return !exposes(e, intent) })
		if len(found) == 0 {
			all = append(all, o.without(intent))
			continue
		}
		metadata := intent.Route.Metadata()
		if metadata == nil {
			metadata = map[string]string{}
		}
		all = append(all, o.each(w, found, metadata)...)
	}
	return all, nil
}

// exposes says whether an exposure is what an Intent asks for.
func exposes(e report.Exposure, intent manifest.Intent) bool {
	kind, name, err := manifest.ParseWorkload(intent.Workload)
	of := func(workload string) bool {
		k, n, _ := strings.Cut(workload, "/")
		return intent.Workload == "" || err == nil && n == name && (kind == "" || k == kind)
	}
	return slices.ContainsFunc(e.Workloads, func(w string) bool {
		_, n, _ := strings.Cut(w, "/")
		return of(w) && slices.Contains(e.Hosts, manifest.HostFor(intent.Host, n, intent.Namespace))
	})
}

// each makes a check of each exposure, by the first of its addresses unless one
// was given, and with the metadata, where none of that name was given.
func (o *verifyOptions) each(w *view, exposures []report.Exposure, metadata map[string]string) []*verifyOptions {
	var all []*verifyOptions
	for _, e := range exposures {
		one := *o
		one.among = e.Namespace + "/" + e.VirtualService
		one.namespace, one.virtualService = e.Namespace, e.VirtualService
		if one.addr == "" {
			var secured bool
			one.addr, secured = w.entrance(e, o.tls.on())
			one.tls = o.tls.toggled(secured)
		}
		one.authority = authorityFor(e.Hosts[0], one.addr)
		one.metadata = maps.Clone(metadata)
		maps.Copy(one.metadata, o.metadata)
		all = append(all, &one)
	}
	return all
}

// entrance is an address and port by which calls reach an exposure, or "", and
// whether by TLS: as is preferred, if it can be.
func (w *view) entrance(e report.Exposure, prefer bool) (addr string, secured bool) {
	i := slices.IndexFunc(w.routes.VirtualServices, func(vs *clientnet.VirtualService) bool {
		return vs.Namespace == e.Namespace && vs.Name == e.VirtualService
	})
	for _, l := range w.routes.Entrances(w.routes.VirtualServices[i], w.ingresses) {
		if len(l.Ingress.Addresses) == 0 || addr != "" && l.Secures() != prefer {
			continue
		}
		addr, secured = net.JoinHostPort(l.Ingress.Addresses[0], strconv.Itoa(int(l.Server.Port.GetNumber()))), l.Secures()
		if secured == prefer {
			break
		}
	}
	return addr, secured
}

// tally tells how far a run over several services is.
type tally struct {
	o    *verifyOptions
	mu   sync.Mutex
	done int
	of   int
}

func newTally(o *verifyOptions, of int) *tally { return &tally{o: o, of: of} }

func (t *tally) one(v *report.Verify) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	verdict := strings.ToUpper(string(v.Verdict))
	if v.Error != "" {
		verdict = "NOT JUDGED"
	}
	t.o.say("%-10s %d of %d  %s", verdict, t.done, t.of, v.Name)
}
