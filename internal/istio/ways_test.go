package istio

import (
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
)

// TestWaysBesideHeld: the port that is refused is not offered, nor another that
// is held alike.
func TestWaysBesideHeld(t *testing.T) {
	t.Parallel()
	https := func(port int) string {
		return strings.Replace(server("istio: ingressgateway", port, "'*'"), "protocol: GRPC", "protocol: HTTPS", 1)
	}
	in := Ingress{Namespace: "istio-system", Service: "gw", Selector: edge().Selector, Pods: edge().Pods,
		Ports: []IngressPort{{Port: 80, Target: 8080}, {Port: 8000, Target: 8000}, {Port: 8001, Target: 8001}}}
	r := Routes{Gateways: []*clientnet.Gateway{gateway(t, "edge", "a", https(8000)), gateway(t, "edge", "b", https(8001))}}
	err := r.Clash(in, 8000, exposure())
	if err == nil || !strings.Contains(err.Error(), "Open ports that can serve: 80. Choose") {
		t.Errorf("%v", err)
	}
}
