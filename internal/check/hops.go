package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// flagCode maps Envoy's response flags, of which there may be several, to the
// hop. https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
func flagCode(s probe.Sample) string {
	if strings.Contains(s.Message, "TLS_error") {
		return codeMTLS // a UF, but the pod is there: only the handshake fails
	}
	for _, flag := range strings.Split(s.Stamp.Flags, ",") {
		switch flag {
		case "UH":
			return codeNoHealthy
		case "UF":
			return codeConnect
		case "UC", "UR":
			return codeTerminated
		case "NR", "NC":
			return codeNoCluster
		case "UO":
			return codeOverflow
		case "UPE":
			return codeProtocol
		case "UT", "SI", "DT":
			return codeTimeout
		case "UAEX", "RL", "RLSE", "RFCF", "DI":
			return codeGateway
		}
	}
	return codeOtherFlag
}

// witnessCode says what is wrong with a call that went the users' way, "" if
// an upstream answered it.
func (d *digest) witnessCode(s probe.Sample) string {
	switch {
	case s.NoAnswer:
		return codeNoAnswer
	case s.NotGRPC:
		return codeNotGRPC
	case s.Upstream, d.Layer4:
		return NotTheApps(s)
	case NotTheApps(s) == codeProtocol: // the client found it broken, whoever sent it
		return codeProtocol
	case premature(s):
		return codeNoWitness
	case s.Code == codes.OK:
		return codeNoWitness // no gateway says OK by itself, but nothing shows who did
	case s.Code == codes.Unimplemented:
		if d.named > 0 && d.Rung == RungRoute {
			return codeNoMatch
		}
		return codeNoRoute
	case s.Code == codes.Unavailable && s.Message == "":
		return codeNoCluster // Envoy has words for every other UNAVAILABLE of its own
	}
	return wording(s.Message)
}

// premature tells an app's UNIMPLEMENTED that overtook the end of the request:
// Envoy then leaves x-envoy-upstream-service-time out (seen in about 4 of 1,000
// calls of a method that grpc-go does not know). Its own "no route" carries no
// message, so one that does is likely the app's, but proves nothing.
func premature(s probe.Sample) bool {
	return s.Code == codes.Unimplemented && !s.Upstream && s.Message != ""
}

// persistent is the rule for failed calls. Just after a rollout one call may
// meet a pod that is gone: one, or one in a hundred if that is more, may fail.
// Any more is a fault of its own.
func (d *digest) persistent() bool { return d.failures > allowed(d.calls) }

func allowed(calls int) int { return max(1, calls/100) }

// hops blames the hop at which the identification calls fail.
func (d *digest) hops() []Finding {
	if !d.persistent() {
		return nil
	}
	var findings []Finding
	for _, code := range slices.Sorted(maps.Keys(d.failed)) {
		if code == codeNoWitness && d.WitnessWhy != "" {
			findings = append(findings, d.noWitness(d.WitnessWhy))
			continue
		}
		findings = append(findings, d.hop(code, d.failed[code], d.calls))
	}
	return findings
}

// nowhere blames what part of the calls is led to, if it is nothing. The other
// part may be balanced well, and the samples may all be of that. Where no part
// leads to a pod, the calls themselves tell.
func (d *digest) nowhere() []Finding {
	var findings []Finding
	say := func(code string, names []string) {
		if len(names) > 0 && len(d.Expected) > 0 {
			what, hint := d.advice(code)
			findings = append(findings, found(code, d.where(), what+": calls that are led there fail", hint))
		}
	}
	say(codeNoCluster, d.Undefined)
	say(codeNoHealthy, d.Nowhere)
	return findings
}

