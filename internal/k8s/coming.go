package k8s

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Coming is how far a rollout has come, by the pods of the newest revision.
type Coming struct {
	Wanted    int      // pods that the workload asks for
	Ready     int      // of the newest revision
	Sidecars  int      // of the ready ones, those with a sidecar
	Came      []string // names of those that were not ready when last told
	Condition string   // what the workload's own status says
}

// arrivals keeps what one wait has seen of a rollout, and tells it on as it
// changes.
type arrivals struct {
	told func(Coming)

	mu    sync.Mutex
	now   Coming
	ready map[types.UID]bool
}

func newArrivals(w Workload, told func(Coming)) *arrivals {
	return &arrivals{told: told, now: Coming{Wanted: int(w.Replicas)}, ready: map[types.UID]bool{}}
}

// pods notes the newest revision's pods as they are now.
func (a *arrivals) pods(pods []corev1.Pod) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ready, sidecars := map[types.UID]bool{}, 0
	var came []string
	for i := range pods {
		p := &pods[i]
		if !Ready(p) {
			continue
		}
		if !a.ready[p.UID] {
			came = append(came, p.Name)
		}
		ready[p.UID] = true
		if HasSidecar(p.Spec) {
			sidecars++
		}
	}
	changed := len(came) > 0 || len(ready) != len(a.ready) || sidecars != a.now.Sidecars
	a.ready, a.now.Ready, a.now.Sidecars = ready, len(ready), sidecars
	if changed {
		a.tell(came)
	}
}

// condition notes what the workload's status says, and how many pods it is to
// have: it may be scaled during the wait.
func (a *arrivals) condition(words string, wanted int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if words == a.now.Condition && wanted == a.now.Wanted {
		return
	}
	a.now.Condition, a.now.Wanted = words, wanted
	a.tell(nil)
}

func (a *arrivals) tell(came []string) {
	told := a.now
	told.Came = came
	a.told(told)
}

// wanted is how many pods the workload asks for, by what was last seen of it.
func (a *arrivals) wanted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now.Wanted
}
