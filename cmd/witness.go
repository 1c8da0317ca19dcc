package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/probe"
)

// mostWitnesses bounds the calls on the users' own route.
const mostWitnesses = 64

// witness makes calls without the nonce, on methods that real calls would use:
// the probe route proves a copy of the users' route, these prove the original.
func (r *run) witness(ctx context.Context, e *check.Evidence) {
	calls, why := r.witnessCalls(ctx, r.reflect)
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

// reflectionPath is what reflection is called by.
const reflectionPath = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

// witnessCalls are the calls that users would make, as far as can be told: of
// the path given; else of each service that the app lists by reflection; else,
// where the rule under test takes any path, of one that nobody has. A call that
// another rule takes proves nothing of this one and is left out; one that no
// rule takes shows what users get.
func (r *run) witnessCalls(ctx context.Context, reflect func(context.Context) ([]probe.Service, error)) (calls []probe.Call, why string) {
	if r.o.path != "" {
		return r.own([]probe.Call{{Path: r.o.path, Payload: unreadable()}})
	}
	services, err := reflect(ctx)
	if err == nil {
		calls, streams := r.callsOf(services)
		if len(calls)+len(streams) > 0 {
			return r.own(calls, streams...)
		}
		err = errors.New("the app lists no service of its own by reflection")
	} else {
		err = fmt.Errorf("the app does not answer reflection (%w)", err)
	}
	if calls, why = r.own([]probe.Call{{Path: noPath}}); len(calls) > 0 && r.ours(noPath) {
		return calls, ""
	} else if why != "" {
		return nil, err.Error() + ", and " + why
	}
	return nil, err.Error() + ", and the route takes some paths only"
}

// callsOf picks calls for each of the app's services. A method that doesn't
// exist shows what becomes of a service, if the gateway makes no difference
// between its methods; else the real ones are called, with a message that
// can't be read. streams are methods that the rule under test takes, and that
// can't be called without a side effect.
func (r *run) callsOf(services []probe.Service) (calls []probe.Call, streams []string) {
	for _, s := range services {
		if strings.HasPrefix(s.Name, "grpc.reflection.") || strings.HasPrefix(s.Name, "grpc.health.") || strings.HasPrefix(s.Name, "grpc.channelz.") {
			continue
		}
		whole := "/" + s.Name + "/" + noMethod
		if !slices.ContainsFunc(s.Methods, func(m probe.Method) bool { return !r.alike(whole, "/"+s.Name+"/"+m.Name) }) {
			calls = append(calls, probe.Call{Path: whole})
			continue
		}
		for _, m := range s.Methods {
			if path := "/" + s.Name + "/" + m.Name; !m.ClientStream && !m.ServerStream {
				calls = append(calls, probe.Call{Path: path, Payload: unreadable()})
			} else if r.ours(path) { // a stream's handler starts before it reads
				streams = append(streams, path)
			}
		}
	}
	return calls, streams
}

// own leaves those calls which the rule under test takes, and behind them
// those that no rule takes; where the rule may take others, which can't be made
// here, the latter show nothing. why is what became of the calls, where none is
// left.
func (r *run) own(calls []probe.Call, streams ...string) (own []probe.Call, why string) {
	var nobodys []probe.Call
	beyond := ""
	if len(streams) > 0 {
		beyond = "of what the rule takes only streams are known, such as " + streams[0] + ", which have a side effect"
	}
	for _, c := range calls {
		taken := r.takes(c.Path)
		i := slices.IndexFunc(taken.OnlyWith, func(a istio.Asks) bool { return a.Entry.Same(r.t.entry) })
		switch {
		case r.ours(c.Path):
			own = append(own, c)
		case taken.Unsure != "":
			beyond = cmp.Or(beyond, "who takes calls to "+c.Path+" can't be told beforehand: "+taken.Unsure)
		case i >= 0:
			beyond = cmp.Or(beyond, fmt.Sprintf("the rule takes calls to %s only with %s", c.Path, taken.OnlyWith[i].What))
		case taken.OK:
			why = cmp.Or(why, fmt.Sprintf("calls to %s are taken by %s", c.Path, taken.Entry))
		default:
			nobodys = append(nobodys, c)
		}
	}
	if len(own) == 0 && beyond != "" {
		return nil, beyond
	}
	own = append(own, nobodys...)
	if len(own) > 0 {
		why = ""
	}
	return own[:min(len(own), mostWitnesses)], why
}

func (r *run) takes(path string) istio.Taken { return r.t.takes(r.o.dialAuthority(), path) }

// ours says whether calls to the path surely meet the rule under test.
func (r *run) ours(path string) bool {
	taken := r.takes(path)
	return taken.OK && taken.Unsure == "" && taken.Entry.Same(r.t.entry)
}

// alike says whether the gateway treats both paths the same.
func (r *run) alike(a, b string) bool {
	x, y := r.takes(a), r.takes(b)
	return x.OK == y.OK && x.Unsure == y.Unsure && (!x.OK || x.Entry.Same(y.Entry)) &&
		slices.EqualFunc(x.OnlyWith, y.OnlyWith, func(p, q istio.Asks) bool { return p.Entry.Same(q.Entry) })
}

// reflect asks the app by the probe route: the users' own may not carry
// reflection. A rule that stands before the probe would lead elsewhere.
func (r *run) reflect(ctx context.Context) ([]probe.Service, error) {
	if taken := r.takes(reflectionPath); taken.OK && !taken.Entry.TakesAll() && !taken.Entry.Same(r.t.entry) {
		return nil, fmt.Errorf("calls to it are taken by %s", taken.Entry)
	}
	return r.conn.Services(ctx, r.nonce)
}

func upstream(samples []probe.Sample) bool {
	return slices.ContainsFunc(samples, func(s probe.Sample) bool { return s.Upstream })
}
