package check

import (
	"fmt"
	"slices"
	"strings"

	"grpcmesh/internal/probe"
)

func (d *digest) noWitness(why string) Finding {
	return found(codeNoWitness, d.where(), "nothing shows that users' calls take the route under test: "+why,
		d.toWitness(why))
}

// toWitness is the next step where there is no witness, by the reason.
func (d *digest) toWitness(why string) string {
	namespace, _, route := d.names()
	switch {
	case strings.Contains(why, serviceTime):
		return "kubectl get envoyfilter,virtualservice -A -o yaml: does one remove " + serviceTime + " from answers"
	case strings.HasSuffix(why, "with --call"):
		return d.realCall()
	case strings.Contains(why, " only with "): // what verify's calls don't have
		return fmt.Sprintf("make a call that has it, which verify can't; whether users' calls do, compare with: kubectl -n %s get virtualservice %s -o yaml", namespace, route)
	}
	return "name a method that the app has and this route takes, by its path: " + d.verify("--path /PACKAGE.SERVICE/METHOD")
}

// serviceTime is the header by which Envoy marks its upstreams' answers.
const serviceTime = "x-envoy-upstream-service-time"

// paths lists where calls went, quoted.
func paths(samples []probe.Sample) string {
	names := make([]string, 0, len(samples))
	for _, s := range samples {
		names = append(names, fmt.Sprintf("%.200q", s.Path))
	}
	return some(names)
}

// hop words the Finding of one code.
func (d *digest) hop(code string, samples []probe.Sample, of int) Finding {
	what, hint := d.told(code, samples)
	return found(code, d.where(), fmt.Sprintf("%s: %d of %d calls%s (%s)", what, len(samples), of, d.to(samples), describe(samples[0])), hint)
}

func (d *digest) transient(code string, samples []probe.Sample, of int) Finding {
	what, hint := d.told(code, samples)
	return found(codeTransient, d.where(), fmt.Sprintf("%s, but only in %d of %d calls%s (%s); usual just after a rollout, a fault if it stays",
		what, len(samples), of, d.to(samples), describe(samples[0])), hint)
}

// told is the advice, by where the first of the calls failed: before the pod,
// or within it.
func (d *digest) told(code string, samples []probe.Sample) (what, hint string) {
	if what, hint, ok := d.injected(samples); ok {
		return what, hint
	}
	if d.beyond(samples[0]) {
		return d.within(code, samples)
	}
	return d.advice(code)
}

// to names the pods that failed calls were for, as far as stamps tell.
func (d *digest) to(samples []probe.Sample) string {
	var names []string
	for _, i := range d.backends(samples) {
		names = append(names, d.name(i))
	}
	if len(names) == 0 {
		return ""
	}
	return ", all to " + some(names)
}

// backends are the expected endpoints that the calls were for; none, if one
// of the calls tells of no such.
func (d *digest) backends(samples []probe.Sample) []int {
	var of []int
	for _, s := range samples {
		i, ok := d.index[s.Stamp.Backend]
		if !ok {
			return nil
		}
		if !slices.Contains(of, i) {
			of = append(of, i)
		}
	}
	slices.Sort(of)
	return of
}

// advice is what a failing hop means and the one next step.
func (d *digest) advice(code string) (what, hint string) {
	namespace, service, route := d.names()
	switch code {
	case codeNoAnswer:
		return "calls get no answer", "kubectl -n istio-system logs deploy/istio-ingressgateway --tail=50"
	case codeNoRoute:
		return "the gateway has no route for this host", fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: compare hosts and gateways with the authority", namespace, route)
	case codeNoMatch:
		return "the probe gets through, but users' calls don't meet the route's match", fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: compare its match with the method's path", namespace, route)
	case codeNoHealthy:
		if len(d.Nowhere) == 0 && len(d.Expected) > 0 && d.ByDesign != "" { // a gateway has no address to pass calls through to
			return fmt.Sprintf("the gateway finds no healthy endpoint though %d are ready, and %s", len(d.Expected), d.ByDesign),
				"kubectl get destinationrule -A -o yaml: see trafficPolicy.loadBalancer of the one named here"
		}
		if len(d.Nowhere) > 0 {
			return "the route leads to " + some(d.Nowhere) + ", without a ready endpoint",
				fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: take that destination out of it, or bring its pods up", namespace, route)
		}
		return "the route leads to a cluster without a healthy endpoint", fmt.Sprintf("kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s", namespace, service)
	case codeConnect:
		return "the gateway can't connect to the pod", fmt.Sprintf("kubectl -n %s get service %s -o yaml: does targetPort name the port that the app listens on; if so, kubectl -n %s get destinationrule,peerauthentication -o yaml: does a tls mode ask for TLS that the pod doesn't speak", namespace, service, namespace)
	case codeTerminated:
		return "the pod or its sidecar breaks the connection off", fmt.Sprintf("kubectl -n %s get peerauthentication,destinationrule: do the mTLS modes of both sides agree", namespace)
	case codeNoCluster:
		if len(d.Undefined) > 0 {
			return "the route leads to " + some(d.Undefined) + ", which no DestinationRule for the gateway defines",
				fmt.Sprintf("kubectl get destinationrule -A: define it there, or take it out of virtualservice %s/%s", namespace, route)
		}
		if len(d.Missing) > 0 {
			return "the route leads to " + some(d.Missing),
				fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: mend its destination, or create the Service: grpcmesh expose", namespace, route)
		}
		return "the route leads to a cluster that isn't there", fmt.Sprintf("istioctl analyze -n %s: check the destination's host, subset and port", namespace)
	case codeOverflow:
		return "a circuit breaker is open", fmt.Sprintf("kubectl -n %s get destinationrule -o yaml: see connectionPool", namespace)
	case codeProtocol:
		return "the pod doesn't speak HTTP/2 to the gateway", fmt.Sprintf("kubectl -n %s get service %s -o yaml: does its port have appProtocol grpc", namespace, service)
	case codeTimeout:
		return "the pod doesn't answer the gateway in time", fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: see timeout", namespace, route)
	case codeRBAC:
		return "the sidecar refuses by an authorization policy, or for want of a token", fmt.Sprintf("kubectl -n %s get authorizationpolicy,requestauthentication -o yaml: allow the gateway's service account", namespace)
	case codeMTLS:
		what := "TLS between the gateway and the sidecar fails"
		if d.Disagree != "" {
			what = "gateway and pods can't speak to each other: " + d.Disagree
		}
		return what, fmt.Sprintf("kubectl -n %s get peerauthentication,destinationrule -o yaml: both sides must agree on mTLS", namespace)
	case codeGateway:
		return "the gateway answers by itself", "kubectl get authorizationpolicy,requestauthentication,envoyfilter -A: see what applies to the gateway"
	case codeNotGRPC:
		return "what answers is HTTP but not gRPC", fmt.Sprintf("kubectl -n %s get service %s -o yaml: check the port, and what the address leads to", namespace, service)
	case codeNoWitness:
		return "nothing shows that an upstream answered: answers lack " + serviceTime, d.toWitness(serviceTime)
	}
	return "the answer isn't the pod's", "look the flag up: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage"
}

// describe quotes one call, so that control bytes in it are visible.
func describe(s probe.Sample) string {
	text := s.Message
	if s.NoAnswer {
		text = s.Err
	}
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	flags := ""
	if s.Stamped {
		flags = fmt.Sprintf(", flags %q", s.Stamp.Flags)
	}
	return fmt.Sprintf("%s: status %d%s, %q", fmt.Sprintf("%.200q", s.Path), s.Code, flags, text)
}
