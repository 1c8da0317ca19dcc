package cmd

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

func (x *exposer) findGateway(ctx context.Context) error {
	all, err := x.mesh.AllIngresses(ctx)
	if err != nil {
		return err
	}
	x.exposure.TLS = x.intent.TLS()
	if x.exposure.TLS.On() {
		all = istio.Securing(all)
	}
	gw, all, err := x.askedGateway(ctx, all)
	if err != nil {
		return err
	}
	asked := x.intent.GatewaySelector
	var alike []istio.Ingress
	if x.ingress, alike, err = istio.ChooseIngress(all, asked, x.intent.GatewayPort, x.exposure.Port); err != nil {
		return err
	}
	if err := x.findAge(); err != nil {
		return err
	}
	if gw != nil {
		if err := x.offered(gw); err != nil {
			return err
		}
	}
	if x.exposure.Port == 0 && x.intent.GatewayPort == 0 {
		return nil // which port to take depends on the Service, which is not known
	}
	if err := x.choosePort(ctx); err != nil {
		return err
	}
	if x.node, err = x.mesh.NodeAddress(ctx, x.ingress, x.open); err != nil {
		return err
	}
	// Labels that were asked for may tell its pods from another gateway's.
	x.exposure.GatewaySelector, x.exposure.GatewayPort = maps.Clone(x.ingress.Selector), x.open.Port
	maps.Copy(x.exposure.GatewaySelector, asked)
	x.say("gateway    %s, port %d, %s", x.ingress, x.open.Port, plural(len(x.ingress.Pods), "replica"))
	if x.follower != "" {
		x.say("           port %d is not open yet: %s keeps just the ports that Gateways name, so the Gateway is made first", x.open.Port, x.follower)
	}
	for _, in := range alike {
		at := ""
		if len(in.Addresses) > 0 {
			at = ", at " + strings.Join(in.Addresses, " and ")
		}
		x.say("           Service %s leads to the same pods and would do as well; what is exposed is reached through it too%s", in, at)
	}
	return nil
}

// findAge warns of a gateway that is too old for a part of the proofs, and
// refuses one that is too old for what is written.
func (x *exposer) findAge() error {
	if err := x.ingress.NotTooOld(); err != nil {
		return err
	}
	if f, ok := x.ingress.TooOld(); ok {
		x.found(f)
	}
	return nil
}

func (x *exposer) findRoute(ctx context.Context) error {
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return err
	}
	x.routes, x.led = routes, true
	return errors.Join(x.lead(routes), x.findRule(ctx), x.noteReuse())
}

// lead decides what the Gateway is to listen on, and whether the route can
// stand beside those that there are.
func (x *exposer) lead(routes istio.Routes) error {
	x.again.gateway = ""
	if gw := routes.Gateway(x.exposure.Namespace, manifest.GatewayName); gw != nil {
		x.again.gateway = gw.ResourceVersion
	}
	x.again.saw(manifest.ID{Kind: "VirtualService", Namespace: x.exposure.Namespace, Name: x.exposure.WorkloadName},
		routes.Version(x.exposure.Namespace, x.exposure.WorkloadName))
	routes = x.merging.with(routes, x.before)
	e := &x.exposure
	if x.useRoutes(routes) {
		return nil
	}
	if listens, err := x.bind(routes); err != nil || !listens {
		return err // else it can't be as wanted, which the plan says better than what it would bring about
	}
	// Once its own route is written, who came after is not this run's matter.
	near := routes.Around(e.Host)
	if !x.again.wrote[manifest.ID{Kind: "VirtualService", Namespace: e.Namespace, Name: e.WorkloadName}] {
		if err := x.clash(near); err != nil {
			return ofEach(err, x.withinRun)
		}
	}
	x.shared = near.Shared(x.ingress, x.open.Port, *e)
	return nil
}

// merging are the routes as they will be once the first exposures of a batch
// are written: each is added once, as the batch is gone through.
type merging struct {
	routes istio.Routes
	of     int // how many
}

// with is the routes with the exposures before. They are gone through in order,
// and from the first again where the routes were read anew.
func (m *merging) with(routes istio.Routes, before batch) istio.Routes {
	if m == nil { // a batch of one
		m = &merging{}
	}
	if len(before) == 0 || m.of > len(before) {
		m.routes, m.of = routes, 0
	}
	for ; m.of < len(before); m.of++ {
		m.routes = m.routes.With(before[m.of].exposure.Objects())
	}
	return m.routes
}

// clash looks for whose calls the exposure would take, and who would take its.
func (x *exposer) clash(routes istio.Routes) error {
	if err := routes.Clash(x.ingress, x.open.Port, x.exposure); err != nil {
		return ofEach(err, func(err error) error { return x.besideTheirs(routes, err) })
	}
	var overtaken []error
	for _, path := range x.paths() {
		call := istio.Call{Path: path, Authority: x.authority(), Metadata: x.exposure.Route.Metadata(), TLS: x.exposure.TLS.On()}
		err := routes.Overtaken(x.ingress, x.open.Port, x.exposure, call)
		if err != nil && !slices.ContainsFunc(overtaken, func(was error) bool { return was.Error() == err.Error() }) {
			overtaken = append(overtaken, err)
		}
	}
	return errors.Join(overtaken...)
}
