package istio

import (
	"fmt"
	"slices"
	"time"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Overtaken follows a call that is meant for the exposure through the routes as
// they will be once it is written. Where another's rule takes it, by whatever
// way (a delegate, a match that ignores case), that is a *plan.ConflictError
// that names the rule. What can't be told from the objects is none.
func (r Routes) Overtaken(in Ingress, port int, e manifest.Exposure, call Call) error {
	after := r.With(e.Objects())
	after.age(r, e)
	serving := after.Serving(after.Listeners(in, port), call.Authority)
	i := slices.IndexFunc(serving, func(c Candidate) bool { return ownRoute(c.VirtualService, e) })
	if i < 0 {
		return nil
	}
	taken := after.Table(serving[i].Listener, serving).Take(call)
	vs := taken.Entry.VirtualService
	if !taken.OK || taken.Unsure != "" || ownRoute(vs, e) {
		return nil
	}
	return &plan.ConflictError{Code: finding.Overtaken, ID: idOf("VirtualService", vs),
		Reason: fmt.Sprintf("calls to %s of host %q on port %d of gateway %s would be taken by %s, which stands before the route to be made",
			call.Path, call.Authority, port, in, taken.Entry),
		Hint: "Nothing was written. " + waysBeside(e)}
}

func ownRoute(vs *clientnet.VirtualService, e manifest.Exposure) bool {
	return vs.Namespace == e.Namespace && vs.Name == e.WorkloadName
}

// age gives the exposure's own objects, which With made anew, the age that they
// will have: what they have, or the youngest of all.
func (r Routes) age(before Routes, e manifest.Exposure) {
	youngest := metav1.NewTime(time.Unix(1<<40, 0))
	for _, gw := range r.Gateways {
		if gw.Namespace == e.Namespace && gw.Name == manifest.GatewayName && e.UseGateway == "" {
			gw.CreationTimestamp = youngest
			if was := before.Gateway(gw.Namespace, gw.Name); was != nil {
				gw.CreationTimestamp = was.CreationTimestamp
			}
		}
	}
	for _, vs := range r.VirtualServices {
		if !ownRoute(vs, e) {
			continue
		}
		vs.CreationTimestamp = youngest
		if i := slices.IndexFunc(before.VirtualServices, func(was *clientnet.VirtualService) bool { return ownRoute(was, e) }); i >= 0 {
			vs.CreationTimestamp = before.VirtualServices[i].CreationTimestamp
		}
	}
}
