package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// A route to a subset that a gateway's Envoy does not know (yet, or any more) is
// answered 503, and Istio hands out routes and subsets each in its own time. So
// the rule with the new subsets is written before the route, and the route once
// the gateway has them; what the old route led to goes when the new one is live:
// its subsets, and their pods out of the Service. No call is lost by that; for
// about a second, while a canary begins or ends, calls go to the pods of all
// versions alike.

// subsetTime is how long the gateway may take to know new subsets; it is well
// under a second, but for a subset without pods, which it never has.
const subsetTime = 5 * time.Second

// inTwo splits the plans: what a route leads to, then the routes and what comes
// after. The end of a DestinationRule, or of subsets of one, is held back until
// the route is live, and so is that of their pods behind the Service.
func (xs batch) inTwo() (first, then []plan.Plan, err error) {
	for _, x := range xs {
		had, err := subsetsOf(x.again.was[x.ruleID()])
		if err != nil {
			return nil, nil, err
		}
		if !x.o.wait {
			had = nil
		}
		var parts [2]plan.Plan
		at := 0
		for _, c := range x.planned.Changes {
			now := true
			switch {
			case !c.Writes():
			case c.ID.Kind == "DestinationRule":
				c, now = x.keeping(c, had)
			case c.ID.Kind == "Service" && len(had) > 0 && narrows(c):
				x.again.held, now = true, false
			}
			if c.ID.Kind == "VirtualService" {
				at = 1
			}
			if now {
				parts[at].Changes = append(parts[at].Changes, c)
			}
		}
		first, then = append(first, parts[0]), append(then, parts[1])
	}
	return first, then, nil
}

func (x *exposer) ruleID() manifest.ID {
	return manifest.ID{Kind: "DestinationRule", Namespace: x.exposure.Namespace, Name: x.exposure.WorkloadName}
}

// narrows says whether a change of a Service leaves pods out, and is nothing
// that a new route leans on.
func narrows(c plan.Change) bool {
	added := false
	for _, f := range c.Diff {
		if strings.HasPrefix(f.Path, "spec.selector") && f.From == "" {
			added = true
		} else if !strings.HasPrefix(f.Path, "metadata.") {
			return false
		}
	}
	return added && c.Action == plan.Update
}

// keeping is the change to the exposure's rule with the subsets left in that it
// had; now is false where it is all to come later.
func (x *exposer) keeping(c plan.Change, had []manifest.Subset) (change plan.Change, now bool) {
	if c.Action == plan.Delete {
		x.again.held = x.again.held || len(had) > 0
		return c, len(had) == 0
	}
	e, lost := x.exposure, false
	e.Subsets = slices.Clone(e.Subsets)
	for _, s := range had {
		if !slices.ContainsFunc(e.Subsets, func(o manifest.Subset) bool { return o.Name == s.Name }) {
			e.Subsets, lost = append(e.Subsets, s), true
		}
	}
	if !lost {
		return c, true
	}
	x.again.held = true
	c.Object = ruleOf(e)
	c.Diff = slices.DeleteFunc(slices.Clone(c.Diff), func(f plan.Field) bool { return f.To == "" })
	return c, !x.again.wrote[c.ID]
}

// selectedBefore is what the exposure's Service selected when this run began.
func (x *exposer) selectedBefore() map[string]string {
	was := x.again.was[manifest.ID{Kind: "Service", Namespace: x.exposure.Namespace, Name: x.exposure.ServiceName()}]
	if was == nil {
		return x.exposure.Selector
	}
	selected, _, _ := unstructured.NestedStringMap(was.Object, "spec", "selector")
	return selected
}

// subsetsOf are those of a DestinationRule.
func subsetsOf(rule *plan.State) ([]manifest.Subset, error) {
	if rule == nil {
		return nil, nil
	}
	var doc struct {
		Spec struct {
			Subsets []manifest.Subset `json:"subsets"`
		} `json:"spec"`
	}
	b, err := json.Marshal(rule.Object)
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	return doc.Spec.Subsets, err
}

