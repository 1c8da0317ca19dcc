package istio

import (
	"cmp"
	"slices"
	"strconv"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/manifest"
)

// Without is what the servers of the namespace's own Gateway come to once the
// exposure's route, as it is now and is secured now, needs none of them. A host that just this
// route had put on its port gives way to those below it that others need; every
// other host stays, though no route claims it: another run may be about to
// write that route.
func (r Routes) Without(servers []manifest.Server, e manifest.Exposure) []manifest.Server {
	i := slices.IndexFunc(r.VirtualServices, func(vs *clientnet.VirtualService) bool { return ownRoute(vs, e) })
	gw := r.Gateway(e.Namespace, manifest.GatewayName)
	if i < 0 || gw == nil || !manifest.OwnedBy(r.VirtualServices[i].Labels, e.WorkloadKind, e.WorkloadName) || !Bound(r.VirtualServices[i], gw) {
		return servers
	}
	was := r.VirtualServices[i]
	if slices.Equal(was.Spec.Hosts, []string{e.Host}) && was.Annotations[manifest.PortAnnotation] == strconv.Itoa(e.GatewayPort) &&
		Covers(servers, e.Namespace, e.GatewayPort, e.TLS, e.Host) {
		return servers // it still needs what it needed
	}
	var left []manifest.Server
	for _, s := range servers {
		if on := was.Annotations[manifest.PortAnnotation]; cmp.Or(on, strconv.Itoa(s.Port)) != strconv.Itoa(s.Port) {
			left = append(left, s)
			continue
		}
		var hosts []string
		for _, host := range s.Hosts {
			if slices.Contains(was.Spec.Hosts, host) {
				hosts = append(hosts, r.needed(gw, s.Port, host, was.Name)...)
			} else {
				hosts = append(hosts, host)
			}
		}
		slices.Sort(hosts)
		if hosts = widest(slices.Compact(hosts)); len(hosts) > 0 {
			left = append(left, manifest.Server{Port: s.Port, TLS: s.TLS, Hosts: hosts, As: s.As})
		}
	}
	return left
}

// needed is what routes need of one host that the Gateway lists on a port, once
// the VirtualService of its namespace with the name is gone.
func (r Routes) needed(gw *clientnet.Gateway, port int, host, gone string) []string {
	one := gw.DeepCopy()
	one.Annotations = nil // what it was before it was adopted is no need of a route's
	for _, s := range one.Spec.Servers {
		if s.GetPort().GetNumber() == uint32(port) {
			s.Hosts = []string{host}
		} else {
			s.Hosts = nil
		}
	}
	servers, _ := r.Release(one, gone)
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.Hosts...)
	}
	return hosts
}
