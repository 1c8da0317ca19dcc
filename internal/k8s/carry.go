package k8s

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// InFlight is how many requests of a batch are under way at a time; they share
// one HTTP/2 connection, which takes more.
const InFlight = 32

// AtOnce calls do for each of n items, at most limit at a time, and returns
// when all have ended. told, which may be nil, is called for each in their
// order, as soon as all before have ended.
func AtOnce(n, limit int, do func(i int), told func(i int)) {
	gate := make(chan struct{}, limit)
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
		for i, step := range steps(p) {
			tasks[step] = append(tasks[step], task{of, p.Changes[i]})
		}
	}
	for _, next := range order(plans) {
		all := tasks[next]
		errs := make([]error, len(all))
		made := make([]bool, len(all))
		var failed atomic.Bool
		AtOnce(len(all), InFlight, func(i int) {
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

// steps names, for each change of a plan, what it has in common with those that
// are made at once: the kind, and that it is no second change of one object.
func steps(p plan.Plan) []string {
	all, before := make([]string, len(p.Changes)), map[manifest.ID]int{}
	for i, c := range p.Changes {
		all[i] = c.ID.Kind
		if c.Action == plan.Delete {
			all[i] = "delete " + c.ID.Kind
		}
		if before[c.ID] > 0 {
			all[i] += " " + strconv.Itoa(before[c.ID])
		}
		before[c.ID]++
	}
	return all
}

// order merges the orders in which the plans have their steps.
func order(plans []plan.Plan) []string {
	var merged []string
	for _, p := range plans {
		at := 0
		for _, step := range steps(p) {
			if i := slices.Index(merged, step); i >= 0 {
				at = i + 1
				continue
			}
			merged = slices.Insert(merged, at, step)
			at++
		}
	}
	return merged
}
