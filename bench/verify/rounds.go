package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maker is one way to make a load: how it is called, with how many calls.
type maker struct {
	name string
	n    int
	args func(addr string, n int) []string
}

// measured is one run of a maker.
type measured struct {
	cpu float64 // user and system, microseconds a call
}

// pinned runs a command on one processor and measures it by its rusage.
func pinned(ctx context.Context, cpu, n int, args []string) (measured, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var out, words bytes.Buffer
	c := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, args...)...)
	c.Stdout, c.Stderr = &out, &words
	if err := c.Run(); err != nil {
		return measured{}, nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.String(), words.String())
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return measured{}, nil, errors.New("no getrusage on this system")
	}
	took := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return measured{cpu: float64(took.Microseconds()) / float64(n)}, out.Bytes(), nil
}

// server starts the server on a processor of its own.
func server(ctx context.Context, cpu int, args ...string) (addr string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	self, err := os.Executable()
	if err != nil {
		cancel()
		return "", nil, err
	}
	c := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu), self, "serve"}, args...)...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() { cancel(); _ = c.Wait() }
	addr, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the server did not start: %w", err)
	}
	return strings.TrimSpace(addr), stop, nil
}

// pair is two makers measured A-B-B-A, round by round.
type pair struct {
	ours, theirs maker
	target       float64 // of ours over theirs, at most
	a, b         [][2]measured
}

// ratios are ours over theirs, a round each, sorted.
func (p *pair) ratios() []float64 {
	var all []float64
	for i := range p.a {
		all = append(all, (p.a[i][0].cpu+p.a[i][1].cpu)/(p.b[i][0].cpu+p.b[i][1].cpu))
	}
	slices.Sort(all)
	return all
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

// of gives one figure of all runs.
func of(rounds [][2]measured, figure func(measured) float64) []float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, figure(r[0]), figure(r[1]))
	}
	return all
}

func cpuOf(m measured) float64 { return m.cpu }

// measure runs a pair on a server of its own.
func (b *bench) measure(ctx context.Context, p *pair) error {
	addr, stop, err := server(ctx, b.serverCPU)
	if err != nil {
		return err
	}
	defer stop()
	once := func(m maker, n int) (measured, error) {
		n = max(int(float64(n)*b.scale), 100)
		got, _, err := pinned(ctx, b.clientCPU, n, m.args(addr, n))
		return got, err
	}
	for _, m := range []maker{p.ours, p.theirs} { // the first of each is for warmth
		if _, err := once(m, m.n/10); err != nil {
			return err
		}
	}
	for i := range b.rounds {
		var a, t [2]measured
		for _, step := range []struct {
			m  maker
			to *measured
		}{{p.ours, &a[0]}, {p.theirs, &t[0]}, {p.theirs, &t[1]}, {p.ours, &a[1]}} {
			if *step.to, err = once(step.m, step.m.n); err != nil {
				return err
			}
		}
		p.a, p.b = append(p.a, a), append(p.b, t)
		fmt.Printf("%s beside %s, round %d: %.2f and %.2f µs a call, ratio %.3f\n", p.ours.name, p.theirs.name, i+1,
			(a[0].cpu+a[1].cpu)/2, (t[0].cpu+t[1].cpu)/2, (a[0].cpu+a[1].cpu)/(t[0].cpu+t[1].cpu))
	}
	return nil
}

// engine is this very program.
func (b *bench) engine(connections, inFlight, n int) maker {
	return maker{fmt.Sprintf("engine %d×%d", connections, inFlight/connections), n, func(addr string, n int) []string {
		return []string{b.self, "engine", "-addr", addr, "-n", strconv.Itoa(n), "-c", strconv.Itoa(connections), "-m", strconv.Itoa(inFlight)}
	}}
}

func (b *bench) h2load(connections, each, n int) maker {
	return maker{fmt.Sprintf("h2load %d×%d", connections, each), n, func(addr string, n int) []string {
		return []string{"h2load", "-n", strconv.Itoa(n), "-c", strconv.Itoa(connections), "-m", strconv.Itoa(each),
			"-H", "content-type: application/grpc", "-H", "te: trailers", "-d", b.body, "http://" + addr + "/grpc.health.v1.Health/Check"}
	}}
}

func (b *bench) fortio(n int) maker {
	return maker{"fortio", n, func(addr string, n int) []string {
		return []string{b.fortioPath, "load", "-grpc", "-c", "1", "-s", "50", "-qps", "0", "-n", strconv.Itoa(n), "-quiet", addr}
	}}
}

func (b *bench) ghz(name string, n int, more ...string) maker {
	return maker{name, n, func(addr string, n int) []string {
		args := []string{b.ghzPath, "--insecure", "--call", "grpc.health.v1.Health.Check", "-d", "{}",
			"-c", "50", "--connections", "1", "-n", strconv.Itoa(n), "-O", "json"}
		return append(append(args, more...), addr)
	}}
}

// quantiles reads the 95th and 99th percentile out of what ghz or the engine
// printed, in ms.
func quantiles(name string, out []byte) (p95, p99 float64, err error) {
	if strings.HasPrefix(name, "engine") {
		var r engineResult
		err := json.Unmarshal(out, &r)
		return r.P95, r.P99, err
	}
	var r struct {
		LatencyDistribution []struct {
			Percentage int           `json:"percentage"`
			Latency    time.Duration `json:"latency"`
		} `json:"latencyDistribution"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, 0, err
	}
	for _, q := range r.LatencyDistribution {
		switch ms := float64(q.Latency) / float64(time.Millisecond); q.Percentage {
		case 95:
			p95 = ms
		case 99:
			p99 = ms
		}
	}
	if p99 == 0 {
		return 0, 0, errors.New("ghz gave no 99th percentile")
	}
	return p95, p99, nil
}
