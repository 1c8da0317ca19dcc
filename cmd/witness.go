package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/probe"
)

const (
	// mostWitnesses bounds the paths that are called on the users' own route,
	// and the calls beyond two of each.
	mostWitnesses = 64
	// fewWitnesses is how many calls are made at the least, and podWitnesses how
	// many for each pod: a pod that refuses, or a fault in half of the calls,
	// then shows more than once.
	fewWitnesses, podWitnesses = 20, 8
	// mostSilent is how many calls without an answer are waited for.
	mostSilent = 3
)

// witness makes calls without the nonce, on methods that real calls would use:
// the probe route proves a copy of the users' route, these prove the original.
// All calls of one path stand together: taken in turns, paths and pods might
// keep step.
func (r *run) witness(ctx context.Context, e *check.Evidence) {
	calls, why := r.witnessCalls(ctx, r.reflect)
	e.Misread, e.Missing = r.t.misread, r.t.missing
	e.WitnessWhy, e.Unreadable, e.Real = why, anyUnreadable(calls) && !r.o.user.on(), r.o.user.on()
	silent, left := 0, r.witnesses(math.MaxInt)
	for _, c := range calls {
		for range repeats(len(calls), len(e.Expected)) {
			if ctx.Err() != nil || silent == mostSilent || left == 0 {
				break
			}
			left--
			c.Metadata = r.o.metadata
			s := r.made(ctx, c, plainCall)
			if outOf(ctx, s) {
				break
			}
			e.Witness = append(e.Witness, s)
			if !s.NoAnswer {
				continue
			}
			silent++
			if r.broken() < mostConnections && r.dial(ctx) != nil {
				silent = mostSilent // nothing listens there any more
			}
		}
	}
	if left == 0 && silent == 0 {
		r.witnessSpared(ctx, e, repeats(1, len(e.Expected)))
		if len(e.Witness) == 0 {
			e.WitnessWhy = "the first error puts a pod out, by outlier detection, and calls that no app can read are errors: it takes a real one, with --call"
		}
	}
	if e.TimedOut = r.o.ranOut(ctx); e.TimedOut != "" {
		e.WitnessOf = wanted(len(calls), len(e.Expected), len(e.Witness))
	}
	if r.o.path != "" && !r.o.user.on() {
		e.Witness, e.WitnessWhy = unheard(e.Witness, e.WitnessWhy)
	} else if r.o.path == "" {
		e.Witness, e.WitnessWhy = telling(calls, e.Witness, e.WitnessWhy)
	}
}

// repeats is how often each of n paths is called, so that each of the pods has
// probably answered.
func repeats(n, pods int) int {
	return max(2, min(max(fewWitnesses, podWitnesses*pods), mostWitnesses/max(n, 1)))
}

// wanted is how many calls of n paths were to be made, where fewer were; else 0.
func wanted(n, pods, made int) int {
	if all := n * repeats(n, pods); made < all {
		return all
	}
	return 0
}

// telling leaves the samples that tell of users' calls, and why the others
// don't. A policy may well refuse a path that no app has. And where a method
// that the app lists is unknown to who answers, the path was changed on the
// way or another app answers too: then what got through proves nothing either.
func telling(calls []probe.Call, samples []probe.Sample, why string) ([]probe.Sample, string) {
	listed := func(s probe.Sample) bool {
		return slices.ContainsFunc(calls, func(c probe.Call) bool { return c.Path == s.Path && c.Payload != nil })
	}
	kept := slices.DeleteFunc(slices.Clone(samples), func(s probe.Sample) bool { return !listed(s) && refused(s) })
	if len(kept) == 0 && len(samples) > 0 {
		why = fmt.Sprintf("calls to %s, which no app has, are refused by an authorization policy, and whether real ones are can't be told", samples[0].Path)
	}
	unknown := func(s probe.Sample) bool { return listed(s) && s.Upstream && unheardOf(s) }
	i := slices.IndexFunc(kept, unknown)
	if i < 0 {
		return kept, why
	}
	why = fmt.Sprintf("the app lists %s by reflection, and yet calls to it are answered with %q: the route rewrites their path, or leads to another app too", kept[i].Path, kept[i].Message)
	return slices.DeleteFunc(kept, func(s probe.Sample) bool {
		return s.Code == codes.Unimplemented && !s.NotGRPC && !s.NoAnswer || s.Upstream && !refused(s)
	}), why
}

