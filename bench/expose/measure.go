package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// took is what one run of something cost.
type took struct {
	wall time.Duration
	cpu  time.Duration // user and system, of the client
	all  time.Duration // of all that ran on the machine meanwhile: the servers too
}

func (t took) String() string {
	return fmt.Sprintf("%.3f s (%.3f s CPU)", t.wall.Seconds(), t.cpu.Seconds())
}

func (t took) plus(o took) took { return took{t.wall + o.wall, t.cpu + o.cpu, t.all + o.all} }

// command runs a client to its end, and fails with the last it said.
func (b *bench) command(name string, args ...string) (took, error) {
	_, t, err := b.output(b.kubeconfig(), name, args...)
	return t, err
}

func (b *bench) kubeconfig() string { return os.Getenv("KUBECONFIG") }

// output runs a client by a kubeconfig, and gives what it wrote as well.
func (b *bench) output(kubeconfig string, name string, args ...string) (string, took, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var out, words bytes.Buffer
	c.Stdout, c.Stderr = &out, &words
	start, before := time.Now(), busy()
	err := c.Run()
	t := took{wall: time.Since(start), all: busy() - before}
	if s := c.ProcessState; s != nil {
		t.cpu = s.UserTime() + s.SystemTime() // getrusage of the child
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(words.String()), "\n")
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
	return out.String(), t, err
}

// busy is how long the machine's CPUs have been at work since it started.
func busy() time.Duration {
	line, _, _ := strings.Cut(text("/proc/stat"), "\n")
	fields := strings.Fields(line)
	var ticks time.Duration
	for i, f := range fields { // cpu, user, nice, system, idle, iowait, irq, softirq, steal, and guests, who count as users
		n, err := strconv.Atoi(f)
		if err == nil && i <= 8 && i != 4 && i != 5 {
			ticks += time.Duration(n)
		}
	}
	return ticks * time.Second / 100 // USER_HZ
}

// pairs are rounds of two ways to do the same.
type pairs struct{ ours, theirs []took }

// abba runs the two ways round by round, the first of each round in turns, so
// that what drifts touches both alike.
func abba(rounds int, ours, theirs func() (took, error)) (pairs, error) {
	var p pairs
	for i := range rounds {
		ways := []func() error{
			func() error { t, err := ours(); p.ours = append(p.ours, t); return err },
			func() error { t, err := theirs(); p.theirs = append(p.theirs, t); return err },
		}
		if i%2 == 1 {
			slices.Reverse(ways)
		}
		for _, way := range ways {
			if err := way(); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

func wall(t took) time.Duration { return t.wall }
func cpu(t took) time.Duration  { return t.cpu }

// ratio is the median of the rounds' ratios of ours to theirs, and their range.
// Of two numbers in the middle it is the mean.
func (p pairs) ratio(of func(took) time.Duration) (median, least, most float64) {
	var all []float64
	for i := range min(len(p.ours), len(p.theirs)) {
		all = append(all, of(p.ours[i]).Seconds()/max(of(p.theirs[i]).Seconds(), 1e-6))
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[0], all[len(all)-1]
}
