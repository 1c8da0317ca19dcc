package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// harmless are the calls that apps answer without an error, where they know
// them. Else verify calls what no app has, or with what none can read: those
// answers are errors, which outlier detection counts against the pods.
func harmless() []probe.Call {
	listServices := []byte{0x3a, 0x00} // ServerReflectionRequest.list_services
	return []probe.Call{
		{Path: "/grpc.health.v1.Health/Check"},
		{Path: reflectionPath, Payload: listServices},
		{Path: strings.Replace(reflectionPath, ".v1.", ".v1alpha.", 1), Payload: listServices},
	}
}

// countsAsError says whether Envoy takes a status for a 5xx, as its outlier
// detection does (Grpc::Utility::grpcToHttpStatus).
func countsAsError(c codes.Code) bool {
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// putsOut is after how many errors in a row outlier detection puts a pod of the
// route out for a while, and which DestinationRule says so; 0: never.
func (t *target) putsOut() (errors int, by string) {
	for _, p := range t.policies {
		if p.PutsOut > 0 && (errors == 0 || p.PutsOut < errors) {
			errors, by = p.PutsOut, p.Rule
		}
	}
	return errors, by
}

// spare begins to look for a call by the probe route that hurts no pod. One of the
// pods is asked past the gateway, which then counts nothing, where that can be.
func (r *run) spare(ctx context.Context) {
	if n, _ := r.t.putsOut(); n == 0 || r.o.user.stream != nil { // a stream of the user's is what tells pods apart
		return
	}
	all := harmless()
	if conn, err := r.openPod(ctx); err == nil {
		all = slices.DeleteFunc(all, func(c probe.Call) bool {
			c.Metadata = r.o.metadata
			s := conn.Call(ctx, c)
			return s.NoAnswer || s.NotGRPC || countsAsError(s.Code)
		})
		_ = conn.Close()
	}
	for _, c := range all {
		if taken := r.t.table.Take(r.t.call(r.o.dialAuthority(), c.Path, r.marked())); !taken.OK || taken.Entry.TakesAll() {
			r.spares = append(r.spares, c) // no rule stands before the probe for it
		}
	}
	r.nextSpare()
}

func (r *run) nextSpare() {
	if len(r.spares) == 0 && r.o.user.on() && r.before(r.o.path, r.o.metadata) == "" {
		r.spared = r.o.pathCall() // a real one, as those on the users' route
		return
	}
	if len(r.spares) == 0 {
		r.spared = probe.Call{Path: noPath}
		r.hurts()
		return
	}
	r.spared, r.spares = r.spares[0], r.spares[1:]
}

// hurt says whether the answer counts against its pod, and another call is
// worth trying.
func (r *run) hurt(s probe.Sample) bool {
	if r.spared.Path == "" || r.spared.Path == noPath || r.spared.Path == r.o.path || !s.Stamped && !s.Upstream || !countsAsError(s.Code) {
		return false
	}
	r.nextSpare()
	return true
}

// hurts notes that no call was found that hurts none.
func (r *run) hurts() {
	n, by := r.t.putsOut()
	r.ejects = fmt.Sprintf("outlier detection (DestinationRule %s) puts a pod out after %s in a row, and the app answers verify's calls with errors", by, plural(n, "error"))
}

// witnesses is how many of n calls whose answers are errors may be made in a
// row without a pod being put out.
func (r *run) witnesses(n int) int {
	if errors, _ := r.t.putsOut(); errors > 0 && !r.o.user.on() {
		return min(n, errors-1)
	}
	return n
}

// witnessSpared makes n calls on the users' own route that hurt no pod, if the
// rule under test takes them.
func (r *run) witnessSpared(ctx context.Context, e *check.Evidence, n int) {
	if r.spared.Path == "" || r.spared.Path == noPath || !r.ours(r.spared.Path) {
		return
	}
	call := r.spared
	call.Metadata = r.o.metadata
	for range n {
		s := r.made(ctx, call, plainCall)
		if outOf(ctx, s) {
			return
		}
		e.Witness = append(e.Witness, s)
		if s.NoAnswer || ctx.Err() != nil {
			return
		}
	}
}

// userSpared is a call on the users' own route that reaches the pods and hurts
// none, to be counted.
func (r *run) userSpared(ctx context.Context) (probe.Call, bool) {
	if n, _ := r.t.putsOut(); n == 0 || r.o.user.on() {
		return probe.Call{}, false
	}
	for _, c := range harmless() {
		if !r.ours(c.Path) {
			continue
		}
		c.Metadata = r.o.metadata
		if s := plainCall(ctx, r.conn, c); s.Upstream && !countsAsError(s.Code) {
			return c, true
		}
	}
	r.hurts()
	return probe.Call{}, false
}
