package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ending is how a run's way to the API server ends, and at which of its calls.
type ending struct {
	n         int
	committed bool // the server has taken call n by then
	killed    bool // it is grpcmesh that is gone, by SIGKILL, not the server
}

func (e ending) String() string {
	who, when := "the server dies", "before"
	if e.killed {
		who = "SIGKILL"
	}
	if e.committed {
		when = "after"
	}
	return fmt.Sprintf("%s %s call %d", who, when, e.n)
}

// endings are all that a run can meet which makes the calls. That the server
// was asked before the end makes a difference for a write alone.
func endings(calls []call) []ending {
	var all []ending
	for _, killed := range []bool{false, true} {
		for _, c := range calls {
			all = append(all, ending{c.n, false, killed})
			if c.writes() {
				all = append(all, ending{c.n, true, killed})
			}
		}
	}
	return all
}

// cutShort runs a command that meets the ending.
func cutShort(t *testing.T, e ending, args []string) (*proxy, ran) {
	t.Helper()
	process := make(chan *os.Process, 1)
	var p *proxy
	p = newProxy(t, func(c *call) fault {
		if c.n != e.n {
			return nil
		}
		return func(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
			if e.committed {
				forward.ServeHTTP(discard{}, r)
			}
			if e.killed {
				running := <-process
				_ = running.Kill()
			}
			p.die()
			panic(http.ErrAbortHandler)
		}
	})
	return p, grpcmesh(t, p.kubeconfig, func(running *os.Process) { process <- running }, args...)
}

// discard is a client that has gone.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// faults: 12, 13, 14
//
// Wherever a run is cut short, by the server's end or its own, before or after
// the server has taken the call: it tells what it has written, and no more, and
// the same command comes to what a clean run comes to, writing just what is yet
// to be written. Where nothing was written everything is as it was, so that the
// same command is a clean run.
func TestKilledAtEveryCall(t *testing.T) {
	const workers = 4
	p := newPlace(t)
	ends := [2]chan ending{} // of expose, and of unexpose
	for verb, args := range [][]string{p.expose(), p.unexpose()} {
		clean := newProxy(t, nil)
		grpcmesh(t, clean.kubeconfig, nil, args...).wants(t, 0)
		all := endings(clean.seen())
		t.Logf("%s makes %d calls, %d of them writes: it is cut short %d times", args[0], len(clean.seen()), len(clean.committed()), len(all))
		ends[verb] = make(chan ending, len(all))
		for _, e := range all {
			ends[verb] <- e
		}
		close(ends[verb])
	}
	for i := range workers {
		t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
			t.Parallel()
			newWorker(t).work(ends)
		})
	}
}

// worker cuts runs short in a place of its own.
type worker struct {
	*place
	states [2]string   // before expose, and before unexpose
	writes [2][]string // what a clean expose writes, and a clean unexpose
	undone string      // the state after unexpose
}

func newWorker(t *testing.T) *worker {
	w := &worker{place: newPlace(t)}
	for verb, args := range [][]string{w.expose(), w.unexpose()} {
		w.states[verb] = w.state()
		p := newProxy(t, nil)
		grpcmesh(t, p.kubeconfig, nil, args...).wants(t, 0)
		w.writes[verb] = p.committed()
	}
	w.undone = w.state()
	w.bare()
	return w
}

// work exposes and unexposes by turns, each cut short until it had written
// something, and run again.
func (w *worker) work(ends [2]chan ending) {
	for left := true; left; w.bare() {
		left = false
		for verb, args := range [][]string{w.expose(), w.unexpose()} {
			for wrote := false; !wrote; {
				e, ok := <-ends[verb]
				left = left || ok
				w.t.Run(fmt.Sprintf("%s: %s", args[0], e), func(t *testing.T) { wrote = w.once(t, e, verb, args) })
				if w.t.Failed() {
					return
				}
			}
		}
	}
}

// once says whether the run that was cut short had written anything. That of no
// call is not cut short.
func (w *worker) once(t *testing.T, e ending, verb int, args []string) (wrote bool) {
	w.t, t = t, w.t
	defer func() { w.t = t }()
	first, run := cutShort(w.t, e, args)
	switch reached := e.n > 0 && len(first.seen()) >= e.n; {
	case !reached:
		run.wants(w.t, 0)
	case e.killed:
		run.wants(w.t, -1)
	default:
		run.wants(w.t, 1)
		if words := strings.Split(run.stderr, "\n"); !slices.ContainsFunc(words, func(s string) bool { return strings.HasPrefix(s, "grpcmesh: ") }) || strings.Contains(run.stderr, "request.go") {
			w.t.Errorf("it does not say why it ended, or client-go says it too: %s", run)
		}
	}
	told := len(written(run.stdout))
	if answered := first.count(func(c *call) bool { return c.writes() && c.answered/100 == 2 }); told != answered {
		w.t.Errorf("it tells of %d writes, and %d were answered: %s", told, answered, run)
	}
	if len(first.committed()) == 0 {
		w.is(w.states[verb])
		return false
	}
	again := newProxy(w.t, nil)
	run = grpcmesh(w.t, again.kubeconfig, nil, args...)
	run.wants(w.t, 0)
	if diff := cmp.Diff(w.writes[verb], slices.Concat(first.committed(), again.committed())); diff != "" {
		w.t.Errorf("what both runs wrote (-clean +cut short and run again):\n%s\nagain: %s", diff, run)
	}
	w.is([]string{w.states[1], w.undone}[verb])
	return true
}

// is fails the test where the state is another.
func (w *worker) is(want string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.state()); diff != "" {
		w.t.Errorf("the objects (-clean +cut short and run again):\n%s", diff)
	}
}
