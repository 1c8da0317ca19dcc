package k8s

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// KnownProtocol says whether a Service's port names a protocol that Istio
// knows, by appProtocol or by the port's name; of any other Istio guesses by
// the first bytes of each connection (its ConvertProtocol).
func KnownProtocol(p corev1.ServicePort) bool {
	name := p.Name
	if p.AppProtocol != nil {
		name = *p.AppProtocol
		if slices.Contains([]string{"kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"}, name) {
			return true
		}
	}
	base, _, _ := strings.Cut(strings.ToLower(name), "-")
	return p.Protocol == corev1.ProtocolUDP || slices.Contains([]string{"tcp", "udp", "grpc", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"}, base)
}
