package istio

import (
	"context"
	"fmt"
)

// UpstreamRequests is how many requests a gateway's pod has sent to each
// ip:port of one of its clusters since it started; nil where it does not have
// the cluster.
func UpstreamRequests(ctx context.Context, f Forwarder, namespace, pod, cluster string) (map[string]int, error) {
	body, err := askClusters(ctx, f, namespace, pod)
	if err != nil {
		return nil, err
	}
	byHost, _, err := requestsByHost(body, cluster)
	if err != nil {
		return nil, fmt.Errorf("gateway pod %s/%s: %w", namespace, pod, err)
	}
	return byHost, nil
}

// OutboundCluster is Envoy's name of a destination, as istiod gives it; port is
// the Service's.
func OutboundCluster(d Destination, port int) string {
	return fmt.Sprintf("outbound|%d|%s|%s.%s.svc.cluster.local", port, d.Subset, d.Service, d.Namespace)
}
