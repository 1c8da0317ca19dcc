package main

import (
	"fmt"
	"time"
)

// many are the measurements of a fleet.
type many struct {
	*bench
	intents, rendered string
	conceal           func() error
	services          int
}

const (
	ourMany   = "grpcmesh expose -f exposures.yaml"
	theirMany = "kubectl apply --server-side --field-manager grpcmesh -f rendered.yaml" // of the same objects, but for the namespaces' label
)

// measure does the first and the second run, so many rounds of both clients; the
// last rounds go without kubectl where time runs out.
func (m *many) measure(where, kubeconfig string, rounds int) error {
	var first, second pairs
	run := func(name string, args ...string) (took, error) {
		_, t, err := m.output(kubeconfig, name, args...)
		m.say("  %s: %s", name, t)
		return t, err
	}
	ours := func() error {
		if err := m.conceal(); err != nil {
			return err
		}
		m.say("%d services%s: grpcmesh, first run, then unchanged", m.services, where)
		for _, to := range []*pairs{&first, &second} {
			since := time.Now()
			t, err := run(m.grpcmesh, "expose", "-f", m.intents)
			if err != nil {
				return err
			}
			to.ours = append(to.ours, t)
			if to == &second && where == "" && len(to.ours) == 1 {
				if err := m.unchanged(since); err != nil {
					return err
				}
			}
		}
		return nil
	}
	theirs := func() error {
		if len(first.theirs) > 0 && time.Since(m.start) > m.within {
			m.say("no time for another round of kubectl")
			return nil
		}
		if err := m.conceal(); err != nil {
			return err
		}
		m.say("%d services%s: kubectl, first run, then unchanged", m.services, where)
		for _, to := range []*pairs{&first, &second} {
			if to == &second && (where != "" || len(second.theirs) > 0) {
				continue // the target is of the near one, and what is slow need be shown once
			}
			t, err := run("kubectl", "apply", "--server-side", "--field-manager", "grpcmesh", "-f", m.rendered)
			if err != nil {
				return err
			}
			to.theirs = append(to.theirs, t)
		}
		return nil
	}
	for i := range rounds {
		ways := []func() error{ours, theirs}
		if i%2 == 1 {
			ways = []func() error{theirs, ours}
		}
		for _, way := range ways {
			if err := way(); err != nil {
				return err
			}
		}
	}
	if rounds == 1 && len(first.theirs) > 0 { // A-B-A
		if err := ours(); err != nil {
			return err
		}
		first.theirs = append(first.theirs, first.theirs[0])
		if len(second.theirs) > 0 {
			second.theirs = append(second.theirs, second.theirs[0])
		}
	}
	m.tell(where, first, second, rounds == 1)
	return nil
}

// unchanged counts the requests of a run that had nothing to do.
func (m *many) unchanged(since time.Time) error {
	if m.audit == "" {
		return nil
	}
	all, err := m.requests("grpcmesh/", since)
	if err != nil {
		return err
	}
	preflight := 0
	for _, r := range all {
		if r.preflight() {
			preflight++
		}
	}
	rest := len(all) - preflight
	m.page.count(fmt.Sprintf("requests of an unchanged second run of %d", m.services), "", fmt.Sprintf("%d, and %d of the preflight", rest, preflight), "≤ 10", rest <= 10)
	return nil
}

func (m *many) tell(where string, first, second pairs, again bool) {
	speed := 8.0
	if where != "" {
		speed = 15
	}
	a, b := ourMany, theirMany
	if again {
		b += " (one round, set beside both of A, which ran before and after it)"
	}
	median, least, most := first.ratio(wall)
	m.page.row(fmt.Sprintf("%d services, first run%s", m.services, where), "kubectl apply --server-side", median, least, most, bound{1 / speed, true})
	if where == "" {
		median, least, most = first.ratio(cpu)
		m.page.row("the same, CPU of the client", "the same", median, least, most, bound{most: 1.0 / 40})
		m.page.serving(fmt.Sprintf("%d services, first run", m.services), first)
	}
	m.page.rounds(fmt.Sprintf("%d services, first run%s", m.services, where), a, b, first)
	if len(second.theirs) > 0 {
		median, least, most = second.ratio(wall)
		m.page.row(fmt.Sprintf("%d services, unchanged second run%s", m.services, where), "the same, unchanged", median, least, most, bound{1.0 / 50, true})
	}
	m.page.rounds(fmt.Sprintf("%d services, unchanged second run%s", m.services, where), a, b, second)
}
