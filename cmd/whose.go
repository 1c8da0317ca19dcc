package cmd

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/probe"
)

// serves says whether calls to the authority are the exposure's at all: a
// VirtualService of a more specific host, or one that stands before it, would
// have them instead.
func (x *exposer) serves(ctx context.Context, call istio.Call) error {
	routes, err := x.mesh.Beside(x.cluster.Lately()).Routes(ctx)
	if err != nil {
		return err
	}
	by := x.routedBy()
	serving := routes.Serving(x.met(routes, call.Authority), call.Authority)
	why := notServed(serving, by, call.Authority)
	if why == "" {
		why = takenFrom(routes.Table(serving[0].Listener, serving), by, call)
	}
	if why != "" {
		return &k8s.NotReadyError{Subject: "VirtualService " + strings.Join(by, " and "), Cause: why,
			Hint: "Everything was written. Expose under a host of its own: --host NAME"}
	}
	return nil
}

// notServed is why none of those that serve the authority is one of the
// VirtualServices, namespace/name, or "".
func notServed(serving []istio.Candidate, by []string, authority string) string {
	var others []string
	for _, c := range serving {
		name := c.VirtualService.Namespace + "/" + c.VirtualService.Name
		if slices.Contains(by, name) {
			return ""
		}
		others = append(others, fmt.Sprintf("VirtualService %s (host %s)", name, c.Host))
	}
	if len(others) == 0 {
		return "no Gateway leads calls for " + authority + " to it"
	}
	return "calls for " + authority + " are taken by " + strings.Join(others, " and ")
}

// takenFrom is why calls of the path do not come to one of the VirtualServices,
// though they serve their host, or "".
func takenFrom(table istio.Table, by []string, call istio.Call) string {
	taken := table.Take(call)
	if name := taken.Entry.VirtualService; taken.OK && taken.Unsure == "" && !slices.Contains(by, name.Namespace+"/"+name.Name) {
		return fmt.Sprintf("calls to %s of %s are taken by %s", call.Path, call.Authority, taken.Entry)
	}
	return ""
}

// behind lists the ready endpoints of the Service that the route leads to.
func (x *exposer) behind(ctx context.Context) ([]k8s.Endpoint, error) {
	name := x.exposure.ServiceName()
	svc, err := x.cluster.Core.CoreV1().Services(x.exposure.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading Service %s/%s: %w", x.exposure.Namespace, name, err)
	}
	i := slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == x.exposure.Port })
	if i < 0 {
		return nil, nil // it was taken away meanwhile: nothing is behind it
	}
	found, _, err := x.cluster.Endpoints(ctx, svc, svc.Spec.Ports[i])
	return found, err
}

// notBehind is why a Service does not lead to the pods, to some and to them
// alone, or "".
func notBehind(service string, endpoints []k8s.Endpoint, pods []corev1.Pod, port int) string {
	for _, e := range endpoints {
		if !isOf(e.Address, pods, port) {
			return fmt.Sprintf("Service %s leads to another's pod too: %s (%s)", service, cmp.Or(e.Pod, "of no name"), e.Address)
		}
	}
	if len(endpoints) == 0 {
		return "Service " + service + " has no ready endpoint"
	}
	return ""
}

// isOf says whether the address is the port of one of the pods, by any of its
// addresses.
func isOf(address string, pods []corev1.Pod, port int) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		ips := []string{p.Status.PodIP}
		for _, ip := range p.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
		return slices.ContainsFunc(ips, func(ip string) bool { return net.JoinHostPort(ip, strconv.Itoa(port)) == address })
	})
}

// plainCall makes a call by the users' route. An app that refuses a method may
// answer before the gateway has seen the request's end, and the gateway's Envoy
// then leaves out the mark by which its upstream's answers are known; so a
// refusal without the mark is asked again, a few times.
func plainCall(ctx context.Context, conn *probe.Conn, call probe.Call) probe.Sample {
	const tries = 5
	s := conn.Call(ctx, call)
	for i := 1; i < tries && s.Code == codes.Unimplemented && !s.Upstream && !s.NoAnswer && s.Message != ""; i++ {
		s = conn.Call(ctx, call)
	}
	return s
}

// notUpstream is why a call by the users' route did not come through, or "".
func notUpstream(s probe.Sample) string {
	switch {
	case s.NoAnswer:
		return "the gateway gave no answer: " + s.Err
	case s.NotGRPC:
		return "what answered does not speak gRPC: " + s.Err
	case !s.Upstream:
		return fmt.Sprintf("the gateway itself answered, with code %s %q: it has no route, or no healthy endpoint, for the call", s.Code, s.Message)
	}
	return notTheApps(s)
}

// notTheApps is why what came from behind the gateway was not the app's
// answer, or "".
func notTheApps(s probe.Sample) string {
	if check.NotTheApps(s) == "" {
		return ""
	}
	from := "a pod"
	if s.Stamp.Backend != "" {
		from = "pod " + s.Stamp.Backend
	}
	switch s.Code {
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Sprintf("the sidecar of %s refuses the call by a policy, with code %s %q: see the AuthorizationPolicy and RequestAuthentication in the pod's namespace", from, s.Code, s.Message)
	}
	return fmt.Sprintf("the gateway reached %s, but not the app in it (code %s %q): does the app listen on the Service's targetPort", from, s.Code, s.Message)
}

// notOurs is why a stamped call was not answered by one of the pods, or "".
func notOurs(s probe.Sample, pods []corev1.Pod, port int) string {
	switch {
	case s.NoAnswer:
		return "the gateway gave no answer: " + s.Err
	case !s.Stamped:
		return "the gateway does not have the probe route yet"
	case s.Stamp.Flags != "-":
		return fmt.Sprintf("the gateway got no answer from a pod (Envoy's flags: %s)", s.Stamp.Flags)
	}
	if !isOf(s.Stamp.Backend, pods, port) {
		return "another backend answered: " + s.Stamp.Backend
	}
	return notTheApps(s)
}

// denied is the error where the API server's refusal is the reason that a
// port could not be forwarded: waiting does not help then.
func denied(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return err
	}
	return nil
}
