package cmd

import (
	"context"
	"fmt"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// rung chooses how pods are told apart, and says why where that is not the best
// way.
func (r *run) rung(ctx context.Context) (rung, why string, err error) {
	if rung, why, err = r.ladder(ctx); err != nil {
		return "", "", err
	}
	return r.asApp(ctx, rung, why)
}

// ladder chooses among the rungs that need no help from the app, unless that was
// asked for.
func (r *run) ladder(ctx context.Context) (rung, why string, err error) {
	switch {
	case r.o.identify == check.RungApp:
		return check.RungApp, "as asked", nil
	case r.t.layer4 && (r.o.identify == check.RungRoute || r.o.identify == check.RungAdmin):
		return "", "", &manifest.InvalidError{Field: "--identify", Value: r.o.identify, Reason: "this address is a Service's own: no gateway is in the way"}
	case r.t.layer4:
		return check.RungSidecars, "no gateway is in the way", nil
	case r.o.identify == check.RungSidecars:
		return r.o.identify, "as asked", nil
	case r.o.identify == check.RungAdmin:
		rung, missing := r.counting(ctx)
		if rung != check.RungAdmin {
			return "", "", &k8s.DeniedError{Purpose: "--identify=admin", Missing: missing, Hint: "Use --identify=sidecars, or ask for the permission."}
		}
		return rung, "as asked", nil
	case r.o.readOnly:
		rung, _ := r.counting(ctx)
		return rung, "--read-only", nil
	}
	if why := r.hidden(); why != "" {
		if r.o.identify == check.RungRoute {
			return "", "", &manifest.InvalidError{Field: "--identify", Value: r.o.identify, Reason: why + "; use --identify=admin, or --identify=sidecars"}
		}
		rung, _ := r.counting(ctx)
		return rung, why, nil
	}
	missing, err := r.t.cluster.Missing(ctx, toProbe(r.t.vs.Namespace))
	switch {
	case err != nil:
		return "", "", err
	case len(missing) == 0:
		return check.RungRoute, "", nil
	case r.o.identify == check.RungRoute:
		return "", "", &k8s.DeniedError{Purpose: "--identify=route", Missing: missing, Hint: "Use --identify=admin or --identify=sidecars, or ask for the permission."}
	}
	rung, _ = r.counting(ctx)
	return rung, "this user may not " + missing[0].String(), nil
}

// counting chooses whose counters are read, where nothing may be written: the
// gateway's, which count the calls to pods without a sidecar too, and those of
// this gateway alone; or else the pods' sidecars'.
func (r *run) counting(ctx context.Context) (rung string, missing []k8s.Permission) {
	var needed []k8s.Permission
	for _, in := range r.t.gateways() {
		needed = append(needed, k8s.Permission{Verb: "list", Resource: "pods", Namespace: in.Namespace},
			k8s.Permission{Verb: "create", Resource: "pods/portforward", Namespace: in.Namespace})
	}
	if len(needed) == 0 {
		return check.RungSidecars, nil
	}
	missing, err := r.t.cluster.Missing(ctx, needed)
	if err != nil || len(missing) > 0 {
		return check.RungSidecars, missing
	}
	return check.RungAdmin, nil
}

// hidden is why no call would ever meet a probe route, or "": a rule that takes
// any path, and yet is not one of those which Istio puts behind all others.
func (r *run) hidden() string {
	if r.o.user.stream != nil {
		if why := r.before(r.o.path, r.o.metadata); why != "" {
			return why
		}
	}
	for _, in := range r.t.gateways() {
		if v, _ := in.Version(); v != (istio.Version{}) && v.Before(istio.Stamping()) {
			return fmt.Sprintf("the proxies of gateway %s are of Istio %s, and before %s they refuse a probe route, and all routes with it", in, v, istio.Stamping())
		}
	}
	if taken := r.t.table.Take(r.t.call(r.o.dialAuthority(), noPath, r.marked())); taken.OK && !taken.Entry.TakesAll() {
		return fmt.Sprintf("%s takes calls of any path and stands before a probe route", taken.Entry)
	}
	return ""
}
