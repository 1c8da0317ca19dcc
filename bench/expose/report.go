package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// page is the report as it grows.
type page struct {
	about []string // the machine and the versions
	rows  []string // of the table
	raw   []string // each round
}

// bound is a target on a ratio of ours to theirs.
type bound struct {
	most    float64
	inverse bool // told as how many times faster
}

// row adds a line to the table.
func (p *page) row(what, against string, median, least, most float64, to bound) {
	shown, target, met := fmt.Sprintf("%.3f (%.3f to %.3f)", median, least, most), fmt.Sprintf("≤ %.3g", to.most), median <= to.most
	if to.inverse {
		shown, target = fmt.Sprintf("%.1f times faster (%.1f to %.1f)", 1/median, 1/most, 1/least), fmt.Sprintf("≥ %.3g times", 1/to.most)
	}
	p.rows = append(p.rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", what, against, shown, target, yes(met)))
}

// count adds a line about a number that is not a ratio.
func (p *page) count(what, against, shown, target string, met bool) {
	p.rows = append(p.rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", what, against, shown, target, yes(met)))
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

// serving adds a line about how much of the work is not the client's: no client
// can be faster than the CPUs get it done.
func (p *page) serving(what string, rounds pairs) {
	share := func(runs []took) string {
		var wall, own, all time.Duration
		for _, t := range runs {
			wall, own, all = wall+t.wall, own+t.cpu, all+t.all
		}
		if all == 0 {
			return "unknown"
		}
		return fmt.Sprintf("%.0f %% of all CPU is the client's, %.0f %% of the CPUs were busy", 100*own.Seconds()/all.Seconds(), 100*all.Seconds()/wall.Seconds()/float64(runtime.NumCPU()))
	}
	p.rows = append(p.rows, fmt.Sprintf("| who works meanwhile: %s | kubectl: %s | %s | | |", what, share(rounds.theirs), share(rounds.ours)))
}

// rounds adds the raw figures of rounds.
func (p *page) rounds(what, ours, theirs string, rounds pairs) {
	p.raw = append(p.raw, fmt.Sprintf("### %s\n\nA: `%s`\n\nB: `%s`\n", what, ours, theirs))
	p.raw = append(p.raw, "| round | A wall s | A CPU s | A all CPU s | B wall s | B CPU s | B all CPU s |\n|---|---|---|---|---|---|---|")
	for i, t := range rounds.ours {
		line := fmt.Sprintf("| %d | %.3f | %.3f | %.2f |", i+1, t.wall.Seconds(), t.cpu.Seconds(), t.all.Seconds())
		if i < len(rounds.theirs) {
			line += fmt.Sprintf(" %.3f | %.3f | %.2f |", rounds.theirs[i].wall.Seconds(), rounds.theirs[i].cpu.Seconds(), rounds.theirs[i].all.Seconds())
		} else {
			line += " | | |"
		}
		p.raw = append(p.raw, line)
	}
	p.raw = append(p.raw, "")
}

// head notes what is measured with, and on.
func (p *page) head(b *bench) error {
	server, err := b.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	first := func(name string, args ...string) string {
		out, _, err := b.output(b.kubeconfig(), name, args...)
		if err != nil {
			return "not here"
		}
		line, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
		return line
	}
	p.about = []string{
		"- when: " + b.start.UTC().Format("2006-01-02 15:04 UTC"),
		fmt.Sprintf("- machine: %s, %d CPUs, %s of memory, Linux %s; load average before: %s", field("/proc/cpuinfo", "model name"), runtime.NumCPU(),
			field("/proc/meminfo", "MemTotal"), text("/proc/sys/kernel/osrelease"), text("/proc/loadavg")),
		"- API server " + server.GitVersion + ", the lab's, on the same machine; clients and servers share its CPUs",
		"- " + first(b.grpcmesh, "--version") + ", built by " + runtime.Version(),
		fmt.Sprintf("- flags: `%s`; rounds: %d of --version, %d of one service, at most %d of the fleet of %d services in %d namespaces, of which %d by way of 20 ms",
			strings.Join(append([]string{"bench/expose"}, os.Args[1:]...), " "), b.cold, b.one, b.fleets, b.services, b.spaces, min(b.far, b.services)),
		"- kubectl: " + first("kubectl", "version", "--client"),
		"- istioctl: " + first("istioctl", "version", "--remote=false"),
	}
	return nil
}

func text(file string) string {
	out, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// field is the value of the first line of a file of /proc with the key.
func field(file, key string) string {
	for _, line := range strings.Split(text(file), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func (p *page) write(b *bench) error {
	lines := []string{"# What it costs to expose services", "",
		"Written by `make bench-expose`. Each row is the median of the rounds' ratios of grpcmesh (A) to its peer (B), and in brackets the least and the most;",
		"the rounds go A-B, B-A, A-B and so on. CPU is the client's, user and system, by getrusage; all CPU is the whole machine's meanwhile, by",
		"/proc/stat: the API server's, etcd's and the mesh's too, which are on it.", ""}
	lines = append(lines, p.about...)
	lines = append(lines, fmt.Sprintf("- load average after: %s; the whole took %.0f s", text("/proc/loadavg"), time.Since(b.start).Seconds()), "",
		"| what | against | measured | target | met |", "|---|---|---|---|---|")
	lines = append(lines, p.rows...)
	lines = append(lines, "", "## Every round", "")
	lines = append(lines, p.raw...)
	out := strings.TrimSpace(strings.Join(lines, "\n")) + "\n"
	fmt.Print(out)
	return os.WriteFile(filepath.Clean(b.out), []byte(out), 0o600)
}

// coldStart measures --version, and how large the binaries are.
func (b *bench) coldStart() error {
	b.say("cold start")
	for _, peer := range []struct {
		name string
		args []string
	}{{"kubectl", []string{"version", "--client"}}, {"istioctl", []string{"version", "--remote=false"}}} {
		p, err := abba(b.cold, func() (took, error) { return b.command(b.grpcmesh, "--version") },
			func() (took, error) { return b.command(peer.name, peer.args...) })
		if err != nil {
			return err
		}
		theirs := peer.name + " " + strings.Join(peer.args, " ")
		m, lo, hi := p.ratio(wall)
		b.page.row("cold `--version`", "`"+theirs+"`", m, lo, hi, bound{most: 0.2})
		b.page.rounds("Cold start", "grpcmesh --version", theirs, p)
	}
	ours, err := size(b.grpcmesh)
	if err != nil {
		return err
	}
	for _, name := range []string{"kubectl", "istioctl"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		theirs, err := size(path)
		if err != nil {
			return err
		}
		b.page.count("binary", name, fmt.Sprintf("%.3f (%.1f MB to %.1f MB)", ours/theirs, ours/1e6, theirs/1e6), "≤ 0.5", ours/theirs <= 0.5)
	}
	return nil
}

func size(file string) (float64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()), nil
}
