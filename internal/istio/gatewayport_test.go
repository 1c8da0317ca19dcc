package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/k8s"
)

func TestChoosePort(t *testing.T) {
	in := Ingress{Namespace: "istio-system", Service: "gw", Ports: []IngressPort{
		{Port: 15021, Target: 15021}, {Port: 8443, Target: 15021}, {Port: 80, Target: 8080}, {Port: 443, Target: 8443},
		{Port: 8000, Target: 8000}, {Port: 88, Target: 88, Barred: "leads to port 88 of its pods, and so on"}, {Port: 9443, Target: 443, Barred: "leads to port 443 of its pods"},
		{Port: 1024, Target: 1024},
	}}
	barred80 := Ingress{Namespace: "istio-system", Service: "gw", Ports: []IngressPort{{Port: 80, Target: 80, Barred: "leads to port 80 of its pods, which they may not open"}, {Port: 443, Target: 443}}}
	without := func(ports ...int) Ingress {
		c := in
		c.Ports = slices.DeleteFunc(slices.Clone(in.Ports), func(p IngressPort) bool { return slices.Contains(ports, p.Port) })
		return c
	}
	for _, tc := range []struct {
		name           string
		in             Ingress
		asked, service int
		want           int    // the Service's port; 0: refused
		cause          string // in the refusal
	}{
		{"the Service's own", in, 0, 8000, 8000, ""},
		{"the Service's is not open", in, 0, 9999, 80, ""},
		{"asked for", in, 80, 8000, 80, ""},
		{"asked for, the least that a pod may open", in, 1024, 8000, 1024, ""},
		{"asked for, not open", in, 9999, 8000, 0, "does not open port 9999"},
		{"asked for, status", in, 15021, 8000, 0, "answers its own health"},
		{"asked for, leads to status", in, 8443, 8000, 0, "answers its own health"},
		{"asked for, TLS", in, 443, 8000, 0, "for TLS"},
		{"asked for, below 1024", in, 88, 8000, 0, "port 88 leads to port 88 of its pods, and so on"},
		{"asked for, leads below 1024", in, 9443, 8000, 0, "port 9443 leads to port 443"},
		{"the Service's is the status port", in, 0, 15021, 80, ""},
		{"the Service's is 443", in, 0, 443, 80, ""},
		{"the Service's is below 1024", in, 0, 88, 80, ""},
		{"neither is open", without(80), 0, 9999, 0, "neither port 9999 nor port 80"},
		{"only what can't serve is open", without(80, 8000, 1024), 0, 8000, 0, "its Service opens neither port 8000 nor port 80"},
		{"80 is open and can't serve", barred80, 0, 8000, 0, "its Service does not open port 8000; port 80 leads to port 80 of its pods, which they may not open"},
		{"both are open and can't serve", barred80, 0, 443, 0, "port 443 is for TLS, and this route would be plaintext; port 80 leads to port 80"},
		{"80 twice", barred80, 0, 80, 0, "port 80 leads to port 80 of its pods, which they may not open"},
		{"80 twice, closed", without(80), 0, 80, 0, "its Service does not open port 80"},
	} {
		got, err := ChoosePort(tc.in, tc.asked, tc.service)
		if tc.want != 0 {
			if err != nil || got.Port != tc.want {
				t.Errorf("%s: port %d, %v; want %d", tc.name, got.Port, err, tc.want)
			}
			continue
		}
		var not *k8s.NotReadyError
		if !errors.As(err, &not) || !strings.Contains(not.Cause, tc.cause) {
			t.Errorf("%s: %v; want a refusal: %s", tc.name, err, tc.cause)
			continue
		}
		hint := "Open ports that can serve: " + k8s.JoinInts(tc.in.ServingPorts()) + ". Choose one with --gateway-port"
		if len(tc.in.ServingPorts()) == 0 {
			hint = "None of its open ports can serve; open another on the gateway's Service."
		}
		if !strings.Contains(not.Hint, hint) {
			t.Errorf("%s: the hint is %q; want %q", tc.name, not.Hint, hint)
		}
	}
	for manager, want := range map[string]string{"istio-operator": "istio-operator keeps its ports", "kubectl-edit": "Service.", "": "Service."} {
		kept := in
		kept.Keeper.Manager = manager
		if got := kept.ways(nil); !strings.Contains(got, want) || strings.Contains(got, "keeps") != (manager == "istio-operator") {
			t.Errorf("kept by %q: %q", manager, got)
		}
	}
	if got := in.ServingPorts(); !slices.Equal(got, []int{80, 8000, 1024}) {
		t.Errorf("ServingPorts = %v", got)
	}
}

