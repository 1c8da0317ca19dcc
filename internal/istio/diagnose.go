package istio

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// DiagnoseGateway says what keeps a Gateway from being listened for: pods that
// it does not select or that sleep, ports that their Services don't open or that
// they can't serve, older Gateways that hold a port otherwise; and which others
// listen for the same. orphan says that
// no ingress has its selector; whether any pod has is then to be looked up.
func (r Routes) DiagnoseGateway(gw *clientnet.Gateway, all []Ingress) (found []finding.Finding, orphan bool) {
	tell := func(code, reason, next string) {
		found = append(found, finding.New(code, gw.Namespace, "Gateway/"+gw.Name, reason, next))
	}
	mine := keep(all, func(in Ingress) bool { return selects(gw.Spec.Selector, in) })
	awake := keep(mine, func(in Ingress) bool { return !in.Asleep })
	switch {
	case len(mine) == 0:
		return nil, true
	case len(awake) == 0:
		tell(finding.Asleep, "the gateway that it selects, "+mine[0].String()+", has no pods",
			fmt.Sprintf("Start some: kubectl -n %s get deployments,daemonsets", mine[0].Namespace))
		return found, false
	}
	for _, s := range gw.Spec.Servers {
		number := int(s.Port.GetNumber())
		open := keep(awake, func(in Ingress) bool { return in.reaches(number) })
		if len(open) == 0 {
			tell(finding.PortClosed, fmt.Sprintf("port %d is not open on the Service of the gateway that it selects, %s", number, awake[0]),
				fmt.Sprintf("Open it there, or listen on one that is open (%s): kubectl -n %s get service %s", k8s.JoinInts(awake[0].ServingPorts()), awake[0].Namespace, awake[0].Service))
			continue
		}
		if why := barredOn(open, number); why != "" {
			tell(finding.PortBarred, fmt.Sprintf("port %d of %s %s", number, open[0], why),
				"Lead the Service's port to a targetPort of 1024 or more, or listen on another port: "+k8s.JoinInts(open[0].ServingPorts()))
		}
		if older, s2 := r.older(gw, s, open); older != nil {
			tell(finding.PortHeld, fmt.Sprintf("Gateway %s/%s, which is older, holds port %d for the protocol %s; istiod leaves this server, of protocol %s, out",
				older.Namespace, older.Name, number, s2.Port.Protocol, s.Port.GetProtocol()), "Let one of the two listen on another port.")
		} else if f, ok := r.Doubled(gw, s, open); ok {
			found = append(found, f)
		}
	}
	return found, false
}

// reaches says whether calls from outside come to what a Gateway's port number
// stands for.
func (i Ingress) reaches(number int) bool {
	return slices.ContainsFunc(i.Ports, func(p IngressPort) bool { return p.Port == number || p.Target == number })
}

// barredOn is why none of the ingresses' pods can listen on the port, or "".
func barredOn(open []Ingress, number int) string {
	why := ""
	for _, in := range open {
		p, ok := in.Port(number)
		if !ok || p.Barred == "" {
			return ""
		}
		why = p.Barred
	}
	return why
}

// older is an older Gateway's server on the same port of the same pods that
// can't be merged with this one: istiod merges plaintext HTTP with its like, and
// TLS with its like.
func (r Routes) older(gw *clientnet.Gateway, s *networking.Server, open []Ingress) (*clientnet.Gateway, *networking.Server) {
	for _, in := range open {
		for _, l := range r.Listeners(in, int(s.Port.GetNumber())) {
			o := l.Gateway
			if o == gw || family(l.Server) == family(s) && family(s) != "TCP" || l.Server.Bind != s.Bind {
				continue
			}
			if earlier(o, gw) {
				return o, l.Server
			}
		}
	}
	return nil, nil
}

func family(s *networking.Server) string {
	switch p := strings.ToUpper(s.Port.GetProtocol()); {
	case p == "HTTPS" || p == "TLS" || s.GetTls() != nil && !s.GetTls().GetHttpsRedirect() && !carriesGRPC(p):
		return "TLS"
	case carriesGRPC(p):
		return "HTTP"
	}
	return "TCP"
}

// DiagnoseRoute says what keeps calls from a VirtualService: Gateways that are
// not there, or don't listen for its hosts, and another's route before it.
func (r Routes) DiagnoseRoute(vs *clientnet.VirtualService, all []Ingress) []finding.Finding {
	var found []finding.Finding
	tell := func(code, reason, next string) {
		found = append(found, finding.New(code, vs.Namespace, "VirtualService/"+vs.Name, reason, next))
	}
	var gateways []*clientnet.Gateway
	for _, ref := range vs.Spec.Gateways {
		if ref == "mesh" {
			continue
		}
		i := slices.IndexFunc(r.Gateways, func(gw *clientnet.Gateway) bool { return refersTo(ref, vs, gw) })
		if i >= 0 {
			gateways = append(gateways, r.Gateways[i])
			continue
		}
		next := "See which there are, and write it as namespace/name: kubectl get gateways.networking.istio.io -A"
		tell(finding.Unbound, "it names Gateway "+ref+", which is not there", next)
	}
	if len(gateways) == 0 {
		return found
	}
	heard := func(host string) bool {
		return slices.ContainsFunc(gateways, func(gw *clientnet.Gateway) bool {
			return slices.ContainsFunc(gw.Spec.Servers, func(s *networking.Server) bool {
				return len(claims(Listener{Gateway: gw, Server: s}, vs.Namespace, []string{host})) > 0
			})
		})
	}
	if deaf := keep(vs.Spec.Hosts, func(h string) bool { return !heard(h) }); len(deaf) > 0 {
		tell(finding.HostUnheard, "none of its Gateways listens for "+strings.Join(deaf, ", ")+" of namespace "+vs.Namespace,
			"Add the host to a server of the Gateway, or change the VirtualService's: kubectl -n "+gateways[0].Namespace+" get gateways.networking.istio.io "+gateways[0].Name+" -o yaml")
		if last := &found[len(found)-1]; len(deaf) < len(vs.Spec.Hosts) {
			last.Istio = "" // which asks for one of the hosts alone
		}
	}
	if host, other := r.Behind(vs, keep(all, func(in Ingress) bool { return !in.Asleep })); other != nil {
		tell(finding.Overtaken, fmt.Sprintf("VirtualService %s/%s comes before it and takes every call to host %q", other.Namespace, other.Name, host),
			"Expose one of them under a host of its own, or delete one.")
	}
	return found
}

// LabelsOf are the labels of a namespace that decide on injection, as
// key=value, where there is more than one: as `istioctl analyze` counts them
// (IST0123), an opt-out leaves the others without a say.
func LabelsOf(namespace map[string]string) []string {
	var all []string
	injection, has := namespace[injectionLabel]
	if has {
		all = append(all, injectionLabel+"="+injection)
	}
	for _, key := range []string{revisionLabel, dataplaneLabel} {
		if v, ok := namespace[key]; ok && (!has || injection == "enabled") {
			all = append(all, key+"="+v)
		}
	}
	if len(all) < 2 {
		return nil
	}
	return all
}
