package cmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/check"
	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// target is what an address stands for: a route through a gateway, or, where
// Service is set, a Service's own port.
type target struct {
	cluster *k8s.Cluster
	mesh    *istio.Mesh

	layer4 bool
	vs     *clientnet.VirtualService
	gw     istio.Listener
	table  istio.Table // what calls to the authority are tried by, in order
	entry  istio.Entry // of it, the rule under test
	sticky string      // why calls stick to one pod by design

	via          []istio.Ingress // the gateways that may be in the way
	destinations []istio.Destination
	policies     []istio.Policy   // one a destination
	misread      check.Port       // of a destination, where Istio does not take it for HTTP/2
	disagree     string           // why the gateway and the pods can't speak to each other
	missing      []string         // what the route leads to beside them, and isn't there
	namespace    string           // of the pods
	service      string           // of the first destination
	empty        []string         // destinations without a ready endpoint when last looked for
	version      string           // of the endpoints at that time
	standby      []check.Endpoint // that get calls only when others fail, at that time
	placed       []int            // destinations whose shares go by where pods are
}

// describe names what is under test, in one line.
func (t *target) describe() string {
	if t.layer4 {
		return fmt.Sprintf("Service %s/%s, its own address (layer 4)", t.namespace, t.service)
	}
	return fmt.Sprintf("%s (hosts %s) through Gateway %s/%s, port %d",
		t.entry, strings.Join(t.vs.Spec.Hosts, ", "),
		t.gw.Gateway.Namespace, t.gw.Gateway.Name, t.gw.Server.Port.Number)
}

func (t *target) where(address string) check.Where {
	w := check.Where{Address: address, Namespace: t.namespace, Service: t.service}
	if t.vs != nil {
		w.Namespace, w.VirtualService = t.vs.Namespace, t.vs.Name
	}
	return w
}

