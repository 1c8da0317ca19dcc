package istio

import (
	"context"
	"fmt"
)

// UpstreamRequests is how many requests a gateway's pod has sent to each
// ip:port of these of its clusters since it started, by one look; nil where it
// has none of them.
func UpstreamRequests(ctx context.Context, f Forwarder, namespace, pod string, clusters ...string) (map[string]int, error) {
	body, err := askClusters(ctx, f, namespace, pod)
	if err != nil {
		return nil, err
	}
	var sums map[string]int
	for _, cluster := range clusters {
		byHost, found, err := requestsByHost(body, cluster)
		if err != nil {
			return nil, fmt.Errorf("gateway pod %s/%s: %w", namespace, pod, err)
		}
		if found && sums == nil {
			sums = map[string]int{}
		}
		for host, n := range byHost {
			sums[host] += n
		}
	}
	return sums, nil
}

// OutboundCluster is Envoy's name of a destination, as istiod gives it; port is
// the Service's.
func OutboundCluster(d Destination, port int) string {
	return fmt.Sprintf("outbound|%d|%s|%s.%s.svc.cluster.local", port, d.Subset, d.Service, d.Namespace)
}
