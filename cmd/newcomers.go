package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"grpcmesh/internal/check"
)

// readAgain is how often at most the endpoints are read while calls are made.
const readAgain = 200 * time.Millisecond

// newcomers notes endpoints that come while calls are made: their answers are
// no stranger's, and no reason to make no more.
type newcomers struct {
	list  func(context.Context) ([]check.Endpoint, error)
	known []check.Endpoint // those noted
	last  time.Time        // when they were read
}

// note looks who has answered, where that is none of the expected: if an
// endpoint by now, it is noted as changed. One that can't be looked up is left
// to the judge.
func (n *newcomers) note(ctx context.Context, e *check.Evidence, address string) {
	is := func(o check.Endpoint) bool { return o.Address == address }
	if address == "" || slices.ContainsFunc(e.Expected, is) || slices.ContainsFunc(n.known, is) {
		return
	}
	select {
	case <-time.After(time.Until(n.last.Add(readAgain))):
	case <-ctx.Done():
		return
	}
	now, err := n.list(ctx)
	n.last = time.Now()
	if i := slices.IndexFunc(now, is); err == nil && i >= 0 {
		n.known = append(n.known, now[i])
		e.Changed = append(e.Changed, came(now[i]))
	}
}

func came(e check.Endpoint) string { return fmt.Sprintf("%s (%s) came", e.Pod, e.Address) }

// compare gives the endpoints that were ready at both ends of the run, with
// their shares scaled to 1, and in words what came or went.
func compare(before, after []check.Endpoint) (stayed []check.Endpoint, changed []string) {
	in := func(list []check.Endpoint, e check.Endpoint) bool {
		return slices.ContainsFunc(list, func(o check.Endpoint) bool { return o.Address == e.Address && o.Pod == e.Pod })
	}
	for _, e := range before {
		if in(after, e) {
			stayed = append(stayed, e)
		} else {
			changed = append(changed, fmt.Sprintf("%s (%s) went", e.Pod, e.Address))
		}
	}
	for _, e := range after {
		if !in(before, e) {
			changed = append(changed, came(e))
		}
	}
	return merge(stayed), changed
}
