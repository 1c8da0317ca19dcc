package cmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// besideTheirs says of each VirtualService in the way what else there is to know:
// that it leads these calls to the very Service, and would be used as it is but for
// a flag, and that --adopt, where it was given, is not for it.
func (x *exposer) besideTheirs(routes istio.Routes, err error) error {
	var conflict *plan.ConflictError
	if !errors.As(err, &conflict) || conflict.Code != finding.RouteClash {
		return err
	}
	plain := x.exposure
	plain.Route, plain.Subsets = manifest.Route{}, nil
	used, _ := routes.Routed(x.ingress, x.open.Port, plain, x.authority())
	for _, vs := range used {
		if vs.Namespace == conflict.ID.Namespace && vs.Name == conflict.ID.Name {
			asked, has := moreAsked(x.exposure.Route, vs)
			conflict.Reason += fmt.Sprintf("; it leads these calls to Service %s already, but is not as %s: it has %s", plain.ServiceName(), asked, has)
			conflict.Hint = fmt.Sprintf("Do without %s: then it is used as it is. Or %s%s", asked, strings.ToLower(conflict.Hint[:1]), conflict.Hint[1:])
		}
	}
	if x.o.adopt {
		conflict.Hint += fmt.Sprintf("\n--adopt does not help here: it takes over what holds the name of an object to be made, VirtualService/%s.", x.exposure.WorkloadName)
	}
	return conflict
}

// moreAsked are the flags that ask for more of a route than its host and service,
// and what another's has of each.
func moreAsked(r manifest.Route, vs *clientnet.VirtualService) (asked, has string) {
	var flags, fields []string
	note := func(flag, field string) { flags, fields = append(flags, flag), append(fields, field) }
	rule := vs.Spec.Http[0]
	if r.Timeout != 0 {
		field := "no timeout"
		if rule.Timeout != nil {
			field = "timeout " + rule.Timeout.AsDuration().String()
		}
		note("--timeout-per-call "+r.Timeout.String(), field)
	}
	if r.Retries != nil {
		field := "no retries of its own"
		if rule.Retries != nil {
			field = fmt.Sprintf("retries.attempts %d", rule.Retries.Attempts)
		}
		note(fmt.Sprintf("--retries %d", *r.Retries), field)
	}
	for _, name := range slices.Sorted(maps.Keys(r.MatchHeaders)) {
		note("--match-header "+name+"="+r.MatchHeaders[name], "no match on "+name+" alone")
	}
	if len(r.Canary) > 0 {
		note("--canary", "no split by versions")
	}
	return strings.Join(flags, " and "), strings.Join(fields, " and ")
}
