package istio

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/manifest"
)

const (
	probeLabel = "grpcmesh.dev/probe"             // on every probe route
	probeTTL   = "grpcmesh.dev/probe-ttl-seconds" // annotation: how long its run may last
)

// ProbeRoute is the one VirtualService that a run adds for its own time: calls
// that carry the run's nonce take a copy of the route under test, and the
// gateway's Envoy writes on their answers who gave them. Other calls never
// meet it.
type ProbeRoute struct {
	Namespace, Name string
}

// String is "VirtualService namespace/name".
func (p ProbeRoute) String() string { return "VirtualService " + p.Namespace + "/" + p.Name }

// ProbeSpec says what a probe route copies and how it marks calls and answers.
type ProbeSpec struct {
	Under  Entry    // the rule whose destinations and weights are taken
	On     Listener // behind which it is under test: the only Gateway that gets the probe route
	Host   string   // the one host of it, as Under's VirtualService writes it: On.Pattern
	Header string   // request header that carries the nonce
	Nonce  string
	// Users is a nonce of calls that fare as users' do, with the rule's own retries,
	// timeout and faults; "": there are none.
	Users  string
	Stamps map[string]string // response header to its value, or Envoy's command for it
	TTL    time.Duration     // after this, by the server's clock, anyone may sweep it
}

// Pattern is the host of a VirtualService, as it writes it, that makes the
// virtual host which serves the authority behind the listener; "" if none does.
// A route of the same Gateway and host is merged into the same virtual hosts.
func (l Listener) Pattern(vs *clientnet.VirtualService, authority string) string {
	pattern, best := "", 0
	for _, host := range vs.Spec.Hosts {
		for _, claimed := range claims(l, vs.Namespace, []string{host}) {
			if n := specificity(claimed); accepts(claimed, authority) && n > best {
				pattern, best = host, n
			}
		}
	}
	return pattern
}

// scope is what of the entry's match says on which ports and pods it stands at
// all, and nothing of which calls it takes. Where it names gateways Istio does
// not look at the pods.
func (e Entry) scope() *networking.HTTPMatchRequest {
	named := slices.ContainsFunc(e.match, func(m *networking.HTTPMatchRequest) bool { return len(m.Gateways) > 0 })
	s := &networking.HTTPMatchRequest{}
	for _, m := range e.match {
		s.Port = max(s.Port, m.Port)
		if named {
			continue
		}
		s.SourceNamespace = cmp.Or(s.SourceNamespace, m.SourceNamespace)
		for k, v := range m.SourceLabels {
			if s.SourceLabels == nil {
				s.SourceLabels = map[string]string{}
			}
			s.SourceLabels[k] = v
		}
	}
	return s
}

// Route is the name that the probe route of this run will have. It is drawn
// before the route is made, so that it can be removed even where the answer to
// its creation was lost.
func (s ProbeSpec) Route() ProbeRoute {
	return ProbeRoute{Namespace: s.Under.VirtualService.Namespace, Name: "grpcmesh-probe-" + s.Nonce[:min(10, len(s.Nonce))]}
}

// AddProbe creates the probe route, then sweeps those of the namespace whose
// run must be over: the server's own time of creation is the clock, so a
// client's wrong one has no effect. A route within its time is left alone: a
// rival run may be using it. Whatever it returns, the caller owes a
// RemoveProbe: a creation that failed here may have succeeded there.
func (m *Mesh) AddProbe(ctx context.Context, spec ProbeSpec) error {
	namespace := spec.Under.VirtualService.Namespace
	api := m.networking.VirtualServices(namespace)
	made, err := api.Create(ctx, probeRoute(spec), metav1.CreateOptions{FieldManager: manifest.FieldManager})
	if err != nil {
		return fmt.Errorf("adding the probe route in namespace %s: %w", namespace, err)
	}
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: probeLabel})
	if err != nil {
		return fmt.Errorf("looking for probe routes left behind: %w", err)
	}
	_, err = m.sweep(ctx, list.Items, made.CreationTimestamp.Time)
	return err
}

// RemoveProbe deletes the probe route; one that is not there is fine. found says
// whether it was: a creation that was cut off may come after.
func (m *Mesh) RemoveProbe(ctx context.Context, p ProbeRoute) (found bool, err error) {
	err = m.networking.VirtualServices(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("removing the probe route: %w\nRemove it by hand: kubectl -n %s delete virtualservice %s", err, p.Namespace, p.Name)
	}
	return true, nil
}

// expired says whether a probe route's time is over at now. One without a
// readable time to live was not written by grpcmesh and never is.
func expired(vs *clientnet.VirtualService, now time.Time) bool {
	seconds, err := strconv.Atoi(vs.Annotations[probeTTL])
	if err != nil || !manifest.Owned(vs.Labels) {
		return false
	}
	return now.After(vs.CreationTimestamp.Add(time.Duration(seconds) * time.Second))
}

func probeRoute(spec ProbeSpec) *clientnet.VirtualService {
	under := spec.Under.VirtualService
	rule := probeRule(spec, "grpcmesh-probe", spec.Nonce)
	rule.Retries = &networking.HTTPRetry{Attempts: 0} // a retry would hide what is being looked for
	rules := []*networking.HTTPRoute{rule}
	if spec.Users != "" {
		rule = probeRule(spec, "grpcmesh-probe-users", spec.Users)
		rule.Retries, rule.Timeout, rule.Fault = spec.Under.Rule.Retries, spec.Under.Rule.Timeout, spec.Under.Rule.Fault
		rules = append(rules, rule)
	}
	vs := &clientnet.VirtualService{
		ObjectMeta: metav1.ObjectMeta{
			Name:        spec.Route().Name,
			Namespace:   under.Namespace,
			Labels:      map[string]string{manifest.ManagedBy: manifest.FieldManager, probeLabel: "true"},
			Annotations: map[string]string{probeTTL: strconv.Itoa(int(spec.TTL.Seconds()))},
		},
	}
	// On another host, Gateway, port or pod the route under test may have no rule for
	// any call. A probe route would be the only one there, and by it make a
	// virtual host that takes users' calls from who serves them now.
	vs.Spec.Hosts = []string{spec.Host}
	vs.Spec.Gateways = []string{spec.On.Gateway.Namespace + "/" + spec.On.Gateway.Name}
	vs.Spec.ExportTo = under.Spec.ExportTo
	vs.Spec.Http = rules
	return vs
}

// probeRule leads calls with the nonce where the rule under test does.
func probeRule(spec ProbeSpec, name, nonce string) *networking.HTTPRoute {
	match := spec.Under.scope()
	match.Headers = map[string]*networking.StringMatch{
		spec.Header: {MatchType: &networking.StringMatch_Exact{Exact: nonce}},
	}
	rule := &networking.HTTPRoute{
		Name:  name,
		Match: []*networking.HTTPMatchRequest{match},
		Headers: &networking.Headers{
			Request:  &networking.Headers_HeaderOperations{Remove: []string{spec.Header}}, // the app has no use for it
			Response: &networking.Headers_HeaderOperations{Set: spec.Stamps},
		},
	}
	for _, d := range spec.Under.Rule.Route {
		rule.Route = append(rule.Route, &networking.HTTPRouteDestination{Destination: d.Destination, Weight: d.Weight})
	}
	return rule
}
