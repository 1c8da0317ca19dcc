package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// firstFreePort is the least port that any process may listen on, where
// nothing says otherwise.
const firstFreePort = 1024

// ServingPorts are the numbers that ChoosePort would take.
func (i Ingress) ServingPorts() []int {
	var ports []int
	for _, p := range i.Ports {
		if p.CannotServe() == "" {
			ports = append(ports, p.Port)
		}
	}
	return ports
}

// ways says which of the gateway's ports could be taken instead; taken, where it
// is not nil, leaves out those that can't for what else is there.
func (i Ingress) ways(taken func(port int) bool) string {
	keeps := ""
	if m := i.Keeper.Manager; m != "" && !strings.HasPrefix(m, "kubectl") {
		keeps = " " + m + " keeps its ports: open it where that takes them from."
	}
	ports := i.ServingPorts()
	if taken != nil {
		ports = slices.DeleteFunc(ports, taken)
	}
	if len(ports) == 0 && taken != nil {
		return "None of its other open ports can serve; open another on the gateway's Service." + keeps
	}
	if len(ports) == 0 {
		return "None of its open ports can serve; open another on the gateway's Service." + keeps
	}
	return "Open ports that can serve: " + k8s.JoinInts(ports) + ". Choose one with --gateway-port, or open another on the gateway's Service." + keeps
}

// CannotServe is why no gRPC can be served on an open port, in plaintext or as it
// is to be Secured, or "".
func (p IngressPort) CannotServe() string {
	switch {
	case p.Port == statusPort || p.Target == statusPort:
		return fmt.Sprintf("port %d is where it answers its own health, not calls", p.Port)
	case p.Port == manifest.TLSPort && !p.Secured:
		return "port 443 is for TLS, and this route would be plaintext"
	case p.Barred != "":
		return fmt.Sprintf("port %d %s", p.Port, p.Barred)
	}
	return ""
}

// ChoosePort picks the gateway's port: the one asked for, which must be open;
// else the Service's own number if the gateway opens it, else 80; of ports to be
// Secured 443, else the Service's own number. Where none can serve it is a *k8s.NotReadyError that says why of each, and lists the
// open ones that can.
func ChoosePort(in Ingress, asked, servicePort int) (IngressPort, error) {
	candidates := []int{servicePort, 80}
	if in.secured() {
		candidates = []int{manifest.TLSPort, servicePort}
	}
	if asked != 0 {
		candidates = []int{asked}
	}
	var closed []int
	var causes []string
	for _, number := range slices.Compact(candidates) {
		p, ok := in.Port(number)
		if !ok {
			closed = append(closed, number)
			continue
		}
		why := p.CannotServe()
		if why == "" {
			return p, nil
		}
		causes = append(causes, why)
	}
	switch len(closed) {
	case 1:
		causes = slices.Insert(causes, 0, fmt.Sprintf("its Service does not open port %d", closed[0]))
	case 2:
		causes = []string{fmt.Sprintf("its Service opens neither port %d nor port %d", closed[0], closed[1])}
	}
	code := finding.PortClosed
	if len(closed) == 0 {
		code = finding.PortBarred
	}
	return IngressPort{}, &k8s.NotReadyError{Code: code, Subject: "gateway " + in.String(), Cause: strings.Join(causes, "; "),
		Hint: "Nothing was written. " + in.ways(nil)}
}

// barred is why the pods can't be listening behind a Service's port, or "".
// It follows what istiod does: a port's name is looked up in the pod, and where
// the pod lacks it istiod makes the gateway listen on the Service's number,
// where the Service does not lead.
func barred(p corev1.ServicePort, pods []corev1.Pod) string {
	target := k8s.TargetPort(p, pods)
	if target == 0 {
		return fmt.Sprintf("leads to the port name %s, which no container of its pods declares, so to nothing", p.TargetPort.StrVal)
	}
	if target >= firstFreePort {
		return ""
	}
	for i := range pods {
		if !isRouter(pods[i]) {
			continue
		}
		if why := unprivileged(pods[i].Spec, target); why != "" {
			return fmt.Sprintf("leads to port %d of its pods, %s", target, why)
		}
	}
	return ""
}

// unprivileged is why a gateway's pod can't listen on a port below 1024, or "".
// istiod leaves such a port out where the pod declares itself unprivileged, as
// those of `istioctl install` do; else it is the pod's kernel that decides.
// Gateways of Istio's Helm chart have the sysctl. Where the spec leaves it to
// the image or the container runtime, the port is refused: an Envoy that can't
// listen rejects all its later configuration too (istio#28268).
func unprivileged(pod corev1.PodSpec, port int) string {
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == "istio-proxy" })
	if i < 0 {
		return ""
	}
	proxy := pod.Containers[i]
	for _, env := range proxy.Env {
		if yes, err := strconv.ParseBool(env.Value); env.Name == "ISTIO_META_UNPRIVILEGED_POD" && err == nil && yes {
			return "and istiod gives them none below 1024 (they say ISTIO_META_UNPRIVILEGED_POD)"
		}
	}
	if port >= firstUnprivileged(pod.SecurityContext) || mayBind(pod.SecurityContext, proxy.SecurityContext) {
		return ""
	}
	return "which they may not open, as far as their spec says: it is below 1024, and they have neither the sysctl net.ipv4.ip_unprivileged_port_start=0 nor root with the capability NET_BIND_SERVICE"
}

// firstUnprivileged is the least port that the pod's kernel lets everyone
// listen on.
func firstUnprivileged(pod *corev1.PodSecurityContext) int {
	if pod == nil {
		return firstFreePort
	}
	for _, s := range pod.Sysctls {
		if n, err := strconv.Atoi(s.Value); err == nil && strings.ReplaceAll(s.Name, "/", ".") == "net.ipv4.ip_unprivileged_port_start" {
			return n
		}
	}
	return firstFreePort
}

// mayBind says whether the container's process holds CAP_NET_BIND_SERVICE: root
// does unless it is dropped, and others don't even if it is added, as
// Kubernetes has no ambient capabilities.
func mayBind(pod *corev1.PodSecurityContext, container *corev1.SecurityContext) bool {
	has := func(list []corev1.Capability) bool {
		return slices.ContainsFunc(list, func(c corev1.Capability) bool {
			return slices.Contains([]string{"ALL", "NET_BIND_SERVICE"}, strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_"))
		})
	}
	root := pod != nil && pod.RunAsUser != nil && *pod.RunAsUser == 0
	if container == nil {
		return root
	}
	if container.RunAsUser != nil {
		root = *container.RunAsUser == 0
	}
	caps := container.Capabilities
	return root && (caps == nil || !has(caps.Drop) || has(caps.Add))
}
