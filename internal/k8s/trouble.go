package k8s

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// lookEvery is how often the pods are looked at where nothing changes: what
	// lasts is trouble too.
	lookEvery     = 2 * time.Second
	failedCreates = "reason=FailedCreate"
	// stuckFor is how long a pod may be held up by its image, its configuration
	// or its own crashes until no more is waited for it. Each may heal by
	// itself, but seldom does.
	stuckFor = 20 * time.Second
)

var errStuck = errors.New("a pod is stuck")

// trouble is why a pod is not running, in the kubelet's or the scheduler's words.
type trouble struct {
	container string // empty: the pod as a whole
	reason    string
	message   string
}

func (t trouble) String() string {
	words := strings.TrimSpace(t.reason + " " + t.message)
	if t.container == "" {
		return words
	}
	return "container " + t.container + ": " + words
}

// stuck says whether the trouble is of those that seldom end by themselves.
func (t trouble) stuck() bool {
	return slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff"}, t.reason)
}

// troubleOf is what a pod suffers from; none where it just isn't ready, or is.
func troubleOf(p *corev1.Pod) (trouble, bool) {
	for i, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		init := i < len(p.Status.InitContainerStatuses)
		switch waiting, ended := s.State.Waiting, s.State.Terminated; {
		case waiting != nil && waiting.Reason == "CrashLoopBackOff" && s.LastTerminationState.Terminated != nil:
			return trouble{s.Name, waiting.Reason, fmt.Sprintf("%s; it %s", waiting.Message, ending(s.LastTerminationState.Terminated))}, true
		case waiting != nil && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating":
			return trouble{s.Name, waiting.Reason, waiting.Message}, true
		case ended != nil && (!init || ended.ExitCode != 0):
			return trouble{container: s.Name, message: ending(ended)}, true
		case s.State.Running != nil && !s.Ready && !init && s.LastTerminationState.Terminated != nil:
			return trouble{container: s.Name, message: ending(s.LastTerminationState.Terminated) + ", and runs again"}, true
		}
	}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodScheduled && cond.Status == corev1.ConditionFalse {
			return trouble{reason: cond.Reason + ":", message: cond.Message}, true
		}
	}
	return trouble{}, false
}

func ending(t *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("ended with exit code %d (%s)", t.ExitCode, cmp.Or(t.Reason, "no reason given"))
}

// podTrouble is what a pod suffers from, in words, or "".
func podTrouble(p *corev1.Pod) string {
	if t, ok := troubleOf(p); ok {
		return t.String()
	}
	if !Ready(p) {
		return "not ready"
	}
	return ""
}

// Beside runs what waits for the workload's pods, and meanwhile looks at those
// of the newest revision: tell is given each new trouble as it is seen. A pod
// that is stuck for 20 s by its image, its configuration or its own crashes ends
// the wait: the error is then Stuck's.
func (c *Cluster) Beside(ctx context.Context, w Workload, tell func(string), wait func(context.Context) error) error {
	l, stop := c.watched(ctx)
	defer stop()
	return l.beside(ctx, w, newArrivals(w, func(Coming) {}), tell, wait)
}

// beside is Beside, and notes the pods that come.
func (l *watching) beside(ctx context.Context, w Workload, seen *arrivals, tell func(string), wait func(context.Context) error) error {
	waiting, cancel := context.WithCancelCause(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if l.stuck(waiting, w, seen, tell) {
			cancel(errStuck)
		}
	}()
	err := wait(waiting)
	stuck := err != nil && errors.Is(context.Cause(waiting), errStuck)
	cancel(nil)
	<-looked
	if stuck {
		return errStuck
	}
	return err
}

// Stuck says whether it was a pod's being stuck that ended a wait.
func Stuck(err error) bool { return errors.Is(err, errStuck) }

// stuck looks at the newest revision's pods as they change, until one is stuck or
// the context ends.
func (l *watching) stuck(ctx context.Context, w Workload, come *arrivals, tell func(string)) bool {
	start, began := l.cluster.Now(), time.Now() // events have the cluster's times
	seen := sightings{told: map[string]bool{}, since: map[types.UID]*spell{}}
	changed, leave := l.woken(w.Namespace)
	defer leave()
	for ; ctx.Err() == nil; pause(ctx, changed, lookEvery) {
		now, obj, err := l.workload(w)
		if err != nil || obj == nil {
			continue
		}
		pods, known := l.newestPods(now)
		if !known {
			continue
		}
		come.pods(pods)
		news, stuck := seen.look(pods, time.Now())
		if len(pods) < come.wanted() && time.Since(began) >= lookEvery { // most are made at once, and no event needs to be asked for
			news = append(news, seen.first("no pod can be made: ", l.failedCreate(now, start))...)
		}
		for _, words := range news {
			tell(words)
		}
		if stuck {
			return true
		}
	}
	return false
}