// witness blames what is wrong on the users' own way, which the probe route,
// a copy, can't show.
func (d *digest) witness() []Finding {
	if d.Rung == RungSidecars {
		// There the identification calls are the witness, if they went where
		// real calls go.
		if d.WitnessWhy == "" || d.Layer4 {
			return nil
		}
		return []Finding{d.noWitness(d.WitnessWhy)}
	}
	bad, through, good := map[string][]probe.Sample{}, map[string]bool{}, 0
	failures := 0
	for _, s := range d.Witness {
		if s.Stamped {
			continue // it came by a probe route: no witness of the users' own
		}
		code := d.witnessCode(s)
		if code == "" {
			good++
			through[s.Path] = true
			continue
		}
		if code != codeNoWitness && code != codeNoMatch && code != codeNoRoute {
			failures++
		}
		bad[code] = append(bad[code], s)
	}
	var findings []Finding
	for _, code := range slices.Sorted(maps.Keys(bad)) {
		if code == codeNoWitness {
			continue
		}
		// A match that isn't met doesn't come and go; the rest may, once. An
		// app may have services that this route is not meant to carry.
		unmatched := code == codeNoMatch || code == codeNoRoute
		switch {
		case unmatched && good > 0 && !slices.ContainsFunc(bad[code], func(s probe.Sample) bool { return through[s.Path] }):
			findings = append(findings, found(codePartial, d.where(),
				"the route takes some of the app's services only; not "+paths(bad[code]), "widen its match if that is not meant"))
		case unmatched || good == 0 || failures > allowed(len(d.Witness)):
			findings = append(findings, d.hop(code, bad[code], len(d.Witness)))
		default:
			findings = append(findings, d.transient(code, bad[code], len(d.Witness)))
		}
	}
	if good == 0 && len(findings) == 0 {
		why := cmp.Or(d.WitnessWhy, "no call on the users' own route was made")
		if len(d.Witness) > 0 {
			why = "the calls without the nonce carry no sign of an upstream (x-envoy-upstream-service-time), or came by the probe route"
		}
		findings = append(findings, d.noWitness(why))
	}
	return findings
}

func (d *digest) noWitness(why string) Finding {
	return found(codeNoWitness, d.where(), "nothing shows that users' calls take the route under test: "+why,
		"name a method that the app has, with its path: grpcmesh verify --path /PACKAGE.SERVICE/METHOD")
}

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
		return "the gateway can't connect to the pod", fmt.Sprintf("kubectl -n %s get service %s -o yaml: does targetPort name the port that the app listens on", namespace, service)
	case codeTerminated:
		return "the pod or its sidecar breaks the connection off", fmt.Sprintf("kubectl -n %s get peerauthentication,destinationrule: do the mTLS modes of both sides agree", namespace)
	case codeNoCluster:
		if len(d.Undefined) > 0 {
			return "the route leads to " + some(d.Undefined) + ", which no DestinationRule for the gateway defines",
				fmt.Sprintf("kubectl get destinationrule -A: define it there, or take it out of virtualservice %s/%s", namespace, route)
		}
		return "the route leads to a cluster that isn't there", fmt.Sprintf("istioctl analyze -n %s: check the destination's host, subset and port", namespace)
	case codeOverflow:
		return "a circuit breaker is open", fmt.Sprintf("kubectl -n %s get destinationrule -o yaml: see connectionPool", namespace)
	case codeProtocol:
		return "the pod doesn't speak HTTP/2 to the gateway", fmt.Sprintf("kubectl get service %s -o yaml: does its port have appProtocol grpc", service)
	case codeTimeout:
		return "the pod doesn't answer the gateway in time", fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: see timeout", namespace, route)
	case codeRBAC:
		return "the sidecar refuses by an authorization policy", fmt.Sprintf("kubectl -n %s get authorizationpolicy -o yaml: allow the gateway's service account", namespace)
	case codeMTLS:
		return "TLS between the gateway and the sidecar fails", fmt.Sprintf("kubectl -n %s get peerauthentication,destinationrule -o yaml: both sides must agree on mTLS", namespace)
	case codeGateway:
		return "the gateway answers by itself", "kubectl get authorizationpolicy,requestauthentication,envoyfilter -A: see what applies to the gateway"
	case codeNotGRPC:
		return "what answers is HTTP but not gRPC", fmt.Sprintf("kubectl -n %s get service %s -o yaml: check the port, and what the address leads to", namespace, service)
	case codeNoWitness:
		return "nothing shows that an upstream answered", "check that x-envoy-upstream-service-time isn't suppressed by an EnvoyFilter"
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
