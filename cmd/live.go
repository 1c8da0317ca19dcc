package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
// write, and Envoy's commands for their values.
func stamps() map[string]string {
	return map[string]string{
		probe.HeaderBackend:    "%UPSTREAM_REMOTE_ADDRESS%",
		probe.HeaderGateway:    "%HOSTNAME%",
		probe.HeaderConnection: "%CONNECTION_ID%",
		probe.HeaderCluster:    "%UPSTREAM_CLUSTER%",
		probe.HeaderFlags:      "%RESPONSE_FLAGS%",
		probe.HeaderAttempts:   "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
	}
}

// awaitLive waits for the rollout, and then until every replica of the gateway
// leads goodCalls calls in a row to the workload's pods. Where this run wrote
// something, each round also makes a call by a probe route, which tells whose
// pod answered; a run that changed nothing adds none.
func (x *exposer) awaitLive(ctx context.Context, wrote bool) (*report.Live, error) {
	start := time.Now()
	err := x.cluster.WaitRolledOut(ctx, x.workload, func(s string) { x.o.say("waiting    %s: %s", x.workload, s) })
	if err != nil {
		return nil, err
	}
	if err := x.countSidecars(ctx); err != nil {
		return nil, err
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
	l := &liveCheck{x: x, path: noPath, authority: x.authority()}
	if x.o.intent.MatchService != "" {
		l.path = "/" + x.o.intent.MatchService + "/" + noMethod
	}
	if wrote {
		remove, err := l.addProbe(ctx)
		if err != nil {
			return nil, err
		}
		defer remove()
	}
	gateways, err := x.mesh.Ingresses(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(gateways, func(in istio.Ingress) bool { return in.String() == x.ingress.String() })
	if i < 0 || len(gateways[i].Pods) == 0 {
		return nil, &k8s.NotReadyError{Subject: "gateway " + x.ingress.String(), Cause: "none of its pods is ready",
			Hint: "Look at: kubectl -n " + x.ingress.Namespace + " get pods -l " + istio.FormatSelector(x.ingress.Selector)}
	}
	if err := l.all(ctx, gateways[i].Pods); err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	x.o.say("live       %d calls in a row came through on %s of the gateway, after %.1f s",
		goodCalls, plural(len(gateways[i].Pods), "replica"), took)
	return &report.Live{Replicas: len(gateways[i].Pods), Calls: goodCalls, Seconds: took}, nil
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
	nonce     string // empty: no probe route
}

// addProbe lends the run its probe route; remove takes it away again, also
// after the context has ended. Where this user may not do both, none is added.
func (l *liveCheck) addProbe(ctx context.Context) (remove func(), err error) {
	x := l.x
	if why, err := mayProbe(ctx, x.cluster, x.exposure.Namespace); err != nil || why != "" {
		return func() {}, err
	}
	vs, err := x.mesh.VirtualService(ctx, x.exposure.Namespace, x.exposure.WorkloadName)
	if err != nil {
		return nil, err
	}
	if len(vs.Spec.Http) != 1 {
		return nil, &plan.ConflictError{ID: manifest.ID{Kind: "VirtualService", Namespace: vs.Namespace, Name: vs.Name},
			Reason: "its rules were changed while grpcmesh was at work", Hint: "Run the same command again."}
	}
	l.nonce = probe.NewNonce()
	spec := istio.ProbeSpec{Under: vs, Rule: vs.Spec.Http[0],
		Header: probe.HeaderNonce, Nonce: l.nonce, Stamps: stamps(), TTL: x.o.timeout + probeGrace}
	remove = func() { removeProbe(ctx, x.mesh, spec.Route(), x.o.say) }
	if err := x.mesh.AddProbe(ctx, spec); err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

// removeProbe takes the probe route away, also after the run's context has
// ended; where the API server does not answer it asks again, for a while.
func removeProbe(ctx context.Context, mesh *istio.Mesh, route istio.ProbeRoute, say func(string, ...any)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var failed error
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		err := mesh.RemoveProbe(ctx, route)
		if err != nil && ctx.Err() == nil {
			failed = err
		}
		return err == nil || denied(err) != nil, nil
	})
	if failed != nil && (err != nil || denied(failed) != nil) {
		say("warning    %s", failed)
	} else if err != nil {
		say("warning    %s may still be there: %s\nRemove it by hand: kubectl -n %s delete virtualservice %s", route, err, route.Namespace, route.Name)
	}
}

// mayProbe is why this user may not add a probe route and remove it again, or "".
func mayProbe(ctx context.Context, cluster *k8s.Cluster, namespace string) (why string, err error) {
	for _, verb := range []string{"create", "delete"} {
		ok, err := cluster.May(ctx, verb, "networking.istio.io", "virtualservices", namespace)
		if err != nil {
			return "", err
		}
		if !ok {
			return "this user may not " + verb + " VirtualServices in namespace " + namespace, nil
		}
	}
	return "", nil
}

func (l *liveCheck) all(ctx context.Context, pods []corev1.Pod) error {
	errs := make([]error, len(pods))
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() { errs[i] = l.replica(ctx, &pods[i]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// replica calls one replica of the gateway until goodCalls rounds in a row are
// good, or the context ends. A connection that breaks is dialled anew.
func (l *liveCheck) replica(ctx context.Context, pod *corev1.Pod) error {
	cause := "no call was made"
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	for {
		why, err := l.rounds(ctx, pod)
		if err == nil && why == "" {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if why != "" && ctx.Err() == nil {
			cause = why
		}
		select {
		case <-retry.C:
			continue
		case <-ctx.Done():
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
		return &k8s.NotReadyError{
			Subject: "the route through gateway pod " + pod.Namespace + "/" + pod.Name,
			Cause:   cause,
			Hint: fmt.Sprintf("Everything was written; run the same command again to go on waiting. See: istioctl proxy-config routes %s.%s",
				pod.Name, pod.Namespace),
		}
	}
}

// rounds makes goodCalls good rounds on one connection; why is what was wrong
// with the first that wasn't.
func (l *liveCheck) rounds(ctx context.Context, pod *corev1.Pod) (why string, err error) {
	x := l.x
	pods, err := x.cluster.Pods(ctx, x.workload)
	if err != nil {
		return "", err
	}
	conn, err := probe.Open(ctx, probe.Target{
		Addr:      fmt.Sprintf("%s:%d", pod.Name, x.open.Target),
		Authority: l.authority,
		Network: func(ctx context.Context) (net.Conn, error) {
			return x.cluster.Forward(ctx, pod.Namespace, pod.Name, x.open.Target)
		},
	})
	if err != nil {
		return err.Error(), denied(err)
	}
	defer func() { _ = conn.Close() }()
	for range goodCalls {
		s := plainCall(ctx, conn, probe.Call{Path: l.path})
		if why := notUpstream(s); why != "" {
			return why, nil
		}
		if l.nonce == "" {
			continue
		}
		s = conn.Call(ctx, probe.Call{Path: noPath, Nonce: l.nonce})
		if why := notOurs(s, pods, x.port.Port); why != "" {
			return why, nil
		}
	}
	return "", nil
}

// plainCall makes a call by the users' route. An app that refuses a method may
// answer before the gateway has seen the request's end, and the gateway's Envoy
// then leaves out the mark by which its upstream's answers are known; so a
// refusal without the mark is asked again, a few times.
func plainCall(ctx context.Context, conn *probe.Conn, call probe.Call) probe.Sample {
	const tries = 5
	s := conn.Call(ctx, call)
	for i := 1; i < tries && s.Code == codes.Unimplemented && !s.Upstream && !s.NoAnswer && s.Message != ""; i++ {
		s = conn.Call(ctx, call)
	}
	return s
}

// notUpstream is why a call by the users' route did not come through, or "".
func notUpstream(s probe.Sample) string {
	switch {
	case s.NoAnswer:
		return "the gateway gave no answer: " + s.Err
	case s.NotGRPC:
		return "what answered does not speak gRPC: " + s.Err
	case !s.Upstream:
		return fmt.Sprintf("the gateway itself answered, with code %s %q: it has no route, or no healthy endpoint, for the call", s.Code, s.Message)
	}
	return ""
}

// notOurs is why a stamped call was not answered by one of the pods, or "".
func notOurs(s probe.Sample, pods []corev1.Pod, port int) string {
	switch {
	case s.NoAnswer:
		return "the gateway gave no answer: " + s.Err
	case !s.Stamped:
		return "the gateway does not have the probe route yet"
	case s.Stamp.Flags != "-":
		return fmt.Sprintf("the gateway got no answer from a pod (Envoy's flags: %s)", s.Stamp.Flags)
	}
	for i := range pods {
		if net.JoinHostPort(pods[i].Status.PodIP, fmt.Sprint(port)) == s.Stamp.Backend {
			return ""
		}
	}
	return "another backend answered: " + s.Stamp.Backend
}

// denied is the error where the API server's refusal is the reason that a
// port could not be forwarded: waiting does not help then.
func denied(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return err
	}
	return nil
}
