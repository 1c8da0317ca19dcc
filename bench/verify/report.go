package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench is a whole run.
type bench struct {
	ghzPath, fortioPath, out, only, self, body string
	rounds                                     int
	scale                                      float64
	serverCPU, clientCPU                       int
	text                                       strings.Builder
}

const tuned = "--disable-template-functions --disable-template-data"

func (b *bench) run(ctx context.Context) error {
	if runtime.NumCPU() < 2 {
		return fmt.Errorf("two processors are needed: one for the client, one for the server")
	}
	b.serverCPU, b.clientCPU = 1, 0
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.body = filepath.Join(dir, "message") // an empty message: no flag, length 0
	if err := os.WriteFile(b.body, make([]byte, 5), 0o600); err != nil {
		return err
	}
	b.machine(ctx)
	begun := time.Now()
	for _, part := range []func(context.Context) error{b.cpu, b.memory, b.stall} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b.text, "\nAll of it took %v.\n", time.Since(begun).Round(time.Second))
	if b.out == "-" {
		_, err := os.Stdout.WriteString(b.text.String())
		return err
	}
	return os.WriteFile(b.out, []byte(b.text.String()), 0o644)
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(&b.text, format+"\n", args...) }

// machine notes where this ran, and with which versions.
func (b *bench) machine(ctx context.Context) {
	b.say("# The load engine beside others\n")
	b.say("Written by `make bench-verify`. One server (grpc-go, Health/Check, seven stamps in each answer's headers), plaintext, on processor %d; one client at a time on processor %d, both pinned by taskset. "+
		"CPU is user and system time of the whole client process by getrusage, over its calls. Each round is A-B-B-A, and its ratio that of the sums; the median of the rounds counts. "+
		"The engine reads the stamps and counts each call for its pod; the others don't.\n", b.serverCPU, b.clientCPU)
	model := "unknown"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	b.say("- %s, %d processors, Linux %s, %s, load average at the start %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " "))
	version := func(args ...string) string {
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return "not found"
		}
		return strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0])
	}
	b.say("- ghz %s (installed as v0.121.0); fortio %s; %s", version(b.ghzPath, "--version"), version(b.fortioPath, "version"), version("h2load", "--version"))
	b.say("- %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
}

// cpu compares what a call costs.
func (b *bench) cpu(ctx context.Context) error {
	pairs := []*pair{
		{ours: b.engine(1, 50, 100_000), theirs: b.ghz("ghz, defaults", 15_000), target: 1.0 / 20},
		{ours: b.engine(1, 50, 100_000), theirs: b.ghz("ghz, tuned", 30_000, strings.Fields(tuned)...), target: 1.0 / 6},
		{ours: b.engine(1, 50, 100_000), theirs: b.fortio(40_000), target: 1.0 / 4},
		{ours: b.engine(1, 50, 100_000), theirs: b.h2load(1, 50, 100_000), target: 1.25},
		{ours: b.engine(5, 50, 100_000), theirs: b.h2load(5, 10, 100_000), target: 1.25},
		{ours: b.engine(1, 1, 30_000), theirs: b.h2load(1, 1, 30_000), target: 1.25},
	}
	pairs = slices.DeleteFunc(pairs, func(p *pair) bool { return !strings.Contains(p.theirs.name, b.only) })
	for _, p := range pairs {
		if err := b.measure(ctx, p); err != nil {
			return err
		}
	}
	b.say("## CPU per call\n\n| engine | beside | µs a call | theirs | ratio, median | range | target | holds |\n|---|---|--:|--:|--:|---|--:|---|")
	for _, p := range pairs {
		all := p.ratios()
		b.say("| %s | %s | %.2f | %.2f | %.3f | %.3f–%.3f | %.3f | %s |", p.ours.name, p.theirs.name, median(of(p.a, cpuOf)), median(of(p.b, cpuOf)),
			median(all), all[0], all[len(all)-1], p.target, yes(median(all) <= p.target))
	}
	b.say("\n### Rounds, µs a call: A B B A\n\n```")
	for _, p := range pairs {
		b.say("%s", p.ours.name+": "+b.command(p.ours))
		b.say("%s", p.theirs.name+": "+b.command(p.theirs))
		for i := range p.a {
			b.say("  %8.2f %8.2f %8.2f %8.2f", p.a[i][0].cpu, p.b[i][0].cpu, p.b[i][1].cpu, p.a[i][1].cpu)
		}
	}
	b.say("```\n")
	return nil
}

// command is a maker's command line, without this machine's folders.
func (b *bench) command(m maker) string {
	args := m.args("ADDR", max(int(float64(m.n)*b.scale), 100))
	args[0] = filepath.Base(args[0])
	return strings.ReplaceAll(strings.Join(args, " "), b.body, "MESSAGE")
}

