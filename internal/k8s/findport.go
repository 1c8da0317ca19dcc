package k8s

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"grpcmesh/internal/finding"
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
	How  string `json:"how"`             // "--target-port", "declared …", "answered …"
	Try  []int  `json:"tried,omitempty"` // what was tried, where nothing was declared
}

// DeclaredPorts are the ports that the pod template itself says are gRPC: by a
// gRPC probe, or by a container port whose name begins with grpc.
func DeclaredPorts(template corev1.PodTemplateSpec) []PortFound {
	var found []PortFound
	for _, c := range template.Spec.Containers {
		for _, p := range c.Ports {
			if name := strings.ToLower(p.Name); name == "grpc" || strings.HasPrefix(name, "grpc-") {
				found = addPort(found, int(p.ContainerPort), "declared: container port "+p.Name)
			}
		}
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			if probe != nil && probe.GRPC != nil {
				found = addPort(found, int(probe.GRPC.Port), "declared: gRPC probe")
			}
		}
	}
	return found
}

// OpenPorts are those that the pod template's containers name, whatever they call
// them.
func OpenPorts(template corev1.PodTemplateSpec) []PortFound {
	var found []PortFound
	for _, c := range template.Spec.Containers {
		for _, p := range c.Ports {
			if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
				found = addPort(found, int(p.ContainerPort), "a container port")
			}
		}
	}
	return found
}

// addPort adds a port that is not among them yet.
func addPort(found []PortFound, port int, how string) []PortFound {
	if port == 0 || slices.ContainsFunc(found, func(f PortFound) bool { return f.Port == port }) {
		return found
	}
	return append(found, PortFound{Port: port, How: how})
}

// Speaks says whether a connection's other end speaks gRPC.
type Speaks func(ctx context.Context, conn net.Conn) (bool, error)

// Answer is what came of asking a port for gRPC.
type Answer string

// What a port may answer.
const (
	SpokeGRPC  Answer = "gRPC"
	SpokeHTTP2 Answer = "HTTP/2, but not gRPC" // some servers say so of a gRPC service that they don't have
	SpokeOther Answer = "not gRPC"             // what answers knows no HTTP/2 in plaintext
	NoAnswer   Answer = "no answer"            // nothing listens, or it hung up or stayed silent
	NotAsked   Answer = "not reached in time"  // by the API server
)

// TryPorts asks ports of one pod, through the API server, whether gRPC is
// spoken there: what likely leads to it, tier by tier, and last the usual ports.
// The first tier in which one answers decides. tell is given a word on each.
// None, or several of a tier, is a *manifest.TargetError that names
// --target-port.
func (c *Cluster) TryPorts(ctx context.Context, pod *corev1.Pod, likely [][]PortFound, speaks Speaks, tell func(port int, answer Answer)) (PortFound, error) {
	return tryPorts(pod.Name, likely, func(port int) (Answer, error) {
		answer, err := c.AskPort(ctx, pod, port, speaks)
		if err == nil {
			tell(port, answer)
		}
		return answer, err
	})
}

func tryPorts(pod string, likely [][]PortFound, ask func(port int) (Answer, error)) (PortFound, error) {
	var usual []PortFound
	for _, port := range UsualPorts() {
		usual = addPort(usual, port, "")
	}
	var tried []int
	for _, tier := range append(slices.Clone(likely), usual) {
		var answered []PortFound
		for _, p := range tier {
			if slices.Contains(tried, p.Port) {
				continue
			}
			answer, err := ask(p.Port)
			if err != nil {
				return PortFound{}, err
			}
			tried = append(tried, p.Port)
			if answer == SpokeGRPC {
				answered = append(answered, p)
			}
		}
		if len(answered) == 1 {
			found := answered[0]
			found.Try = tried
			if found.How != "" {
				found.How += ", "
			}
			found.How += "answered gRPC"
			return found, nil
		}
		if len(answered) > 1 {
			return PortFound{}, &manifest.TargetError{Code: finding.WhichPort, What: fmt.Sprintf("pod %s answers gRPC on several ports", pod),
				Candidates: PortFlags(answered), Hint: sayPort}
		}
	}
	return PortFound{}, &manifest.TargetError{Code: finding.NoPort, Hint: sayPort,
		What: fmt.Sprintf("pod %s answered gRPC on none of the ports that it was asked on (tried %s)", pod, JoinInts(tried))}
}

const sayPort = "Say which port the app listens on: --target-port"

// PortFlags are the flags that choose one of the ports.
func PortFlags(ports []PortFound) []string {
	var flags []string
	for _, p := range ports {
		flag := "--target-port " + strconv.Itoa(p.Port)
		if p.How != "" {
			flag += "  (" + p.How + ")"
		}
		flags = append(flags, flag)
	}
	return flags
}

// AskPort asks one port of a pod, through the API server, whether gRPC is
// spoken there. An error says that it could not be asked.
func (c *Cluster) AskPort(ctx context.Context, pod *corev1.Pod, port int, speaks Speaks) (Answer, error) {
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := c.Forward(asking, pod.Namespace, pod.Name, port)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return NotAsked, nil
	}
	if err != nil { // the API server itself refused: no port will do better
		return "", err
	}
	heard := &hearing{Conn: conn}
	defer func() { _ = heard.Close() }()
	ok, err := speaks(asking, heard)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return heard.answer(ok, err), nil
}

// hearing keeps the first bytes that a connection's other end says.
type hearing struct {
	net.Conn
	mu   sync.Mutex
	head []byte
}

func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	if more := 4 - len(h.head); more > 0 {
		h.head = append(h.head, p[:min(n, more)]...)
	}
	return n, err
}

// answer judges what was heard: HTTP/2 begins with a frame of SETTINGS, whose
// type, 4, is the fourth byte (RFC 9113, 3.4).
func (h *hearing) answer(grpc bool, err error) Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case grpc:
		return SpokeGRPC
	case len(h.head) == 4 && h.head[3] == 4:
		return SpokeHTTP2
	case err != nil && len(h.head) == 0:
		return NoAnswer
	}
	return SpokeOther
}

// ProbedReady says whether a ready pod's port is known to be listened on,
// because its readiness probe asks there. The kubelet asks at the pod's address,
// a port-forward on its loopback: some apps listen on the first alone.
func ProbedReady(template corev1.PodTemplateSpec, port int) bool {
	return slices.ContainsFunc(template.Spec.Containers, func(c corev1.Container) bool {
		p := c.ReadinessProbe
		return p != nil && (p.GRPC != nil && int(p.GRPC.Port) == port || p.TCPSocket != nil && named(c, p.TCPSocket.Port) == port)
	})
}

func named(c corev1.Container, port intstr.IntOrString) int {
	if port.StrVal == "" {
		return port.IntValue()
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort)
		}
	}
	return 0
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
			if port := named(c, p.TargetPort); port != 0 {
				return port
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

// LedTo are the pods' ports that the Services lead to, whatever they call them.
func LedTo(services []corev1.Service, pods []corev1.Pod) []PortFound {
	var found []PortFound
	for _, svc := range services {
		for _, p := range svc.Spec.Ports {
			if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
				found = addPort(found, TargetPort(p, pods), "Service "+svc.Name+" leads there")
			}
		}
	}
	return found
}
