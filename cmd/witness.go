package cmd

import (
	"context"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// mostWitnesses bounds the calls on the users' own route.
const mostWitnesses = 64

// witness makes calls without the nonce, on methods that real calls would use:
// the probe route proves a copy of the users' route, these prove the original.
func (r *run) witness(ctx context.Context, e *check.Evidence) {
	calls, why := r.witnessCalls(ctx, func(ctx context.Context) ([]probe.Service, error) {
		return r.conn.Services(ctx, r.nonce) // by the probe route: the users' own may not carry it
	})
	e.WitnessWhy = why
	for _, c := range calls {
		if ctx.Err() != nil {
			return
		}
		e.Witness = append(e.Witness, plainCall(ctx, r.conn, c))
	}
}

// unreadable is a protobuf message that breaks off within a field: an app
// refuses it before its handler runs, so that even a real method can be called
// without a side effect.
func unreadable() []byte { return []byte{0x0a} }

// witnessCalls are the calls that users would make, as far as can be told: of
// the path given; else of each service that the app lists by reflection; else,
// where the route takes every path, of any. A route that matches some paths
// only proves nothing by those: real calls may have others.
func (r *run) witnessCalls(ctx context.Context, reflect func(context.Context) ([]probe.Service, error)) (calls []probe.Call, why string) {
	if r.o.path != "" {
		return []probe.Call{{Path: r.o.path, Payload: unreadable()}}, ""
	}
	services, err := reflect(ctx)
	if err == nil {
		calls = r.callsOf(services)
	}
	if len(calls) > 0 {
		return calls, ""
	}
	if takesAll(r.t.rule) {
		return []probe.Call{{Path: noPath}}, ""
	}
	if err != nil {
		return nil, "the app does not answer reflection (" + err.Error() + "), and the route takes some paths only"
	}
	return nil, "the app lists no service of its own by reflection, and the route takes some paths only"
}

// callsOf picks calls for each of the app's services. Where the route takes
// whole services, a method that doesn't exist shows it; where it takes single
// methods only, the real ones are called with a message that can't be read.
func (r *run) callsOf(services []probe.Service) []probe.Call {
	var calls []probe.Call
	for _, s := range services {
		if strings.HasPrefix(s.Name, "grpc.reflection.") || strings.HasPrefix(s.Name, "grpc.health.") || strings.HasPrefix(s.Name, "grpc.channelz.") {
			continue
		}
		if !exactOnly(r.t.rule) {
			calls = append(calls, probe.Call{Path: "/" + s.Name + "/" + noMethod})
			continue
		}
		for _, m := range s.Methods {
			if !m.ClientStream && !m.ServerStream { // a stream's handler starts before it reads
				calls = append(calls, probe.Call{Path: "/" + s.Name + "/" + m.Name, Payload: unreadable()})
			}
		}
	}
	return calls[:min(len(calls), mostWitnesses)]
}

// takesAll says whether the rule matches every call.
func takesAll(rule *networking.HTTPRoute) bool {
	return len(rule.Match) == 0 || slices.ContainsFunc(rule.Match, func(m *networking.HTTPMatchRequest) bool {
		prefix, ok := m.GetUri().GetMatchType().(*networking.StringMatch_Prefix)
		all := m.Uri == nil || ok && prefix.Prefix == "/"
		return all && len(m.Headers)+len(m.WithoutHeaders)+len(m.QueryParams) == 0 && m.Method == nil && m.Authority == nil && m.Scheme == nil && m.Port == 0
	})
}

// exactOnly says whether the rule matches nothing but whole paths.
func exactOnly(rule *networking.HTTPRoute) bool {
	return len(rule.Match) > 0 && !slices.ContainsFunc(rule.Match, func(m *networking.HTTPMatchRequest) bool {
		_, exact := m.GetUri().GetMatchType().(*networking.StringMatch_Exact)
		return !exact
	})
}

func upstream(samples []probe.Sample) bool {
	return slices.ContainsFunc(samples, func(s probe.Sample) bool { return s.Upstream })
}
