package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
)

// roundTime is how long one round may take on one replica; it takes a second or
// two even through a slow API server.
const roundTime = 30 * time.Second

// replicas waits for every replica of a gateway.
type replicas struct {
	gateway istio.Ingress
	list    func(context.Context) ([]corev1.Pod, error)                // those that are ready
	ask     func(context.Context, *corev1.Pod) (why string, err error) // why: what is wrong yet; err: what no waiting mends
}

// await asks the replicas round by round until each was good once, or the
// context ends; it returns how many there are. They are listed anew before each
// round: one that went is waited for no longer, one that came counts. Where the
// deadline passes first, it is a *k8s.NotReadyError for each that is not good.
func (r replicas) await(ctx context.Context) (int, error) {
	const pause = 200 * time.Millisecond
	good := map[types.UID]bool{}
	var last error // why the last round that could be ended failed
	for {
		pods, err := r.list(ctx)
		if err == nil {
			todo := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return good[p.UID] })
			if len(pods) > 0 && len(todo) == 0 {
				return len(pods), nil
			}
			var causes error
			causes, err = r.round(ctx, todo, good)
			if len(pods) == 0 {
				causes = &k8s.NotReadyError{Subject: "gateway " + r.gateway.String(), Cause: "none of its pods is ready",
					Hint: "Look at: kubectl -n " + r.gateway.Namespace + " get pods -l " + istio.FormatSelector(r.gateway.Selector)}
			}
			if ctx.Err() == nil || last == nil {
				last = causes
			}
		}
		if err != nil && ctx.Err() == nil {
			return 0, err
		}
		select {
		case <-time.After(pause):
			continue
		case <-ctx.Done():
		}
		if last != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return 0, last
		}
		return 0, context.Cause(ctx)
	}
}

// round asks each of the pods once, side by side, and notes those that are
// good. causes is why the others aren't; err is what no waiting mends. One that
// falls silent must not keep the pods from being listed anew, so a round has a
// bound.
func (r replicas) round(ctx context.Context, pods []corev1.Pod, good map[types.UID]bool) (causes, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	whys, errs := make([]string, len(pods)), make([]error, len(pods))
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() { whys[i], errs[i] = r.ask(ctx, &pods[i]) })
	}
	wg.Wait()
	var not []error
	for i := range pods {
		pod := &pods[i]
		switch {
		case errs[i] != nil && ctx.Err() == nil:
			return nil, errs[i]
		case errs[i] != nil || whys[i] != "":
			not = append(not, &k8s.NotReadyError{
				Subject: "the route through gateway pod " + pod.Namespace + "/" + pod.Name,
				Cause:   cmp.Or(whys[i], "no answer came in time"),
				Hint: fmt.Sprintf("Everything was written; run the same command again to go on waiting. See: istioctl proxy-config routes %s.%s",
					pod.Name, pod.Namespace),
			})
		default:
			good[pod.UID] = true
		}
	}
	return errors.Join(not...), nil
}
