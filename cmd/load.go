package cmd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
	"grpcmesh/internal/report"
	"grpcmesh/internal/spread"
)

// loadFor is how long a load takes where nothing says so.
const loadFor = 10 * time.Second

// loadFlags ask for a load, once the check is done.
type loadFlags struct {
	asked       bool
	duration    time.Duration
	rate        float64
	connections int
	inFlight    int

	duringRollout bool
	restart       bool
	maxLost       int
}

func (l *loadFlags) add(fs *pflag.FlagSet) {
	fs.DurationVar(&l.duration, "duration", 0, "Make a load too, for this long. With this or another flag of the load, --requests are its calls.")
	fs.Float64Var(&l.rate, "rate", 0, "Load: calls a second, each timed from when it is due. 0: as fast as answers come.")
	fs.IntVar(&l.connections, "connections", 1, "Load: how many connections to call on.")
	fs.IntVar(&l.inFlight, "in-flight", 50, "Load: most calls at once, over all connections.")
	fs.BoolVar(&l.duringRollout, "during-rollout", false, fmt.Sprintf("Load: go on while the workload restarts, and count the calls lost; --rate is %d then, unless said.", rolloutRate))
	fs.BoolVar(&l.restart, "restart", false, "With --during-rollout: restart the workload. Without it one is waited for.")
	fs.IntVar(&l.maxLost, "max-lost", 0, "With --during-rollout: FAIL if more calls are lost.")
}

// loadNames are the flags that ask for a load.
func loadNames() []string {
	return []string{"duration", "rate", "connections", "in-flight", "during-rollout"}
}

// loadGiven completes what the flags leave open. --requests bounds the load then,
// and no longer the check.
func (o *verifyOptions) loadGiven(c *cobra.Command) {
	l := &o.load
	l.asked = slices.ContainsFunc(loadNames(), c.Flags().Changed)
	if l.duringRollout && !c.Flags().Changed("rate") {
		l.rate = rolloutRate
	}
	if l.asked && !l.duringRollout && l.duration == 0 && o.requests == 0 && !c.Flags().Changed("duration") {
		l.duration = loadFor
	}
}

func (o *verifyOptions) validLoad() error {
	l := o.load
	if !l.duringRollout && (l.restart || l.maxLost != 0) {
		return usageError{errors.New("--restart and --max-lost are for --during-rollout")}
	}
	if !l.asked {
		return nil
	}
	invalid := func(field string, value any, reason string) error {
		return &manifest.InvalidError{Field: field, Value: fmt.Sprint(value), Reason: reason}
	}
	switch {
	case o.several():
		return usageError{errors.New("a load (--duration, --rate, --connections, --in-flight) is for one service: leave out --all and --filename")}
	case l.duringRollout && (l.duration != 0 || o.requests != 0):
		return usageError{errors.New("--during-rollout takes as long as the rollout: leave out --duration and --requests")}
	case l.maxLost < 0:
		return invalid("--max-lost", l.maxLost, "can't be negative")
	case l.duration < 0 || !l.duringRollout && l.duration == 0 && o.requests == 0:
		return invalid("--duration", l.duration, "must be more than 0")
	case l.rate < 0 || math.IsNaN(l.rate) || l.rate > 1e6:
		return invalid("--rate", strconv.FormatFloat(l.rate, 'g', -1, 64), "must be from 0 to 1,000,000")
	case l.connections < 1 || l.connections > 1000:
		return invalid("--connections", l.connections, "must be from 1 to 1,000")
	case l.inFlight < l.connections || l.inFlight > 10_000:
		return invalid("--in-flight", l.inFlight, "must be from the number of --connections to 10,000")
	case o.readOnly:
		return invalid("--read-only", true, "leaves no way to tell which pod answered a call of a load: that takes a probe route")
	case o.identify == check.RungApp, o.backend.expect > 0:
		return usageError{errors.New("a load (--duration, --rate, --connections, --in-flight) is told apart by the gateway's stamps, not by the app: leave out --identify=app and --expect")}
	case o.identify != "auto" && o.identify != check.RungRoute:
		return invalid("--identify", o.identify, "tells calls in sum only, and a load wants each: use --identify=route")
	}
	return nil
}

// loadTakes is how long the load will take, as far as the flags say; beyond, it
// ends with --timeout.
func (o *verifyOptions) loadTakes() time.Duration {
	switch l := o.load; {
	case !l.asked:
		return 0
	case l.duringRollout:
		return o.timeout // once for the check, once for the rollout
	case l.rate > 0 && o.requests > 0:
		all := time.Duration(min(float64(o.requests)/l.rate*float64(time.Second), math.MaxInt64/4))
		if l.duration > 0 {
			all = min(all, l.duration)
		}
		return all
	default:
		return l.duration
	}
}

