package cmd

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
)

const (
	// goodCalls is how many calls in a row must come through on every replica
	// of the gateway before an exposure counts as live.
	goodCalls = 20
	// probeGrace is how long past its run's own timeout a probe route lives
	// before another run may sweep it.
	probeGrace = time.Minute
	// cleanupTime is how long a run that has ended may take to remove what it
	// lent itself. GitHub's runners kill a cancelled step after 7.5 s.
	cleanupTime = 5 * time.Second
	// A method that no app has: the gateway routes it and the app answers
	// UNIMPLEMENTED, with no side effect.
	noMethod = "Identify"
	noPath   = "/grpcmesh.probe.v1.Probe/" + noMethod
)

// stamps are the response headers that a probe route makes the gateway's Envoy
// write: the run's proof, and Envoy's commands for the others' values.
func stamps(proof string) map[string]string {
	return map[string]string{
		probe.HeaderProof:      proof,
		probe.HeaderBackend:    "%UPSTREAM_REMOTE_ADDRESS%",
		probe.HeaderGateway:    "%HOSTNAME%",
		probe.HeaderConnection: "%CONNECTION_ID%",
		probe.HeaderCluster:    "%UPSTREAM_CLUSTER%",
		probe.HeaderFlags:      "%RESPONSE_FLAGS%",
		probe.HeaderAttempts:   "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
	}
}

// awaitLive waits for the rollout, and then until every replica of the gateway
// leads goodCalls calls in a row to the workload's pods. Whose pods answer is
// known in two ways. Always by what the cluster says: the VirtualService, which
// is just as asked for by now, is the one that serves the name called, and
// behind its Service's port stand ready pods of the workload and no others. And
// where this run wrote something, since the gateway may be behind what the
// cluster says, by a probe route as well, on which each round makes a call that
// tells who answered. A run that changed nothing adds no route: that would be a
// write.
func (x *exposer) awaitLive(ctx context.Context, wrote bool) (*report.Live, error) {
	start := time.Now()
	was, err := x.cluster.RolledOut(ctx, x.workload)
	if err != nil {
		return nil, err
	}
	known := false
	if !was && (x.workload.Replicas > 0 || x.pods > 0) {
		x.watch()
		counted := withSidecar
		if x.injection.Mode == manifest.InjectNone {
			counted = either
		}
		rolled, err := x.waitRolledOut(ctx, counted)
		if err != nil {
			return nil, err
		}
		known = x.allThere(rolled)
	}
	if !known {
		if err := x.countSidecars(ctx); err != nil {
			return nil, err
		}
	}
	if x.lacking > 0 {
		return nil, &k8s.NotReadyError{Subject: x.workload.String(),
			Cause: fmt.Sprintf("%d of %s came up without the sidecar", x.lacking, plural(x.pods, "pod")),
			Hint:  "Run the same command again: it restarts them."}
	}
	if x.workload.Replicas == 0 {
		x.warn("%s has no replicas, so no call can come through yet", x.workload)
		return nil, nil //nolint:nilnil // there is nothing to report on
	}
	l := &liveCheck{x: x, path: x.paths()[0], authority: x.authority(), metadata: x.exposure.Route.Metadata()}
	for _, path := range x.paths() {
		if err := x.serves(ctx, istio.Call{Path: path, Authority: l.authority, Metadata: l.metadata, TLS: x.exposure.TLS.On()}); err != nil {
			return nil, err
		}
	}
	x.watch()                                                              // what comes and goes while it waits is to be seen
	if wrote && !x.exposure.TLS.Mutual && len(x.exposure.UseRoutes) == 0 { // of mutual TLS no call can be made; what is someone else's is not copied
		remove, err := l.addProbe(ctx)
		if err != nil {
			return nil, err
		}
		defer remove()
	}
	gateway := replicas{
		gateway: x.ingress,
		list: func(ctx context.Context) ([]corev1.Pod, error) {
			return x.mesh.Replicas(ctx, x.ingress, x.exposure.GatewaySelector)
		},
		ask: l.rounds,
	}
	count, err := x.awaitReplicas(ctx, gateway)
	if err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	live := &report.Live{Replicas: count, Calls: goodCalls, Seconds: took, Unproved: x.unproved()}
	if x.exposure.TLS.Mutual {
		live.Calls = 0
		x.say("live       %s of the gateway: TLS is served for the host, after %.1f s", plural(count, "replica"), took)
	} else {
		x.say("live       %d calls in a row came through on %s of the gateway, after %.1f s", goodCalls, plural(count, "replica"), took)
	}
	if live.Unproved != "" {
		x.say("           %s", live.Unproved)
	}
	return live, nil
}

// paths are of calls that the exposure's route takes, one of each service: of a
// method that no app has.
func (x *exposer) paths() []string {
	var paths []string
	for _, service := range x.exposure.MatchServices {
		paths = append(paths, "/"+service+"/"+noMethod)
	}
	if len(paths) == 0 {
		return []string{noPath}
	}
	return paths
}

func (x *exposer) authority() string {
	address := ""
	if len(x.ingress.Addresses) > 0 {
		address = x.ingress.Addresses[0]
	}
	return authorityFor(x.exposure.Host, address)
}

// liveCheck asks the gateway's replicas, each by a port-forward of its own.
type liveCheck struct {
	x         *exposer
	path      string
	authority string
	metadata  map[string]string // of users' calls
	nonce     string            // empty: no probe route
	proof     string
}