// refused says whether an authorization policy turned the call away, wherever.
func refused(s probe.Sample) bool {
	return s.Code == codes.PermissionDenied && strings.HasPrefix(s.Message, "RBAC: access denied")
}

// unheardOf says whether an answer means that there is no such method, in the
// words of the usual servers; a method that was never written says so otherwise.
func unheardOf(s probe.Sample) bool {
	if s.Code != codes.Unimplemented {
		return false
	}
	message := strings.ToLower(s.Message)
	return message == "" || slices.ContainsFunc([]string{"unknown service", "unknown method", "method not found", "does not implement the method", "service is unimplemented"},
		func(words string) bool { return strings.Contains(message, words) })
}

// unreadable is a protobuf message that breaks off within a field: an app
// refuses it before its handler runs, so that even a real method can be called
// without a side effect.
func unreadable() []byte { return []byte{0x0a} }

func anyUnreadable(calls []probe.Call) bool {
	return slices.ContainsFunc(calls, func(c probe.Call) bool { return c.Payload != nil })
}

// reflectionPath is what reflection is called by.
const reflectionPath = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

// witnessCalls are the calls that users would make, as far as can be told: of
// the path given; else of each service that the app lists by reflection; else,
// where the rule under test takes any path, of one that nobody has. A call that
// another rule takes proves nothing of this one and is left out; one that no
// rule takes shows what users get.
func (r *run) witnessCalls(ctx context.Context, reflect func(context.Context) ([]probe.Service, error)) (calls []probe.Call, why string) {
	if r.o.path != "" {
		return r.own([]probe.Call{r.o.pathCall()})
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
		if other, ok := r.t.besides(r.o.metadata); ok {
			return nil, fmt.Sprintf("%s, and real calls may be taken by %s", err, other)
		}
		return calls, ""
	} else if why != "" {
		return nil, err.Error() + ", and " + why
	}
	return nil, err.Error() + ", and the route takes some paths only"
}

// besides is another rule than the one under test that calls with the metadata
// may meet.
func (t *target) besides(metadata map[string]string) (istio.Entry, bool) {
	table := t.table
	if len(metadata) > 0 {
		table = table.With(metadata)
	}
	i := slices.IndexFunc(table, func(e istio.Entry) bool { return !e.Same(t.entry) })
	if i < 0 {
		return istio.Entry{}, false
	}
	return table[i], true
}

// callsOf picks calls for each of the app's services: of its methods, with a
// message that can't be read, since a policy or a fault may be for one method
// alone. A service that has none which can be called without a side effect is
// called by a method that doesn't exist, if the gateway makes no difference
// between its methods. streams are methods that the rule under test takes, and
// that can't be called so.
func (r *run) callsOf(services []probe.Service) (calls []probe.Call, streams []string) {
	for _, s := range services {
		if probe.Utility(s.Name) {
			continue
		}
		whole, unary, alike := "/"+s.Name+"/"+noMethod, false, true
		for _, m := range s.Methods {
			path := "/" + s.Name + "/" + m.Name
			if !m.ClientStream && !m.ServerStream {
				calls, unary = append(calls, probe.Call{Path: path, Payload: unreadable()}), true
			}
			alike = alike && r.alike(whole, path)
		}
		if !unary && alike {
			calls = append(calls, probe.Call{Path: whole})
			continue
		}
		for _, m := range s.Methods { // a stream's handler starts before it reads
			if path := "/" + s.Name + "/" + m.Name; (m.ClientStream || m.ServerStream) && r.ours(path) {
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

func (r *run) takes(path string) istio.Taken { return r.t.takes(r.o, path) }

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
// reflection. A rule that stands before the probe would lead elsewhere, and a
// policy or a rewrite may be in the way: then a pod itself is asked.
func (r *run) reflect(ctx context.Context) ([]probe.Service, error) {
	var err error
	metadata := r.marked()
	if taken := r.t.table.Take(r.t.call(r.o.dialAuthority(), reflectionPath, metadata)); taken.OK && !taken.Entry.TakesAll() && !taken.Entry.Same(r.t.entry) {
		err = fmt.Errorf("calls to it are taken by %s", taken.Entry)
	} else {
		services, failed := r.conn.Services(ctx, r.nonce, metadata)
		if failed == nil {
			return services, nil
		}
		err = failed
	}
	if services, atPod := r.reflectAtPod(ctx); atPod == nil {
		return services, nil
	}
	return nil, err
}

func upstream(samples []probe.Sample) bool {
	return slices.ContainsFunc(samples, func(s probe.Sample) bool { return s.Upstream })
}