// memory compares the engine with itself.
func (b *bench) memory(ctx context.Context) error {
	if !strings.Contains("memory", b.only) {
		return nil
	}
	addr, stop, err := server(ctx, b.serverCPU)
	if err != nil {
		return err
	}
	defer stop()
	few, many := max(int(10_000*b.scale), 100), max(int(1_000_000*b.scale), 10_000)
	var ratios []float64
	b.say("## Memory\n\nPeak resident MB of the engine at %d calls and at %d, 1×50; target: at most 1.1 times.\n\n```", few, many)
	for range min(b.rounds, 3) { // a round takes ten seconds, and says the same each time
		var rss [4]float64
		for i, n := range []int{few, many, many, few} {
			m := b.engine(1, 50, n)
			_, out, err := pinned(ctx, b.clientCPU, n, m.args(addr, n))
			if err != nil {
				return err
			}
			var r engineResult
			if err := json.Unmarshal(out, &r); err != nil {
				return err
			}
			rss[i] = r.PeakMB
		}
		ratios = append(ratios, (rss[1]+rss[2])/(rss[0]+rss[3]))
		b.say("  %6.1f %6.1f %6.1f %6.1f", rss[0], rss[1], rss[2], rss[3])
		fmt.Printf("memory: %.1f MB at %d calls, %.1f at %d\n", rss[0], few, rss[1], many)
	}
	b.say("```\n\nRatio, median: %.3f; holds: %s.\n", median(ratios), yes(median(ratios) <= 1.1))
	return nil
}

// stall compares what is said of a server that stands still.
func (b *bench) stall(ctx context.Context) error {
	if !strings.Contains("stall", b.only) {
		return nil
	}
	const rate, seconds, stall, every = 1000, 9, 200 * time.Millisecond, 2 * time.Second
	// Calls are due evenly, and four stalls fall within the 9 s. A call that is
	// due in a stall waits for what is left of it, so that the waits are even
	// between nothing and the whole; the p99 has a hundredth of all calls above it.
	const stalls = 4
	waits := func(above float64) float64 { // above: the share of all calls that wait longer
		return float64(stall)/float64(time.Millisecond) - above*rate*seconds/stalls*1000/rate
	}
	true95, true99 := waits(0.05), waits(0.01)
	ours := maker{"engine at a rate", rate * seconds, func(addr string, n int) []string {
		return []string{b.self, "engine", "-addr", addr, "-n", strconv.Itoa(n), "-rate", strconv.Itoa(rate), "-m", "50"}
	}}
	theirs := b.ghz("ghz, tuned", rate*seconds, append(strings.Fields(tuned), "--rps", strconv.Itoa(rate))...)
	b.say("## A stall\n\nThe server stands still for %v each %v, under %d calls a second for %d s. The truth by arithmetic, from when each call was due: p95 %.1f ms, p99 %.1f ms. "+
		"Target: p99 within 5 %% of it.\n\n```\n%s\n%s\n    p95 and p99 in ms: A B B A", stall, every, rate, seconds, true95, true99, b.command(ours), b.command(theirs))
	var a95, a99, t95, t99 []float64
	for i := range b.rounds {
		var row [4][2]float64
		for j, m := range []maker{ours, theirs, theirs, ours} {
			addr, stop, err := server(ctx, b.serverCPU, "-stall", stall.String(), "-every", every.String())
			if err != nil {
				return err
			}
			_, out, err := pinned(ctx, b.clientCPU, m.n, m.args(addr, m.n))
			stop()
			if err != nil {
				return err
			}
			if row[j][0], row[j][1], err = quantiles(m.name, out); err != nil {
				return err
			}
		}
		a95, a99 = append(a95, row[0][0], row[3][0]), append(a99, row[0][1], row[3][1])
		t95, t99 = append(t95, row[1][0], row[2][0]), append(t99, row[1][1], row[2][1])
		b.say("  %6.1f %6.1f   %6.1f %6.1f   %6.1f %6.1f   %6.1f %6.1f", row[0][0], row[0][1], row[1][0], row[1][1], row[2][0], row[2][1], row[3][0], row[3][1])
		fmt.Printf("stall, round %d: p99 %.1f ms by the engine, %.1f by ghz, %.1f in truth\n", i+1, row[0][1], row[1][1], true99)
	}
	off := func(x, truth float64) float64 { return (x/truth - 1) * 100 }
	b.say("```\n\n| median of the runs | p95 | off | p99 | off |\n|---|--:|--:|--:|--:|")
	b.say("| engine | %.1f ms | %+.1f %% | %.1f ms | %+.1f %% |", median(a95), off(median(a95), true95), median(a99), off(median(a99), true99))
	b.say("| ghz | %.1f ms | %+.1f %% | %.1f ms | %+.1f %% |", median(t95), off(median(t95), true95), median(t99), off(median(t99), true99))
	b.say("\nHolds: %s.", yes(math.Abs(off(median(a99), true99)) <= 5))
	return nil
}

func yes(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}