// addProbe lends the run its probe route; remove takes it away again, also
// after the context has ended. Where this user may not do both, none is added.
func (l *liveCheck) addProbe(ctx context.Context) (remove func(), err error) {
	x := l.x
	if _, old := x.ingress.TooOld(); old {
		return func() {}, nil
	}
	if missing, err := x.cluster.Missing(ctx, toProbe(x.exposure.Namespace)); err != nil || len(missing) > 0 {
		return func() {}, err
	}
	routes, err := x.mesh.Beside(x.cluster.Lately()).Routes(ctx)
	if err != nil {
		return nil, err
	}
	serving := routes.Serving(x.met(routes, l.authority), l.authority)
	spec, ok := x.probed(routes, serving, l.authority)
	if !ok {
		return nil, &plan.ConflictError{ID: manifest.ID{Kind: "VirtualService", Namespace: x.exposure.Namespace, Name: x.exposure.WorkloadName},
			Reason: "it was changed while grpcmesh was at work", Hint: "Run the same command again."}
	}
	l.nonce, l.proof = probe.NewNonce(), probe.NewNonce()
	spec.Header, spec.Nonce, spec.Stamps, spec.TTL = probe.HeaderNonce, l.nonce, stamps(l.proof), x.o.timeout+probeGrace
	gone := lend(ctx, x.o.IO, x.mesh, spec.Route(), x.o.say)
	remove = func() { gone() }
	if err := x.mesh.AddProbe(ctx, spec); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// probed is what a probe route copies: the exposure's own rule, behind the
// listener where it serves the authority; not ok, if it doesn't any more.
func (x *exposer) probed(routes istio.Routes, serving []istio.Candidate, authority string) (istio.ProbeSpec, bool) {
	i := slices.IndexFunc(serving, func(c istio.Candidate) bool {
		return c.VirtualService.Namespace == x.exposure.Namespace && c.VirtualService.Name == x.exposure.WorkloadName
	})
	if i < 0 || len(serving[i].VirtualService.Spec.Http) != 1 {
		return istio.ProbeSpec{}, false
	}
	vs, on := serving[i].VirtualService, serving[i].Listener
	entry, ok := routes.Table(on, serving).Lead(vs, func(istio.Entry) bool { return true })
	return istio.ProbeSpec{Under: entry, On: on, Host: on.Pattern(vs, authority)}, ok
}

// lend notes that a probe route is about to be added; remove takes it away.
func lend(ctx context.Context, streams IO, mesh *istio.Mesh, route istio.ProbeRoute, say func(string, ...any)) (remove func() (gone bool)) {
	words := fmt.Sprintf("%s may be left; remove it by hand: kubectl -n %s delete virtualservice %s", route, route.Namespace, route.Name)
	streams.Lent.Add(words)
	return func() bool {
		gone := removeProbe(ctx, mesh, route, say)
		if gone {
			streams.Lent.Returned(words)
		}
		return gone
	}
}

// removeProbe takes the probe route away, also after the run's context has
// ended; where the API server does not answer it asks again, for a while. It
// says what is left to do, where it can't tell that the route is gone.
func removeProbe(ctx context.Context, mesh *istio.Mesh, route istio.ProbeRoute, say func(string, ...any)) (gone bool) {
	cut := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var failed error
	looks := 1
	if cut { // its creation may be under way, and come after a look that finds nothing
		looks = 3
	}
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		found, err := mesh.RemoveProbe(ctx, route)
		if err != nil && ctx.Err() == nil {
			failed = err
		}
		if err == nil {
			looks--
		}
		return found || err == nil && looks <= 0 || denied(err) != nil, nil
	})
	if failed != nil && (err != nil || denied(failed) != nil) {
		say("warning    %s", failed)
		return false
	}
	if err != nil {
		say("warning    %s may still be there: %s\nRemove it by hand: kubectl -n %s delete virtualservice %s", route, err, route.Namespace, route.Name)
		return false
	}
	return true
}

// rounds makes goodCalls good rounds on one connection; why is what was wrong
// with the first that wasn't.
func (l *liveCheck) rounds(ctx context.Context, pod *corev1.Pod) (why string, err error) {
	x := l.x
	behind, err := x.behind(ctx)
	if err != nil {
		return "", err
	}
	pods, err := x.behindService(ctx)
	if err != nil {
		return "", err
	}
	if why := notBehind(x.exposure.ServiceName(), behind, pods, x.port.Port); why != "" {
		return why, nil
	}
	conn, err := probe.Open(ctx, probe.Target{
		Addr:      fmt.Sprintf("%s:%d", pod.Name, x.open.Target),
		Authority: l.authority,
		TLS:       x.liveTLS(),
		Network: func(ctx context.Context) (net.Conn, error) {
			return x.cluster.Forward(ctx, pod.Namespace, pod.Name, x.open.Target)
		},
	})
	if x.exposure.TLS.Mutual {
		return asksForCertificate(conn, err), denied(err)
	}
	if err != nil {
		return err.Error(), denied(err)
	}
	defer func() { _ = conn.Close() }()
	for range goodCalls {
		s := plainCall(ctx, conn, probe.Call{Path: l.path, Metadata: l.metadata})
		if why := notUpstream(s); why != "" {
			return why, nil
		}
		if l.nonce == "" {
			continue
		}
		s = conn.Call(ctx, probe.Call{Path: noPath, Nonce: l.nonce, Proof: l.proof})
		if why := notOurs(s, pods, x.port.Port); why != "" {
			return why, nil
		}
	}
	return "", nil
}
