package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
)

// gateways are those that the Gateway under test selects.
func (t *target) gateways() []istio.Ingress {
	only := istio.Routes{Gateways: []*clientnet.Gateway{t.gw.Gateway}}
	return slices.DeleteFunc(slices.Clone(t.via), func(in istio.Ingress) bool { return len(only.Listeners(in, 0)) == 0 })
}

// atGateway sums what every replica of the gateway has sent to each endpoint.
// Where one can't be read no endpoint's count is known, and each is noted so; only
// where the API server refuses, or the run ends, is that an error.
func (r *run) atGateway(ctx context.Context, e *check.Evidence) (map[string]int, error) {
	if len(e.Uncounted) > 0 {
		return map[string]int{}, nil
	}
	sums, err := r.sent(ctx)
	if err != nil && (ctx.Err() != nil || anyOf(err, apierrors.IsForbidden) || anyOf(err, apierrors.IsUnauthorized)) {
		return nil, fmt.Errorf("reading the gateway's counters: %w", err)
	}
	read := make(map[string]int, len(e.Expected))
	for _, ep := range e.Expected {
		if err != nil {
			e.Uncounted[ep.Address] = err.Error()
		} else {
			read[ep.Address] = sums[ep.Address]
		}
	}
	return read, nil
}

func (r *run) sent(ctx context.Context) (map[string]int, error) {
	var names []string // the clusters that the route leads to
	for _, d := range r.t.destinations {
		_, port, err := r.t.servicePort(ctx, d)
		if err != nil {
			return nil, err
		}
		names = append(names, istio.OutboundCluster(d, int(port.Port)))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	replicas := map[string]corev1.Pod{}
	for _, in := range r.t.gateways() {
		pods, err := r.t.mesh.Replicas(ctx, in, r.t.gw.Gateway.Spec.Selector)
		if err != nil {
			return nil, err
		}
		for _, p := range pods {
			replicas[p.Namespace+"/"+p.Name] = p
		}
	}
	if len(replicas) == 0 {
		return nil, errors.New("no replica of the gateway is ready")
	}
	if r.replicas == nil {
		r.replicas = replicas
	}
	for name := range r.replicas { // those of the first look: a new one has counted nothing that was
		if _, there := replicas[name]; !there {
			return nil, fmt.Errorf("gateway pod %s went during the run, and what it counted with it", name)
		}
	}
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		sums = map[string]int{}
		errs []error
	)
	for _, p := range r.replicas {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, counterTime)
			defer cancel()
			byHost, err := istio.UpstreamRequests(ctx, r.t.cluster, p.Namespace, p.Name, names...)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			for host, n := range byHost {
				sums[host] += n
			}
		})
	}
	wg.Wait()
	return sums, errors.Join(errs...)
}
