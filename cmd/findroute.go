package cmd

import (
	"context"
	"maps"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

func (x *exposer) findGateway(ctx context.Context) error {
	all, err := x.mesh.AllIngresses(ctx)
	if err != nil {
		return err
	}
	asked := x.intent.GatewaySelector
	var alike []istio.Ingress
	if x.ingress, alike, err = istio.ChooseIngress(all, asked, x.intent.GatewayPort, x.exposure.Port); err != nil {
		return err
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
	x.o.say("gateway    %s, port %d, %s", x.ingress, x.open.Port, plural(len(x.ingress.Pods), "replica"))
	if x.follower != "" {
		x.o.say("           port %d is not open yet: %s keeps just the ports that Gateways name, so the Gateway is made first", x.open.Port, x.follower)
	}
	for _, in := range alike {
		at := ""
		if len(in.Addresses) > 0 {
			at = ", at " + strings.Join(in.Addresses, " and ")
		}
		x.o.say("           Service %s leads to the same pods and would do as well; what is exposed is reached through it too%s", in, at)
	}
	return nil
}

func (x *exposer) findRoute(ctx context.Context) error {
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return err
	}
	x.routes = routes
	if err := x.lead(routes); err != nil {
		return err
	}
	return x.findRule(ctx)
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
	for _, b := range x.before {
		routes = routes.With(b.exposure.Objects())
	}
	e := &x.exposure
	have, foreign, err := routes.OwnGateway(e.Namespace, x.ingress)
	if err != nil {
		return err
	}
	if !foreign {
		have = routes.Without(have, *e)
	}
	e.Servers = have
	covered := istio.Covers(have, e.Namespace, x.open.Port, e.Host)
	e.ReuseGateway = foreign && covered
	if !covered {
		e.Servers = manifest.MergeServers(have, x.open.Port, e.Host)
	}
	if foreign && !covered {
		return nil // it can't be as wanted, which the plan says better than what it would bring about
	}
	// Once its own route is written, who came after is not this run's matter.
	if !x.again.wrote[manifest.ID{Kind: "VirtualService", Namespace: e.Namespace, Name: e.WorkloadName}] {
		if err := x.clash(routes); err != nil {
			return x.withinRun(err)
		}
	}
	x.shared = routes.Shared(x.ingress, x.open.Port, *e)
	if e.ReuseGateway {
		x.o.say("           Gateway %s is not grpcmesh's and listens as wanted; it is used as it is", manifest.GatewayName)
	}
	return nil
}

// clash looks for whose calls the exposure would take, and who would take its.
func (x *exposer) clash(routes istio.Routes) error {
	if err := routes.Clash(x.ingress, x.open.Port, x.exposure); err != nil {
		return err
	}
	for _, path := range x.paths() {
		call := istio.Call{Path: path, Authority: x.authority(), Metadata: x.exposure.Route.Metadata()}
		if err := routes.Overtaken(x.ingress, x.open.Port, x.exposure, call); err != nil {
			return err
		}
	}
	return nil
}