// sightings are what was seen of a workload's pods so far.
type sightings struct {
	told  map[string]bool      // what was told already
	since map[types.UID]*spell // when a pod was seen stuck
}

// spell is a time of being stuck. A pod that crashes is, between its restarts,
// running for a moment, and without a readiness probe even ready.
type spell struct{ first, last time.Time }

// look is what is new to tell of the pods, and whether one has been stuck for
// too long. Of several pods in the same trouble one is told.
func (s sightings) look(pods []corev1.Pod, now time.Time) (news []string, stuck bool) {
	for i := range pods {
		p := &pods[i]
		t, ok := troubleOf(p)
		if ok && !s.told[t.container+" "+cmp.Or(t.reason, t.message)] {
			s.told[t.container+" "+cmp.Or(t.reason, t.message)] = true
			news = append(news, "pod "+p.Name+": "+t.String())
		}
		was := s.since[p.UID]
		crashed := was != nil && t.container != "" && t.reason == "" // the kubelet is late to call it a loop
		if !ok || !t.stuck() && !crashed {
			continue
		}
		if was == nil || now.Sub(was.last) > stuckFor { // in between it ran
			was = &spell{first: now}
			s.since[p.UID] = was
		}
		was.last = now
		stuck = stuck || now.Sub(was.first) >= stuckFor
	}
	return news, stuck
}

// first is what is told once.
func (s sightings) first(lead, words string) []string {
	if words == "" || s.told[lead] {
		return nil
	}
	s.told[lead] = true
	return []string{lead + words}
}

// Trouble is a *NotReadyError with what the newest revision's pods suffer from,
// or nil where none does.
func (c *Cluster) Trouble(ctx context.Context, w Workload) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	pods, err := c.NewestPods(ctx, w)
	if err != nil {
		return nil // it only adds to an error that there is
	}
	if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return podTrouble(&p) != "" }); i >= 0 {
		return c.notReady(ctx, w, "")
	}
	return nil
}

// notReady says what the pods suffer from, and then what the rollout itself
// says. The wait's context is over by then, so it asks under a short one of its
// own.
func (c *Cluster) notReady(ctx context.Context, w Workload, message string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if now, err := c.read(ctx, w); err == nil { // it may have been scaled
		w = now
	}
	var causes []string
	hint := fmt.Sprintf("Look at: kubectl -n %s describe pods -l %s", w.Namespace, metav1.FormatLabelSelector(w.Selector))
	if pods, err := c.NewestPods(ctx, w); err == nil {
		if p, why := worst(pods); p != nil {
			causes = append(causes, "pod "+p.Name+": "+why)
			if t, _ := troubleOf(p); t.container != "" && (t.reason == "CrashLoopBackOff" || t.reason == "") {
				hint = fmt.Sprintf("See why it ended: kubectl -n %s logs %s -c %s --previous", w.Namespace, p.Name, t.container)
			}
		}
		if len(pods) == 0 && w.Replicas > 0 {
			causes = append(causes, c.failedCreate(ctx, w, time.Time{}))
		}
	}
	causes = append(causes, message)
	return &NotReadyError{
		Subject: w.String(),
		Cause:   strings.Join(slices.DeleteFunc(causes, func(s string) bool { return s == "" }), "; "),
		Hint:    hint,
	}
}

// worst is a pod that says why it doesn't run, else one that isn't ready.
func worst(pods []corev1.Pod) (*corev1.Pod, string) {
	for _, waits := range []bool{false, true} {
		for i := range pods {
			if why := podTrouble(&pods[i]); why != "" && (why == "not ready") == waits {
				return &pods[i], why
			}
		}
	}
	return nil, ""
}

// failedCreate is why the workload's newest pods were not made, by the last
// event since then of the workload or its ReplicaSets, or "".
func (c *Cluster) failedCreate(ctx context.Context, w Workload, since time.Time) string {
	events, err := c.Core.CoreV1().Events(w.Namespace).List(ctx, metav1.ListOptions{FieldSelector: failedCreates})
	if err != nil {
		return ""
	}
	owners, err := c.owners(ctx, w)
	if err != nil {
		return ""
	}
	return lastOf(events.Items, owners, since)
}

// lastOf is what the last of the events that are about one of the owners says.
func lastOf(events []corev1.Event, owners []types.UID, since time.Time) string {
	message, last := "", since.Add(-5*time.Second)
	for i := range events {
		e := &events[i]
		at := e.LastTimestamp.Time
		if at.IsZero() {
			at = e.EventTime.Time
		}
		if slices.Contains(owners, e.InvolvedObject.UID) && !at.Before(last) {
			message, last = e.Message, at
		}
	}
	return message
}
