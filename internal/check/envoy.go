package check

import (
	"cmp"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// NotTheApps is why an answer that came from behind the gateway was not the
// app's, as a code of Codes, or "": a pod's sidecar answers by itself where it
// can't reach the app or a policy refuses the call, and the gateway hands that
// on like any answer, with a service time and without a flag. It goes by
// Envoy's own words, at the message's beginning: an app that tells of an error
// of its own backend quotes them further on. So is an answer that the client
// itself found broken.
func NotTheApps(s probe.Sample) string {
	begins := func(words ...string) bool {
		for _, w := range words {
			if strings.HasPrefix(s.Message, w) {
				return true
			}
		}
		return false
	}
	switch {
	case s.NoAnswer, s.NotGRPC:
		return "" // nobody's answer
	case isRefusal(s):
		return codeRBAC
	case s.Code == codes.Internal && strings.Contains(s.Message, "closed the stream without sending trailers"):
		return codeProtocol // grpc-go's words, sent by no server
	case s.Code == codes.Unavailable || s.Code == codes.DeadlineExceeded:
		if begins("upstream connect error", "no healthy upstream", "upstream request timeout", "upstream request overflow",
			"reset reason", "upstream max stream duration", "downstream duration timeout", "downstream max stream duration",
			"connection termination", "stream timeout", "response timeout") {
			return wording(s.Message)
		}
	}
	// ResourceExhausted is this client's own limit, Canceled the run's end.
	if s.Err != "" && s.Code != codes.ResourceExhausted && s.Code != codes.Canceled {
		if s.Code == codes.DeadlineExceeded {
			return codeTimeout
		}
		return codeTerminated
	}
	return ""
}

// wording tells the hop from what Envoy says of it. Other words are codeGateway.
func wording(message string) string {
	for _, w := range []struct{ words, code string }{
		{"no healthy upstream", codeNoHealthy},
		{"TLS_error", codeMTLS},
		{"connection termination", codeTerminated},
		{"remote reset", codeTerminated},
		{"overflow", codeOverflow},
		{"protocol error", codeProtocol},
		{"upstream connect error", codeConnect},
		{"timeout", codeTimeout},
		{"max stream duration", codeTimeout},
		{faultAbort, codeGateway},
		{"reset reason", codeTerminated},
	} {
		if strings.Contains(message, w.words) {
			return w.code
		}
	}
	return codeGateway
}

// isRefusal tells a proxy's refusal by an authorization policy or for want of
// a token.
func isRefusal(s probe.Sample) bool {
	return s.Code == codes.PermissionDenied && strings.HasPrefix(s.Message, "RBAC: access denied") ||
		s.Code == codes.Unauthenticated && (strings.HasPrefix(s.Message, "Jwt ") || strings.HasPrefix(s.Message, "Jwks "))
}

// beyond says that NotTheApps speaks of a call that got past the gateway.
func (d *digest) beyond(s probe.Sample) bool {
	return NotTheApps(s) != "" && (d.Layer4 || s.Upstream || s.Stamp.Flags == "-")
}

// within is what a call that failed behind the gateway means, and the next step.
func (d *digest) within(code string, samples []probe.Sample) (what, hint string) {
	namespace, service, _ := d.names()
	pod, app := "POD", "the app"
	if of := d.backends(samples); len(of) > 0 {
		e := d.Expected[of[0]]
		pod, namespace = cmp.Or(e.Pod, pod), cmp.Or(e.Namespace, namespace)
		if len(of) == 1 {
			app = "the app in " + d.name(of[0])
		}
	}
	logs := fmt.Sprintf("kubectl -n %s logs %s --all-containers --tail=50: what happened to %s", namespace, pod, app)
	switch code {
	case codeConnect, codeNoHealthy, codeOverflow, codeGateway, codeMTLS:
		return "the gateway reached the pod's sidecar, which could not reach the app",
			fmt.Sprintf("kubectl -n %s get service %s -o yaml: does %s listen on the Service's targetPort", namespace, service, app)
	case codeProtocol:
		return "the answer has no gRPC status at its end, so that it can't be a gRPC server's",
			fmt.Sprintf("kubectl -n %s get service %s -o yaml: does its port have appProtocol grpc, and does %s speak gRPC on its targetPort", namespace, service, app)
	case codeTerminated:
		return "the gateway reached the pod, but the app or its sidecar broke the call off", logs
	case codeTimeout:
		return "the gateway reached the pod's sidecar, but the app did not answer in time", logs
	}
	return d.advice(code)
}

// unreadable tells a server's answer to a message that it can't decode. That
// is what verify sends to methods that exist, so that they do nothing.
func unreadable(s probe.Sample) bool {
	message := strings.ToLower(s.Message)
	for _, word := range []string{"unmarshal", "deserializ", "decod", "pars", "protobuf", "proto:"} {
		if strings.Contains(message, word) {
			return s.Code == codes.Internal || s.Code == codes.Unknown
		}
	}
	return false
}