// findTarget resolves the address to the one thing that calls to it reach.
// None, or several, is a *manifest.TargetError with the candidates.
func (o *verifyOptions) findTarget(ctx context.Context, cluster *k8s.Cluster, mesh *istio.Mesh) (*target, error) {
	t := &target{cluster: cluster, mesh: mesh}
	ingresses, err := mesh.Ingresses(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := mesh.Whose(ctx, ingresses, o.host, istio.Resolve(ctx, o.host), o.port)
	if err != nil {
		return nil, err
	}
	if owner.Service != nil {
		t.layer4 = true
		t.destinations = []istio.Destination{{Namespace: owner.Service.Namespace, Service: owner.Service.Name, Port: int(owner.Port.Port), Share: 1}}
		return t, t.findPods(ctx)
	}
	routes, err := mesh.Routes(ctx)
	if err != nil {
		return nil, err
	}
	listeners, via := o.listeners(routes, ingresses, owner)
	if met := istio.Met(listeners, o.tls.on(), o.nameAsked()); len(met) > 0 {
		listeners = met // else the dial says what is wrong
	}
	t.via = via
	serving := routes.ServingEach(listeners, o.authorityHost())
	c, err := o.choose(routes, serving, listeners, via, owner)
	if err != nil {
		return nil, err
	}
	t.vs, t.gw, t.table = c.VirtualService, c.Listener, routes.Table(c.Listener, serving)
	if t.entry, err = o.chooseRule(t); err != nil {
		return nil, err
	}
	if t.destinations, err = istio.Destinations(t.entry.Rule, t.vs.Namespace); err != nil {
		return nil, err
	}
	return t, t.findPods(ctx)
}

// listeners are those that the address may lead to, and their gateways. One
// that no object knows is taken for a gateway's port of the same number, and
// where there is none for any.
func (o *verifyOptions) listeners(routes istio.Routes, ingresses []istio.Ingress, owner istio.Owner) (found []istio.Listener, via []istio.Ingress) {
	if owner.Ingress != nil {
		return routes.Listeners(*owner.Ingress, owner.Number), []istio.Ingress{*owner.Ingress}
	}
	for _, number := range []int{o.port, 0} {
		for _, in := range ingresses {
			found = append(found, routes.Listeners(in, number)...)
		}
		if len(found) > 0 {
			break
		}
	}
	return found, ingresses
}

// chooseRule finds the rule under test: where real calls' path is given, the
// one that takes it; else the VirtualService's own that takes every call, or
// its first.
func (o *verifyOptions) chooseRule(t *target) (istio.Entry, error) {
	lead, ok := t.table.Lead(t.vs, o.meant)
	if len(o.metadata) > 0 && o.path == "" {
		given := t.table.With(o.metadata)
		if lead, ok = given.Lead(t.vs, o.meant); !ok && len(given) > 0 {
			return lead, &manifest.TargetError{What: fmt.Sprintf("calls with this metadata (%s) never reach VirtualService %s/%s; the first rule that takes such calls is %s", metadataNames(o.metadata), t.vs.Namespace, t.vs.Name, given[0]),
				Hint: fmt.Sprintf("Test that one instead: --namespace %s --virtual-service %s; or give the --metadata that the route asks for.", given[0].VirtualService.Namespace, given[0].VirtualService.Name)}
		}
	}
	if o.path != "" {
		taken := t.takes(o, o.path)
		switch {
		case taken.OK && taken.Unsure == "" && taken.Entry.VirtualService != t.vs:
			return lead, &manifest.TargetError{What: fmt.Sprintf("calls to %s are taken by %s, not by VirtualService %s/%s", o.path, taken.Entry, t.vs.Namespace, t.vs.Name),
				Hint: fmt.Sprintf("Test that one instead: --namespace %s --virtual-service %s", taken.Entry.VirtualService.Namespace, taken.Entry.VirtualService.Name)}
		case taken.OK && taken.Unsure == "" && len(taken.Entry.Rule.Route) > 0:
			return taken.Entry, nil
		case taken.OK && taken.Unsure == "":
			return lead, &manifest.TargetError{What: fmt.Sprintf("calls to %s are taken by %s, which leads to no Service (it redirects, or answers by itself)", o.path, taken.Entry),
				Hint: "Name the path of another method with --path."}
		}
	}
	if !ok {
		return lead, &manifest.TargetError{What: fmt.Sprintf("VirtualService %s/%s leads to no Service through Gateway %s/%s", t.vs.Namespace, t.vs.Name, t.gw.Gateway.Namespace, t.gw.Gateway.Name),
			Hint: "Its rules redirect, delegate to nobody, or are for other gateways. Name one that does with --virtual-service."}
	}
	return lead, nil
}

// takes is what the gateway makes of a user's call to the path.
func (t *target) takes(o *verifyOptions, path string) istio.Taken {
	return t.table.Take(t.call(o.dialAuthority(), path, o.metadata))
}

// choose narrows the VirtualServices that serve the authority to the one meant:
// by the flags, and where several are left by the path that real calls have.
func (o *verifyOptions) choose(routes istio.Routes, serving []istio.Candidate, listeners []istio.Listener, via []istio.Ingress, owner istio.Owner) (istio.Candidate, error) {
	fit := slices.DeleteFunc(slices.Clone(serving), func(c istio.Candidate) bool {
		return !o.wanted(c.VirtualService, routes.Table(c.Listener, serving))
	})
	if len(fit) > 1 && o.path != "" {
		fit = slices.DeleteFunc(fit, func(c istio.Candidate) bool {
			t := &target{gw: c.Listener, table: routes.Table(c.Listener, serving)}
			taken := t.takes(o, o.path)
			return taken.OK && taken.Unsure == "" && taken.Entry.VirtualService != c.VirtualService
		})
	}
	if len(fit) > 1 && len(o.metadata) > 0 {
		fit = slices.DeleteFunc(fit, func(c istio.Candidate) bool {
			_, ok := routes.Table(c.Listener, serving).With(o.metadata).Lead(c.VirtualService, o.meant)
			return !ok
		})
	}
	if fit = distinct(routes, serving, fit); len(fit) == 1 {
		return fit[0], nil
	}
	lead := "any gateway of this cluster"
	if owner.Ingress != nil {
		lead = "gateway " + owner.Ingress.String()
	}
	e := &manifest.TargetError{}
	switch {
	case len(fit) > 1:
		e.What = fmt.Sprintf("%d VirtualServices serve %s through %s; which one is under test?", len(fit), o.authorityHost(), lead)
		e.Hint = "Narrow it with --path, --namespace, --service or --virtual-service."
		if onSeveral(fit) {
			e.What = fmt.Sprintf("no object of the cluster has the address %s, and several ports serve %s, each by other rules; which one is under test?", o.addr, o.authorityHost())
			e.Hint = "Dial the gateway's own address and port, or narrow it with --path, --namespace, --service or --virtual-service."
		}
	case len(serving) > 0:
		e.What = fmt.Sprintf("what serves %s through %s is not what was asked for; there are", o.authorityHost(), lead)
		fit = serving
	case len(listeners) == 0 && owner.Ingress != nil:
		e.Code, e.What = finding.NoListener, fmt.Sprintf("no Gateway listens on port %d of %s", owner.Number, lead)
		e.Hint = "Expose a service there: grpcmesh expose --gateway-port " + strconv.Itoa(owner.Number)
	default:
		e.Code, e.What = finding.NoRoute, fmt.Sprintf("no VirtualService serves the host %s through %s", o.authorityHost(), lead)
		e.Hint = "Name the host that clients use with --authority, or expose the service first: grpcmesh expose"
		elsewhere, rest := o.others(routes, listeners, via)
		if len(elsewhere) > 0 {
			by := "plaintext"
			if o.tls.on() {
				by = "TLS"
			}
			e.What = fmt.Sprintf("no VirtualService serves the host %s by %s on port %d of %s; it is served elsewhere", o.authorityHost(), by, cmp.Or(owner.Number, o.port), lead)
			e.Hint = "Call it there, with the flags named; or expose it on this port too: grpcmesh expose --gateway-port PORT"
		}
		e.Candidates = bounded(append(elsewhere, rest...))
	}
	var lines []string
	for _, c := range fit {
		line := fmt.Sprintf("--namespace %s --virtual-service %s", c.VirtualService.Namespace, c.VirtualService.Name)
		if onSeveral(fit) {
			line += fmt.Sprintf(" (port %d of Gateway %s/%s)", c.Listener.Server.Port.GetNumber(), c.Listener.Gateway.Namespace, c.Listener.Gateway.Name)
		}
		lines = append(lines, line)
	}
	e.Candidates = append(e.Candidates, bounded(lines)...)
	return istio.Candidate{}, e
}

// distinct leaves out candidates that are one VirtualService on another port,
// where calls meet the same rules.
func distinct(routes istio.Routes, serving, fit []istio.Candidate) []istio.Candidate {
	var left []istio.Candidate
	for _, c := range fit {
		table := routes.Table(c.Listener, serving)
		if !slices.ContainsFunc(left, func(o istio.Candidate) bool {
			return o.VirtualService == c.VirtualService && table.Alike(routes.Table(o.Listener, serving))
		}) {
			left = append(left, c)
		}
	}
	return left
}

// onSeveral says whether the candidates are on several ports.
func onSeveral(candidates []istio.Candidate) bool {
	return slices.ContainsFunc(candidates, func(c istio.Candidate) bool {
		return c.Listener.Server.Port.GetNumber() != candidates[0].Listener.Server.Port.GetNumber()
	})
}

// wanted says whether a VirtualService is what the narrowing flags ask for.
func (o *verifyOptions) wanted(vs *clientnet.VirtualService, table istio.Table) bool {
	if o.namespace != "" && vs.Namespace != o.namespace || o.virtualService != "" && vs.Name != o.virtualService {
		return false
	}
	_, ok := table.Lead(vs, o.meant)
	return ok || o.service == ""
}

// meant says whether a rule is one of those that --service asks for.
func (o *verifyOptions) meant(e istio.Entry) bool {
	if o.service == "" {
		return true
	}
	destinations, err := istio.Destinations(e.Rule, e.VirtualService.Namespace)
	return err == nil && slices.ContainsFunc(destinations, func(d istio.Destination) bool { return d.Service == o.service })
}
