package mesh

import (
	"context"
	"fmt"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/kube"
)

// DNS makes the Service kube-dns lead to CoreDNS, which runs on the node
// itself and not in a pod.
func DNS(ctx context.Context, client *kube.Client) error {
	ports := []any{
		object{"name": "dns", "port": 53, "protocol": "UDP"},
		object{"name": "dns-tcp", "port": 53, "protocol": "TCP"},
	}
	objects := map[string]object{
		"/api/v1/namespaces/kube-system/services/kube-dns": {
			"apiVersion": "v1", "kind": "Service",
			"metadata": object{"name": "kube-dns", "namespace": "kube-system", "labels": object{"k8s-app": "kube-dns"}},
			"spec":     object{"clusterIP": address.DNS, "ports": ports},
		},
		"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-lab": {
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
			"metadata":    object{"name": "kube-dns-lab", "namespace": "kube-system", "labels": object{"kubernetes.io/service-name": "kube-dns"}},
			"addressType": "IPv4",
			"endpoints":   []any{object{"addresses": []any{address.Node}, "conditions": object{"ready": true}}},
			"ports":       ports,
		},
	}
	for path, o := range objects {
		if err := client.Apply(ctx, path, o); err != nil {
			return fmt.Errorf("the cluster's DNS: %w", err)
		}
	}
	return nil
}
