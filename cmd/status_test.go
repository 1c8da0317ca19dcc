package cmd

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
)

// TestExposureLeadsTo: of each Service that a rule leads to is told what is
// known: also of another namespace, and nothing where it could not be read.
func TestExposureLeadsTo(t *testing.T) {
	service := func(namespace string, selector map[string]string) corev1.Service {
		return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "srv"},
			Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Port: 8000}, {Port: 9000}}}}
	}
	pod := func(namespace string, ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: map[string]string{"app": "srv"}},
			Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy"}}},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}}
	}
	app := map[string]string{"app": "srv"}
	deployment := k8s.Workload{Kind: "Deployment", Namespace: "shop", Name: "srv", Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}}}
	for _, tc := range []struct {
		name, host string
		port       uint32
		view       view
		services   string
		pods       int
		problems   string
	}{
		{"of its own namespace", "srv", 8000, view{namespace: []string{"test"}, services: []corev1.Service{service("test", app)}, pods: []corev1.Pod{pod("test", "True")}}, "srv", 1, ""},
		{"no pod is ready", "srv", 0, view{namespace: []string{"test"}, services: []corev1.Service{service("test", app)}, pods: []corev1.Pod{pod("test", "False")}}, "srv", 1, "no pod is ready"},
		{"endpoints by hand", "srv", 0, view{namespace: []string{"test"}, services: []corev1.Service{service("test", nil)}}, "srv", 0, ""},
		{"missing", "srv", 0, view{namespace: []string{"test"}}, "srv", 0, "it leads to Service srv, which does not exist"},
		{"a port that it lacks", "srv", 80, view{namespace: []string{"test"}, services: []corev1.Service{service("test", app)}, pods: []corev1.Pod{pod("test", "True")}}, "srv", 1, "it leads to port 80 of Service srv, which has no such port (it has 8000, 9000)"},
		{"another namespace", "srv.shop.svc.cluster.local", 0, view{namespace: []string{"test", "shop"}, services: []corev1.Service{service("shop", app)}, workloads: []k8s.Workload{deployment}, pods: []corev1.Pod{pod("shop", "True"), pod("test", "True")}}, "shop/srv", 1, ""},
		{"another, of all", "srv.shop.svc.cluster.local", 0, view{namespace: []string{""}, services: []corev1.Service{service("shop", app)}, pods: []corev1.Pod{pod("shop", "False")}}, "shop/srv", 1, "no pod is ready"},
		{"another, not read", "srv.shop.svc.cluster.local", 0, view{namespace: []string{"test"}}, "shop/srv", 0, ""},
		{"missing in another", "srv.shop.svc.cluster.local", 0, view{namespace: []string{"test", "shop"}}, "shop/srv", 0, "it leads to Service shop/srv, which does not exist"},
		{"half a name", "srv.shop", 0, view{namespace: []string{"test", "shop"}}, "srv.shop", 0, "it leads to srv.shop, which Istio takes for no Service: one of another namespace is written NAME.NAMESPACE.svc.cluster.local"},
	} {
		vs := &clientnet.VirtualService{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "srv"}}
		dest := &networking.Destination{Host: tc.host}
		if tc.port != 0 {
			dest.Port = &networking.PortSelector{Number: tc.port}
		}
		rule := &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{Destination: dest}}}
		vs.Spec.Http = []*networking.HTTPRoute{rule, rule} // two rules, one problem
		e := tc.view.exposure(vs)
		e.Problems = e.Problems[1:] // no gateway is there
		if w := strings.Join(e.Workloads, " "); w != "" && w != "shop/Deployment/srv" || (w == "") != (len(tc.view.workloads) == 0) {
			t.Errorf("%s: workloads %s", tc.name, w)
		}
		if got := strings.Join(e.Problems, "; "); got != tc.problems || strings.Join(e.Services, " ") != tc.services || e.Pods != tc.pods {
			t.Errorf("%s: %v, %d pods, %q; want %s, %d, %q", tc.name, e.Services, e.Pods, got, tc.services, tc.pods, tc.problems)
		}
	}
}
