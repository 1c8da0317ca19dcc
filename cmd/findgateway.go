package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// askedGateway is the Gateway of someone else's that --gateway names, and of the
// ingress gateways those that it selects; nil, and all, where none is named.
func (x *exposer) askedGateway(ctx context.Context, all []istio.Ingress) (*clientnet.Gateway, []istio.Ingress, error) {
	id, _ := x.intent.AskedGateway()
	if x.intent.UsesGateway() == "" {
		return nil, all, nil
	}
	routes, err := x.mesh.Routes(ctx)
	if err != nil {
		return nil, nil, err
	}
	gw := routes.Gateway(id.Namespace, id.Name)
	if gw == nil {
		return nil, nil, noSuchGateway(id, routes)
	}
	mine := istio.SelectedBy(gw, all)
	if len(mine) == 0 && len(all) > 0 {
		return nil, nil, &k8s.NotReadyError{Code: finding.SelectsNoPods, Namespace: id.Namespace, Subject: id.String(),
			Cause: "it selects the pods of no ingress gateway: " + istio.FormatSelector(gw.Spec.Selector), Hint: "Nothing was written. Name another Gateway, or do without --gateway: then one is made."}
	}
	return gw, mine, nil
}

func noSuchGateway(id manifest.ID, routes istio.Routes) error {
	e := &manifest.TargetError{Code: finding.Unbound, What: fmt.Sprintf("no Gateway %s in namespace %s", id.Name, id.Namespace),
		Hint: "Nothing was written. Name one that is there, or do without --gateway: then one is made."}
	for _, gw := range routes.Gateways {
		e.Candidates = append(e.Candidates, "--gateway "+gw.Namespace+"/"+gw.Name)
	}
	if slices.Sort(e.Candidates); len(e.Candidates) > 0 {
		e.What += "; there are"
	}
	return e
}

// offered takes the port from the Gateway that is asked for, where none is: the one
// that would be chosen without it, or else its first that will do.
func (x *exposer) offered(gw *clientnet.Gateway) error {
	if x.intent.GatewayPort != 0 {
		return nil // whether it listens there is found out with the route
	}
	want := manifest.Exposure{Namespace: x.intent.Namespace, Host: x.intent.Host, TLS: x.intent.TLS()}
	usual, err := istio.ChoosePort(x.ingress, 0, x.exposure.Port)
	ports := istio.Offers(gw, x.ingress, want)
	switch {
	case len(ports) == 0:
		return doesNotServe(gw, istio.Serves(gw, x.ingress, usual.Port, want))
	case err != nil || !slices.Contains(ports, usual.Port):
		x.intent.GatewayPort = ports[0]
	default:
		x.intent.GatewayPort = usual.Port
	}
	return nil
}

func doesNotServe(gw *clientnet.Gateway, why string) error {
	return &k8s.NotReadyError{Code: finding.HostUnheard, Namespace: gw.Namespace, Subject: "Gateway/" + gw.Name, Cause: why,
		Hint: "Nothing was written. Expose as it listens (--host, --gateway-port, --tls-secret), name another Gateway, or do without --gateway: then one is made."}
}

// bind decides which Gateway the route is bound to, and what that one is to
// listen on; listens is false where it is someone else's and does not as wanted.
func (x *exposer) bind(routes istio.Routes) (listens bool, err error) {
	e := &x.exposure
	e.UseGateway = ""
	have, foreign, otherwise := routes.OwnGateway(e.Namespace, x.ingress)
	if x.again.served == nil && otherwise == nil {
		x.again.served = append([]manifest.Server{}, have...)
	}
	used, err := x.usable(routes)
	if err != nil {
		e.UseGateway = x.intent.UsesGateway()
		return false, err
	}
	if used != nil {
		x.use(used)
		return true, nil
	}
	if otherwise != nil {
		e.UseGateway = e.Gateway().Namespace + "/" + e.Gateway().Name // it is not to be written, whatever else is
		return false, otherwise
	}
	own := routes.Gateway(e.Namespace, manifest.GatewayName)
	if !foreign {
		have = routes.Without(have, *e)
	}
	if own != nil && own.Annotations[manifest.AdoptedAnnotation] != "" {
		have, e.GatewaySelector = istio.Keeping(own, have), own.Spec.Selector
	}
	e.Servers = have
	covered := istio.Covers(have, e.Namespace, x.open.Port, e.TLS, e.Host)
	if !covered {
		e.Servers = manifest.MergeServers(have, x.open.Port, e.TLS, e.Host)
	}
	if foreign && !covered && x.o.adopt {
		if err := istio.Adoptable(own); err != nil {
			e.UseGateway = e.Gateway().Namespace + "/" + e.Gateway().Name
			return false, err
		}
		e.GatewaySelector = own.Spec.Selector // it may be for several gateways
		return true, nil
	}
	return covered || !foreign, nil
}

