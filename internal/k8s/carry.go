package k8s

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"grpcmesh/internal/plan"
)

// InFlight is how many requests of a batch are under way at a time; they share
// one HTTP/2 connection, which takes more.
const InFlight = 32

// AtOnce calls do for each of n items, at most InFlight at a time, and returns
// when all have ended. told, which may be nil, is called for each in their
// order, as soon as all before have ended.
func AtOnce(n int, do func(i int), told func(i int)) {
	gate := make(chan struct{}, InFlight)
	ended := make([]chan struct{}, n)
	var wg sync.WaitGroup
	for i := range n {
		ended[i] = make(chan struct{})
	}
	wg.Go(func() {
		for i := range n {
			<-ended[i]
			if told != nil {
				told(i)
			}
		}
	})
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer close(ended[i])
			do(i)
			<-gate
		})
	}
	wg.Wait()
}

// CarryAll is Carry for several plans at once: kind by kind in the plans' order,
// and of a kind many at a time. After one has failed nothing more is begun. done
// is told each change that was made, and the plan that it is of, in their order.
func CarryAll(ctx context.Context, by Appliers, plans []plan.Plan, done func(of int, c plan.Change)) error {
	type task struct {
		of int
		plan.Change
	}
	tasks := map[string][]task{}
	for of, p := range plans {
		for _, c := range p.Changes {
			tasks[step(c)] = append(tasks[step(c)], task{of, c})
		}
	}
	for _, next := range order(plans) {
		all := tasks[next]
		errs := make([]error, len(all))
		made := make([]bool, len(all))
		var failed atomic.Bool
		AtOnce(len(all), func(i int) {
			if ctx.Err() != nil || failed.Load() {
				return
			}
			errs[i] = carry(ctx, by, all[i].Change)
			if made[i] = errs[i] == nil; !made[i] {
				failed.Store(true)
			}
		}, func(i int) {
			if made[i] {
				done(all[i].of, all[i].Change)
			}
		})
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
			return errs[i]
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// step is what changes have in common that are made at once.
func step(c plan.Change) string {
	if c.Action == plan.Delete {
		return "delete " + c.ID.Kind
	}
	return c.ID.Kind
}

// order merges the orders in which the plans have their steps.
func order(plans []plan.Plan) []string {
	var steps []string
	for _, p := range plans {
		at := 0
		for _, c := range p.Changes {
			if i := slices.Index(steps, step(c)); i >= 0 {
				at = i + 1
				continue
			}
			steps = slices.Insert(steps, at, step(c))
			at++
		}
	}
	return steps
}
