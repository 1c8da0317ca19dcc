package cmd

import (
	"fmt"
	"maps"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// loading is the call that a load makes, by the probe route and faring there as
// users' do: that of the user, as it is, or else one of a method that the app does
// not have. why is why the user's can't be made there, or "".
func (r *run) loading() (call probe.Call, why string) {
	if !r.o.user.on() && r.ejects != "" {
		return probe.Call{}, r.ejects + ": a load of them would put out one pod after another; give a real one with --call"
	}
	if !r.o.user.on() {
		return r.asUsers(r.probing()), ""
	}
	if why := r.before(r.o.path, r.o.metadata); why != "" {
		return probe.Call{}, fmt.Sprintf("only a probe route tells which pod answered a call of a load, and %s; leave out --call to load another method", why)
	}
	return r.asUsers(r.byProbe(r.o.pathCall())), ""
}

// asUsers sends a call by the rule of the probe route that has the retries, the
// timeout and the faults of the one under test: what a load loses is what users
// would.
func (r *run) asUsers(call probe.Call) probe.Call {
	call.Nonce = r.users
	return call
}

// sampling is the call by the probe route that tells one pod: of a user's method
// that streams it is a stream, for those are spread as they open.
func (r *run) sampling() probe.Call {
	if r.o.user.stream == nil {
		return r.probing()
	}
	return r.byProbe(r.o.pathCall())
}

// byProbe sends a call by the probe route.
func (r *run) byProbe(call probe.Call) probe.Call {
	call.Nonce, call.Proof = r.nonce, r.proof
	return call
}

// loadedMethod is the method of the user's that a load calls, or "".
func (o *verifyOptions) loadedMethod() string {
	if !o.user.on() {
		return ""
	}
	return o.path
}

// before is which rule takes calls of the path before a probe route can, in words,
// or "".
func (r *run) before(path string, metadata map[string]string) string {
	taken := r.t.table.Take(r.t.call(r.o.dialAuthority(), path, maps.Clone(metadata)))
	switch {
	case taken.Unsure != "":
		return "who takes calls of " + path + " can't be told beforehand: " + taken.Unsure
	case taken.OK && !taken.Entry.TakesAll():
		return fmt.Sprintf("%s takes calls of %s before it", taken.Entry, path)
	}
	return ""
}

// well says whether a status of a load is what it should be: of a real call OK
// alone, else what pods gave before the load too.
func (r *run) well(code, usual codes.Code) bool {
	return code == codes.OK || code == usual && !r.o.user.on()
}