// TestBarred: the pods' own spec says whether they can listen.
func TestBarred(t *testing.T) {
	sysctl := func(name, value string) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) {
			p.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1337)), Sysctls: []corev1.Sysctl{{Name: name, Value: value}}}
		}
	}
	proxy := func(set func(*corev1.SecurityContext)) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) {
			p.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{}}
			set(p.Containers[0].SecurityContext)
		}
	}
	root := func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(0)) }
	unprivileged := func(value string) func(*corev1.PodSpec) {
		return func(p *corev1.PodSpec) {
			p.Containers[0].Env = []corev1.EnvVar{{Name: "ISTIO_META_UNPRIVILEGED_POD", Value: value}}
		}
	}
	to := func(port int32) intstr.IntOrString { return intstr.FromInt32(port) }
	for _, tc := range []struct {
		name   string
		target intstr.IntOrString
		sets   []func(*corev1.PodSpec)
		want   string // in the reason; empty: not barred
	}{
		{"1024 and above", to(8080), nil, ""},
		{"nothing said", to(80), nil, "leads to port 80 of its pods, which they may not open, as far as their spec says: it is below 1024"},
		{"Helm's gateway chart", to(80), []func(*corev1.PodSpec){sysctl("net.ipv4.ip_unprivileged_port_start", "0"), proxy(func(c *corev1.SecurityContext) {
			c.Capabilities.Drop, c.RunAsNonRoot, c.RunAsUser = []corev1.Capability{"ALL"}, new(true), new(int64(1337))
		})}, ""},
		{"the sysctl by its other name", to(80), []func(*corev1.PodSpec){sysctl("net/ipv4/ip_unprivileged_port_start", "0")}, ""},
		{"the sysctl at that port", to(80), []func(*corev1.PodSpec){sysctl("net.ipv4.ip_unprivileged_port_start", "80")}, ""},
		{"the sysctl above that port", to(80), []func(*corev1.PodSpec){sysctl("net.ipv4.ip_unprivileged_port_start", "81")}, "which they may not open"},
		{"another sysctl", to(80), []func(*corev1.PodSpec){sysctl("net.core.somaxconn", "0")}, "which they may not open"},
		{"root", to(80), []func(*corev1.PodSpec){proxy(root)}, ""},
		{"the pod's user is root", to(80), []func(*corev1.PodSpec){func(p *corev1.PodSpec) {
			p.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(0))}
		}}, ""},
		{"the pod's user is root, the container's is not", to(80), []func(*corev1.PodSpec){func(p *corev1.PodSpec) {
			p.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(0))}
		}, proxy(func(c *corev1.SecurityContext) { c.RunAsUser = new(int64(1337)) })}, "which they may not open"},
		{"root without its capabilities", to(80), []func(*corev1.PodSpec){proxy(func(c *corev1.SecurityContext) {
			root(c)
			c.Capabilities.Drop = []corev1.Capability{"ALL"}
		})}, "which they may not open"},
		{"root with the one capability", to(80), []func(*corev1.PodSpec){proxy(func(c *corev1.SecurityContext) {
			root(c)
			c.Capabilities.Drop, c.Capabilities.Add = []corev1.Capability{"ALL"}, []corev1.Capability{"NET_BIND_SERVICE"}
		})}, ""},
		// Tried on a real kernel: it takes no effect without root.
		{"the one capability without root", to(80), []func(*corev1.PodSpec){proxy(func(c *corev1.SecurityContext) {
			c.RunAsUser = new(int64(1337))
			c.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"}
		})}, "which they may not open"},
		// istiod believes the pod's own word before anything else.
		{"istioctl install", to(80), []func(*corev1.PodSpec){unprivileged("true")}, "istiod gives them none below 1024"},
		{"root that calls itself unprivileged", to(80), []func(*corev1.PodSpec){proxy(root), unprivileged("true")}, "istiod gives them none below 1024"},
		{"root that doesn't", to(80), []func(*corev1.PodSpec){proxy(root), unprivileged("false")}, ""},
		{"a port's name", intstr.FromString("http-named"), nil, ""},
		{"a port's name that no pod has", intstr.FromString("http2"), nil, "leads to the port name http2, which no container of its pods declares"},
	} {
		pod := routerPod(nil, true)
		for _, set := range tc.sets {
			set(&pod.Spec)
		}
		got := barred(corev1.ServicePort{Port: 80, TargetPort: tc.target}, []corev1.Pod{pod})
		if !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
