package istio

import (
	"errors"
	"strings"
	"testing"
	"time"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// TestKeeper reads what the API server notes.
func TestKeeper(t *testing.T) {
	const (
		status = `"k:{\"port\":15021,\"protocol\":\"TCP\"}":{".":{}}`
		http   = `"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{}}`
	)
	at := metav1.NewTime(time.Unix(100, 0))
	entry := func(manager, ports string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:ports":{".":{},` + ports + `}}}`)}
	}
	balancer := entry("balancer", http)
	balancer.Subresource = "status"
	for _, tc := range []struct {
		name    string
		entries []metav1.ManagedFieldsEntry
		want    string
	}{
		{"nothing noted", nil, ""},
		{"one", []metav1.ManagedFieldsEntry{entry("a", status+","+http), balancer}, "a"},
		{"another's status port", []metav1.ManagedFieldsEntry{entry("a", status), entry("b", http)}, "b"},
		{"only the status port", []metav1.ManagedFieldsEntry{entry("a", status)}, "a"},
		{"two", []metav1.ManagedFieldsEntry{entry("a", http), entry("b", http)}, ""},
	} {
		got := keeper(&corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.entries}})
		if got.Manager != tc.want || got.Wrote.Equal(at.Time) != (tc.want != "") {
			t.Errorf("%s: %+v, want %q", tc.name, got, tc.want)
		}
	}
}

// TestFollower: a controller is told by the ports that it opens, and when.
func TestFollower(t *testing.T) {
	at := func(second int64, gw *clientnet.Gateway) *clientnet.Gateway {
		gw.CreationTimestamp = metav1.NewTime(time.Unix(second, 0))
		return gw
	}
	asks := func(second int64, port int) *clientnet.Gateway {
		return at(second, gateway(t, "shop", "gw", server("istio: ingressgateway", port, "'*'")))
	}
	elsewhere := asks(0, 9000)
	elsewhere.Spec.Selector = map[string]string{"istio": "other"}
	opens := func(manager string, second int64, ports ...int) Ingress {
		in := edge()
		in.Ports = []IngressPort{{Port: statusPort, Target: statusPort}}
		for _, p := range ports {
			in.Ports = append(in.Ports, IngressPort{Port: p, Target: p})
		}
		in.Keeper = Keeper{Manager: manager, Wrote: time.Unix(second, 0)}
		return in
	}
	const ctl = "gateway-controller"
	for _, tc := range []struct {
		name     string
		in       Ingress
		gateways []*clientnet.Gateway
		want     string
	}{
		{"one to one", opens(ctl, 20, 8080, 9090), []*clientnet.Gateway{asks(10, 8080), asks(20, 9090), elsewhere}, ctl},
		{"asked for again, later", opens(ctl, 10, 8080), []*clientnet.Gateway{asks(30, 8080), asks(10, 8080)}, ctl},
		{"nothing asked, nothing open", opens(ctl, 10), []*clientnet.Gateway{elsewhere}, ctl},
		{"open before it was asked for", opens(ctl, 9, 8080), []*clientnet.Gateway{asks(10, 8080)}, ""},
		{"open, and not asked for", opens(ctl, 20, 8080, 9090), []*clientnet.Gateway{asks(10, 8080)}, ""},
		{"asked for, and not open", opens(ctl, 20, 8080), []*clientnet.Gateway{asks(10, 8080), asks(10, 9090)}, ""},
		{"open, nothing asked", opens(ctl, 20, 80, 443), nil, ""},
		{"by hand", opens("kubectl-edit", 20, 8080), []*clientnet.Gateway{asks(10, 8080)}, ""},
		{"by an installer", opens("istio-operator", 20), nil, ""},
		{"by several", opens("", 20, 8080), []*clientnet.Gateway{asks(10, 8080)}, ""},
	} {
		if got := (Routes{Gateways: tc.gateways}).Follower(tc.in); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}

	r, in := Routes{Gateways: []*clientnet.Gateway{asks(10, 8080)}}, opens(ctl, 20, 8080)
	in.Pods = []corev1.Pod{routerPod(in.Selector, true)}
	for _, tc := range []struct {
		name           string
		code           string
		asked, service int
		want           int
		hint           string
	}{
		{"asked for", finding.PortClosed, 9090, 8000, 9090, ""},
		{"not asked for", finding.PortClosed, 0, 8000, 0, "To make the Gateway first and wait for the port: --gateway-port 8000"},
		{"open, and can't serve", finding.PortBarred, 9090, 8000, 0, ""},
		{"below 1024", finding.PortClosed, 88, 8000, 0, ""},
		{"for TLS", finding.PortClosed, 443, 8000, 0, ""},
	} {
		refused := &k8s.NotReadyError{Code: tc.code, Hint: "Nothing was written."}
		p, who, err := r.FollowedPort(in, tc.asked, tc.service, refused)
		if p.Port != tc.want || (who == ctl) != (tc.want != 0) || errors.Is(err, refused) != (tc.want == 0) {
			t.Errorf("%s: port %d by %q, %v; want %d", tc.name, p.Port, who, err, tc.want)
		}
		if !strings.Contains(refused.Hint, tc.hint) || tc.hint == "" && strings.Contains(refused.Hint, "--gateway-port") {
			t.Errorf("%s: the hint is %q", tc.name, refused.Hint)
		}
	}
}
