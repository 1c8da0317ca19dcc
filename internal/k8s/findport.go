package k8s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/manifest"
)

// UsualPorts are the ports that gRPC servers most often listen on: gRPC's own
// examples', then those that frameworks and guides use. They are tried in this
// order where a workload declares nothing.
func UsualPorts() []int {
	return []int{50051, 50052, 8080, 9090, 9000, 8000, 6565, 5000, 3000, 80}
}

// PortFound is the port that the app speaks gRPC on, and how that is known.
type PortFound struct {
	Port int    `json:"port"`
	How  string `json:"how"`             // "--target-port", "declared …", "answered"
	Try  []int  `json:"tried,omitempty"` // what was tried, where nothing was declared
}

// DeclaredPort is the port that the pod template itself says is gRPC: by a
// gRPC probe, or by a container port whose name begins with grpc. ok is false
// where it says nothing, or names several.
func DeclaredPort(template corev1.PodTemplateSpec) (found PortFound, ok bool) {
	var candidates []PortFound
	add := func(port int32, how string) {
		if !slices.ContainsFunc(candidates, func(f PortFound) bool { return f.Port == int(port) }) {
			candidates = append(candidates, PortFound{Port: int(port), How: how})
		}
	}
	for _, c := range template.Spec.Containers {
		for _, p := range c.Ports {
			if name := strings.ToLower(p.Name); name == "grpc" || strings.HasPrefix(name, "grpc-") {
				add(p.ContainerPort, "declared: container port "+p.Name)
			}
		}
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if probe != nil && probe.GRPC != nil {
				add(probe.GRPC.Port, "declared: gRPC probe")
			}
		}
	}
	if len(candidates) != 1 {
		return PortFound{}, false
	}
	return candidates[0], true
}

// Speaks says whether a connection's other end speaks gRPC.
type Speaks func(ctx context.Context, conn net.Conn) (bool, error)

// TryPorts asks each usual port of one pod, through the API server, whether
// gRPC is spoken there. tell is given a word on each. None or several that
// answer is a *manifest.TargetError that names --target-port.
func (c *Cluster) TryPorts(ctx context.Context, pod *corev1.Pod, speaks Speaks, tell func(port int, result string)) (PortFound, error) {
	ports := UsualPorts()
	var answered []int
	for _, port := range ports {
		ok, why, err := c.tryPort(ctx, pod, port, speaks)
		if err != nil {
			return PortFound{}, err
		}
		if ok {
			answered = append(answered, port)
		}
		tell(port, why)
	}
	if len(answered) == 1 {
		return PortFound{Port: answered[0], How: "answered gRPC", Try: ports}, nil
	}
	e := &manifest.TargetError{Hint: "Say which port the app listens on: --target-port"}
	if len(answered) == 0 {
		e.What = fmt.Sprintf("pod %s declares no gRPC port and none of the usual ones answered gRPC (tried %s)",
			pod.Name, JoinInts(ports))
		return PortFound{}, e
	}
	e.What = fmt.Sprintf("pod %s answers gRPC on several ports", pod.Name)
	for _, p := range answered {
		e.Candidates = append(e.Candidates, "--target-port "+strconv.Itoa(p))
	}
	return PortFound{}, e
}

func (c *Cluster) tryPort(ctx context.Context, pod *corev1.Pod, port int, speaks Speaks) (ok bool, why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := c.Forward(ctx, pod.Namespace, pod.Name, port)
	if errors.Is(err, context.DeadlineExceeded) {
		return false, "no answer", nil
	}
	if err != nil { // the API server itself refused: no port will do better
		return false, "", err
	}
	defer func() { _ = conn.Close() }()
	ok, err = speaks(ctx, conn)
	switch {
	case ok:
		return true, "gRPC", nil
	case err != nil:
		return false, "no answer", nil // a port that does not answer is what this looks for
	}
	return false, "not gRPC", nil
}

// JoinInts writes numbers as "1, 2, 3".
func JoinInts(ports []int) string {
	s := make([]string, len(ports))
	for i, p := range ports {
		s[i] = strconv.Itoa(p)
	}
	return strings.Join(s, ", ")
}

// TargetPort is the pods' port that a Service's port leads to; a name is looked
// up in the pods' containers. 0 where no pod has it.
func TargetPort(p corev1.ServicePort, pods []corev1.Pod) int {
	if p.TargetPort.StrVal == "" {
		if n := p.TargetPort.IntValue(); n != 0 {
			return n
		}
		return int(p.Port)
	}
	for i := range pods {
		for _, c := range pods[i].Spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == p.TargetPort.StrVal {
					return int(cp.ContainerPort)
				}
			}
		}
	}
	return 0
}

// ServedPort is the pods' port that the Services lead to as gRPC, where they
// agree on one. ok is false where none does, or several differ.
func ServedPort(services []corev1.Service, pods []corev1.Pod) (found PortFound, ok bool) {
	for _, svc := range services {
		for _, p := range svc.Spec.Ports {
			if !GRPCPort(p) {
				continue
			}
			target := TargetPort(p, pods)
			if target == 0 {
				continue
			}
			if ok && found.Port != target {
				return PortFound{}, false
			}
			found, ok = PortFound{Port: target, How: "Service " + svc.Name + " leads there as gRPC"}, true
		}
	}
	return found, ok
}