// limit is the most calls for telling pods apart.
func (o *verifyOptions) limit() int {
	if o.load.asked {
		return 0
	}
	return o.requests
}

// makeLoad makes the load that was asked for, by the probe route that stands. Of
// the verdict only what it says of dominance rests on it, and of a rollout: what
// may have changed by now is noted before.
func (r *run) makeLoad(ctx context.Context, e *check.Evidence) error {
	usual, ok := usualCode(e.Samples)
	if !ok {
		r.noLoad(e, "no pod had answered before it")
		return nil
	}
	call, not := r.loading()
	if not != "" {
		r.noLoad(e, not)
		return nil
	}
	var err error
	if r.after, err = r.t.endpoints(ctx); err != nil {
		return err
	}
	empty, version := r.t.empty, r.t.version
	var roll *rollover
	if r.o.load.duringRollout {
		roll = &rollover{r: r, old: map[string]bool{}}
		for _, p := range r.after {
			roll.old[p.Address] = true
		}
		if roll.workload, err = r.rolledBy(ctx, r.after); err != nil {
			return err
		}
	}
	l := probe.Load{Call: call, Connections: r.o.load.connections, InFlight: r.o.load.inFlight,
		Requests: int64(r.o.requests), Duration: r.o.load.duration, Rate: r.o.load.rate}
	r.o.say("load       %s", l)
	tally, begun := spread.NewTally(), time.Now()
	why := reasons{}
	failed := func(one probe.Loaded) bool {
		return !one.Answered || one.Backend == "" || one.Flags != "-" || !r.well(one.Code, usual)
	}
	add := func(one probe.Loaded, bad bool) {
		backend := one.Backend
		if one.Flags != "-" { // Envoy's own words about that pod
			backend = ""
		}
		tally.Add(one.At, one.Latency, backend, uint32(one.Code), bad)
		if bad {
			why.add(one)
		}
	}
	var dials int
	var unfinished error
	if roll == nil {
		dials, _ = l.Run(ctx, r.o.dialTarget(0), func(one probe.Loaded) { add(one, failed(one)) })
	} else {
		dials, unfinished = roll.over(ctx, l, add, failed)
	}
	r.loaded = &report.Load{Method: r.o.loadedMethod(), Rate: l.Rate, Connections: l.Connections, InFlight: l.InFlight, Dials: dials}
	pods := slices.Concat(r.after, e.Expected)
	late, err := r.t.endpoints(ctx)
	if err == nil { // some may have come since
		pods = append(pods, late...)
	}
	r.t.empty = empty
	r.loaded.Fill(tally, time.Since(begun), pods)
	e.Load = forBalance(tally)
	e.Load.Failed, e.Load.Reasons = tally.Failed, why.list()
	switch {
	case roll != nil:
		e.Load.Unjudged = "the pods were replaced meanwhile"
	case ctx.Err() != nil: // the calls that were under way are those of the slow pods
		e.Load.Unjudged = "it was cut off"
	case err != nil || r.t.version != version:
		e.Load.Unjudged = "endpoints changed while it was made"
	}
	if roll != nil {
		r.loaded.Rollout, e.Rollout = roll.document(ctx, unfinished, pods)
	}
	return nil
}

// forBalance is what of a load the judgement needs.
func forBalance(t *spread.Tally) *check.Load {
	l := &check.Load{Calls: t.Calls, Counts: map[string]int{}}
	for _, p := range t.Pods() {
		l.Counts[p.Backend] = p.Calls
	}
	return l
}

// noLoad says why there is none. A rollout that was to be watched was not.
func (r *run) noLoad(e *check.Evidence, why string) {
	r.loaded, e.NoLoad = &report.Load{NotMade: why}, why
	if r.o.load.duringRollout {
		e.Rollout = &check.Rollout{Workload: "the workload", MaxLost: r.o.load.maxLost, Unfinished: why}
	}
}

// usualCode is the status that pods gave most before the load: of a method
// that the app does not have, UNIMPLEMENTED.
func usualCode(samples []probe.Sample) (most codes.Code, ok bool) {
	seen := map[codes.Code]int{}
	for _, s := range samples {
		if s.Stamped && s.Stamp.Flags == "-" && !s.NoAnswer {
			seen[s.Code]++
		}
	}
	for code, n := range seen {
		if n > seen[most] || n == seen[most] && code > most {
			most = code
		}
	}
	return most, len(seen) > 0
}
