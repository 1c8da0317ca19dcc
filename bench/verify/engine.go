package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

// engineResult is what one load by the engine prints.
type engineResult struct {
	Calls, Failed, Pods int
	P50, P95, P99, Max  float64 // ms
	PeakMB              float64 // resident
}

// engine makes one load as `grpcmesh verify` makes it: each answer's stamps
// are read, and it is counted for its pod.
func engine(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("engine", flag.ExitOnError)
	addr := fs.String("addr", "", "address")
	n := fs.Int64("n", 0, "calls")
	connections := fs.Int("c", 1, "connections")
	inFlight := fs.Int("m", 50, "calls at once, over all connections")
	rate := fs.Float64("rate", 0, "calls a second")
	duration := fs.Duration("d", 0, "how long")
	if err := fs.Parse(args); err != nil {
		return err
	}
	tally := spread.NewTally()
	l := probe.Load{Call: probe.Call{Path: "/grpc.health.v1.Health/Check", Nonce: "bench", Proof: proof},
		Requests: *n, Connections: *connections, InFlight: *inFlight, Rate: *rate, Duration: *duration}
	_, err := l.Run(ctx, probe.Target{Addr: *addr}, func(one probe.Loaded) {
		tally.Add(one.At, one.Latency, one.Backend, uint32(one.Code), one.Code != codes.OK || one.Flags != "-")
	})
	if err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r := engineResult{Calls: tally.Calls, Failed: tally.Failed, Pods: len(tally.Pods()), P50: ms(tally.Latency().P50), P95: ms(tally.Latency().P95), P99: ms(tally.Latency().P99), Max: ms(tally.Latency().Max)}
	if r.PeakMB, err = peak(); err != nil {
		return err
	}
	if r.Failed > 0 || r.Pods != min(3, r.Calls) {
		return errors.New(fmt.Sprint("not all calls were answered and identified: ", r))
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// peak is this process's most resident memory, by the kernel. The ru_maxrss of
// a child would begin with its parent's.
func peak() (mb float64, err error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			return float64(n) / 1024, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
