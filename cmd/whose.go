package cmd

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/probe"
)

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
	return ""
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
	for i := range pods {
		if net.JoinHostPort(pods[i].Status.PodIP, fmt.Sprint(port)) == s.Stamp.Backend {
			return ""
		}
	}
	return "another backend answered: " + s.Stamp.Backend
}

// denied is the error where the API server's refusal is the reason that a
// port could not be forwarded: waiting does not help then.
func denied(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return err
	}
	return nil
}