// ruleOf is the exposure's DestinationRule, to apply.
func ruleOf(e manifest.Exposure) manifest.Object {
	for _, obj := range e.Objects() {
		if obj.Kind == "DestinationRule" {
			return obj
		}
	}
	return manifest.Object{}
}

// awaitSubsets waits until every replica of the gateway has the subsets that the
// routes about to be written lead to. It is a courtesy to calls: where it can't
// be seen, or takes too long, that is told, and the route is written.
func (xs batch) awaitSubsets(ctx context.Context, routes []plan.Plan) {
	for i, x := range xs {
		writes := slices.ContainsFunc(routes[i].Changes, func(c plan.Change) bool { return c.ID.Kind == "VirtualService" && c.Writes() })
		var clusters []string
		for _, s := range x.exposure.Subsets {
			if s.Percent > 0 {
				clusters = append(clusters, x.upstream(s.Name))
			}
		}
		if !writes || len(clusters) == 0 || len(x.again.wrote) == 0 {
			continue
		}
		if err := x.awaitEndpoints(ctx, clusters, func(hosts map[string]int) bool { return len(hosts) > 0 }); err != nil {
			x.o.say("           that the gateway knows the subsets was not seen; calls may fail while the route changes: %s", err)
		}
	}
}

// awaitEndpoints waits, for a while, until in every replica of the gateway the
// endpoints of each of the clusters are good.
func (x *exposer) awaitEndpoints(ctx context.Context, clusters []string, good func(map[string]int) bool) error {
	ctx, cancel := context.WithTimeout(ctx, subsetTime)
	defer cancel()
	ask := func(ctx context.Context, pod *corev1.Pod) (why string, err error) {
		for _, cluster := range clusters {
			hosts, err := istio.UpstreamRequests(ctx, x.cluster, pod.Namespace, pod.Name, cluster)
			switch {
			case err != nil:
				return err.Error(), denied(err)
			case !good(hosts):
				return fmt.Sprintf("its endpoints of %s are not yet those wanted", cluster), nil
			}
		}
		return "", nil
	}
	list := func(ctx context.Context) ([]corev1.Pod, error) {
		return x.mesh.Replicas(ctx, x.ingress, x.exposure.GatewaySelector)
	}
	_, err := replicas{gateway: x.ingress, list: list, ask: ask}.await(ctx)
	return err
}

// upstream is what the exposure's calls are led to, or a subset of it, as Envoy
// names it.
func (x *exposer) upstream(subset string) string {
	d := istio.Destination{Namespace: x.exposure.Namespace, Service: x.exposure.ServiceName(), Subset: subset}
	return istio.OutboundCluster(d, cmp.Or(x.exposure.ReusePort, x.exposure.Port))
}

// letGo carries out what inTwo held back.
func (x *exposer) letGo(ctx context.Context) error {
	if !x.again.held {
		return nil
	}
	x.cluster.Forget("Service", "DestinationRule")
	held := slices.DeleteFunc(x.exposure.Objects(), func(o manifest.Object) bool { return o.Kind != "Service" && o.Kind != "DestinationRule" })
	if err := x.propose(ctx, held, x.change); err != nil {
		return err
	}
	left, err := x.leftRule(ctx)
	if err != nil {
		return err
	}
	if err := k8s.Carry(ctx, x.appliers, plan.Plan{Changes: left}, x.change); err != nil {
		return err
	}
	x.again.held = false
	pods, err := x.behindService(ctx)
	if err != nil {
		return err
	}
	err = x.awaitEndpoints(ctx, []string{x.upstream("")}, func(hosts map[string]int) bool {
		for address := range hosts {
			if !isOf(address, pods, x.port.Port) {
				return false
			}
		}
		return true
	})
	if err != nil {
		x.o.say("           that the gateway leaves the other versions' pods out was not seen: %s", err)
	}
	return ctx.Err()
}
