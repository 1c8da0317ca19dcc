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
func (d *digest) flagCode(s probe.Sample) string {
	if strings.Contains(s.Message, "TLS_error") {
		return codeMTLS // a UF, but the pod is there: only the handshake fails
	}
	for _, flag := range strings.Split(s.Stamp.Flags, ",") {
		switch flag {
		case "UH":
			return codeNoHealthy
		case "UF":
			return d.orMTLS(codeConnect)
		case "UC", "UR":
			return d.orMTLS(codeTerminated)
		case "NR", "NC":
			return codeNoCluster
		case "UO":
			return codeOverflow
		case "UPE":
			return codeProtocol
		case "UT", "SI", "DT":
			return codeTimeout
		case "UAEX", "RL", "RLSE", "RFCF", "DI", "FI":
			return codeGateway
		}
	}
	return codeOtherFlag
}

// orMTLS is why a connection of the gateway's to a pod can't be made, or is
// broken off: where one side speaks TLS and the other doesn't, neither says so.
func (d *digest) orMTLS(code string) string {
	if d.Disagree != "" && (code == codeConnect || code == codeTerminated) {
		return codeMTLS
	}
	return code
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
	return d.orMTLS(wording(s.Message))
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
	if d.counting() || d.Rung == RungApp {
		// There the identification calls are the witness, if they went where
		// real calls go.
		if d.WitnessWhy == "" || d.Layer4 {
			return nil
		}
		return []Finding{d.noWitness(d.WitnessWhy)}
	}
	namespace, _, route := d.names()
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
				"the route takes some of the app's services only; not "+paths(bad[code]), fmt.Sprintf("if that is not meant, widen its match: kubectl -n %s edit virtualservice %s", namespace, route)))
		case unmatched || good == 0 || failures > allowed(len(d.Witness)):
			findings = append(findings, d.hop(code, bad[code], len(d.Witness)))
		case !hasCode(slices.Concat(d.hops(), d.nowhere()), code): // one culprit is named once
			findings = append(findings, d.transient(code, bad[code], len(d.Witness)))
		}
	}
	if good == 0 && len(findings) == 0 && d.Unasked == "" {
		why := cmp.Or(d.WitnessWhy, "no call on the users' own route was made")
		if len(d.Witness) > 0 {
			why = "the calls without the nonce carry no sign of an upstream (" + serviceTime + "), or came by the probe route"
		}
		findings = append(findings, d.noWitness(why))
	}
	return findings
}