// usable is the Gateway of someone else's that the route is to be bound to: the
// one that is asked for; the one that it is bound to by now; the only one that
// serves what the namespace's own, which is not there yet, would. nil: none.
func (x *exposer) usable(routes istio.Routes) (*clientnet.Gateway, error) {
	e := x.exposure
	serves := func(gw *clientnet.Gateway) bool { return istio.Serves(gw, x.ingress, x.open.Port, e) == "" }
	id, asked := x.intent.AskedGateway()
	own := routes.Gateway(e.Namespace, manifest.GatewayName)
	switch {
	case x.intent.UsesGateway() != "":
		gw := routes.Gateway(id.Namespace, id.Name)
		if gw == nil {
			return nil, noSuchGateway(id, routes)
		}
		if !serves(gw) {
			return nil, doesNotServe(gw, istio.Serves(gw, x.ingress, x.open.Port, e))
		}
		return gw, nil
	case own != nil && !manifest.Owned(own.Labels) && serves(own):
		return own, nil
	case asked:
		return nil, nil //nolint:nilnil // its own
	}
	for _, gw := range routes.BoundTo(e) {
		if gw == own {
			return nil, nil //nolint:nilnil // as before
		}
		if serves(gw) {
			return gw, nil
		}
	}
	fitting := routes.Fitting(x.ingress, x.open.Port, e)
	if own != nil && manifest.Owned(own.Labels) || len(fitting) != 1 {
		return nil, nil //nolint:nilnil // it is for --gateway to say
	}
	return fitting[0], nil
}

// use binds the route to a Gateway of someone else's.
func (x *exposer) use(gw *clientnet.Gateway) {
	e := &x.exposure
	e.UseGateway, e.Servers = gw.Namespace+"/"+gw.Name, istio.ServersOf(gw, e.Namespace)
	if x.doc != nil {
		return // it is told
	}
	x.say("           Gateway %s is not grpcmesh's and listens as wanted; it is used as it is", e.UseGateway)
	if also := istio.AlsoOn(x.ingress, *e); also != "" {
		x.say("           it listens on %s too, so the route answers there as well", also)
	}
}

// useRoutes takes the VirtualServices of someone else's that already do what the
// route would; false where there are none, or through another Gateway than is
// asked for.
func (x *exposer) useRoutes(routes istio.Routes) bool {
	e := &x.exposure
	e.UseRoutes = nil
	used, gw := routes.Routed(x.ingress, x.open.Port, *e, x.authority())
	id, asked := x.intent.AskedGateway()
	if len(used) == 0 || asked && (id.Namespace != gw.Namespace || id.Name != gw.Name) {
		return false
	}
	e.UseGateway, e.Servers, x.shared = gw.Namespace+"/"+gw.Name, nil, len(used) > 1 || len(e.MatchServices) > 0
	for _, vs := range used {
		e.UseRoutes = append(e.UseRoutes, vs.Namespace+"/"+vs.Name)
	}
	if x.doc == nil {
		x.say("           VirtualService %s is not grpcmesh's and leads these calls to Service %s already; it is used as it is", strings.Join(e.UseRoutes, " and "), e.ServiceName())
	}
	return true
}

// routedBy are the VirtualServices, as namespace/name, that lead the calls: those in
// use, or the exposure's own.
func (x *exposer) routedBy() []string {
	if e := x.exposure; len(e.UseRoutes) == 0 {
		return []string{e.Namespace + "/" + e.WorkloadName}
	}
	return x.exposure.UseRoutes
}

// findTwoGateways says which Gateways of someone else's listen for the host on the
// port beside the one that is made: one of them can be chosen instead.
func (x *exposer) findTwoGateways(context.Context) error {
	e := x.exposure
	if e.UseGateway != "" {
		return nil
	}
	var ways []string
	for _, gw := range x.routes.Fitting(x.ingress, x.open.Port, e) {
		ways = append(ways, "--gateway "+gw.Namespace+"/"+gw.Name)
	}
	if len(ways) == 0 {
		return nil
	}
	use := "use what is there: " + strings.Join(ways, ", or ") + "."
	own := &clientnet.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: manifest.GatewayName}}
	for _, s := range e.Servers {
		if f, ok := x.routes.Doubled(own, s.Spec(), []istio.Ingress{x.ingress}); ok && s.Port == e.GatewayPort && f.Code == finding.TwoGateways {
			f.Next = "If that is not meant, " + use
			x.found(f)
			return nil
		}
	}
	if x.intent.Gateway == "" && x.routes.Gateway(e.Namespace, manifest.GatewayName) == nil {
		x.say("           several Gateways would serve it; to %s", use)
	}
	return nil
}
