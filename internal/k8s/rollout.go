package k8s

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// NotReadyError says that something did not come about in time, with the last
// cause that was seen.
type NotReadyError struct {
	Code    string // of package finding, where it was found before a write; or ""
	Subject string // "Deployment/server", "the gateway"
	// Namespace is of the subject, where a finding is to name it.
	Namespace string
	Cause     string
	Hint      string
}

// Error names the subject and the last cause, then the next step.
func (e *NotReadyError) Error() string {
	msg := manifest.WithCode(e.Code, fmt.Sprintf("%s is not ready: %s", e.Subject, e.Cause))
	if e.Hint != "" {
		msg += "\n" + e.Hint
	}
	return msg
}

// Restart starts a rolling restart, by the annotation that kubectl uses. The
// write carries the version that the decision was made from: a workload that
// was changed meanwhile is a *plan.ConflictError and is not restarted.
func (c *Cluster) Restart(ctx context.Context, w Workload, now time.Time) error {
	err := c.annotate(ctx, w, now.UTC().Format(time.RFC3339))
	if err != nil && !errors.As(err, new(*plan.ConflictError)) {
		return fmt.Errorf("restarting %s: %w", manifest.ID{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}, err)
	}
	return err
}

// noticed is how long a controller may take to notice a workload's newest
// template.
const noticed = 30 * time.Second

// relisted is how long one list of the workloads serves all that wait for their
// controllers.
const relisted = 200 * time.Millisecond

// Observed reads the workload anew, until its controller has taken notice of
// its newest template: only then are there pods, or a revision, to judge. A run
// that has listed it and found it so looks no further, and else lists all of them
// again: there may be many that wait.
func (c *Cluster) Observed(ctx context.Context, w Workload) (Workload, error) {
	latest, read := w, c.read
	if c.memory != nil {
		now, err := c.remembered(ctx, w)
		if err != nil || now.observed {
			return now, err
		}
		read = func(ctx context.Context, w Workload) (Workload, error) {
			c.memory.renew("Workload", relisted)
			return c.remembered(ctx, w)
		}
	}
	within, cancel := context.WithTimeout(ctx, noticed)
	defer cancel()
	often := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Steps: 8, Cap: time.Second} // a controller has much to do in a large batch
	err := often.DelayFunc().Until(within, true, false, func(ctx context.Context) (bool, error) {
		now, err := read(ctx, w)
		latest = now
		return now.observed, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return w, &NotReadyError{Subject: w.String(), Cause: "its controller takes no notice of it",
			Hint: "Is the cluster's controller manager running?"}
	}
	return latest, err
}

// RolledOut says whether the workload was rolled out, as far as the run
// remembers; who remembers nothing can't say.
func (c *Cluster) RolledOut(ctx context.Context, w Workload) (bool, error) {
	if c.memory == nil {
		return false, nil
	}
	now, err := c.remembered(ctx, w)
	if err != nil {
		return false, err
	}
	res, err := compute(w.Kind, now.from)
	return err == nil && res.Status == status.CurrentStatus && now.observed, err
}

// Rolled is a workload whose rollout is over, and the pods of its newest
// revision.
type Rolled struct {
	Workload Workload
	Pods     []corev1.Pod
}

// WaitRolledOut returns when every pod of the workload is of its newest
// revision and ready. coming is told each change of how far it has come, and
// trouble what holds the pods up as soon as it is seen; both may be told at
// once. Where the context's deadline passes first, the rollout fails, or a pod
// is stuck as Beside says, it is a *NotReadyError with the reason that the pods
// give. What is looked at is watched, or, for a user who may not do that, listed
// every second.
func (c *Cluster) WaitRolledOut(ctx context.Context, w Workload, coming func(Coming), trouble func(string)) (Rolled, error) {
	l, stop := c.watched(ctx)
	defer stop()
	c = c.Live()
	r := &rollout{arrivals: newArrivals(w, coming)}
	err := l.beside(ctx, w, r.arrivals, trouble, func(ctx context.Context) error { return l.rolledOut(ctx, w, r) })
	switch {
	case err == nil && r.deleted:
		return Rolled{}, &NotReadyError{Subject: w.String(), Cause: "it was deleted"}
	case err == nil && !r.failed:
		r.arrivals.pods(r.rolled.Pods) // the last ones came since the last look
		return r.rolled, nil
	case err == nil, errors.Is(err, errStuck), errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return Rolled{}, c.notReady(ctx, w, r.last)
	case ctx.Err() != nil:
		return Rolled{}, ctx.Err()
	}
	return Rolled{}, err
}

// rollout is what one wait has seen so far.
type rollout struct {
	arrivals        *arrivals
	last            string // the state last seen, in words
	failed, deleted bool
	rolled          Rolled
}

// over looks at the workload anew and says whether the wait is over, for good
// or bad.
func (r *rollout) over(now Workload, obj runtime.Object) (bool, error) {
	res, err := compute(now.Kind, obj)
	if err != nil {
		return false, err
	}
	r.arrivals.condition(res.Message, int(now.Replicas))
	r.last = res.Message
	r.failed = res.Status == status.FailedStatus
	return r.failed || res.Status == status.CurrentStatus, nil
}

// The watch of a workload's pods may be behind that of the workload, whose
// rollout is over: for so long they are looked at again, so often.
const abreast, abreastEvery = time.Second, 200 * time.Millisecond

// rolledOut returns when the rollout is over, for good or bad.
func (l *watching) rolledOut(ctx context.Context, w Workload, r *rollout) error {
	changed, leave := l.woken(w.Namespace)
	defer leave()
	var since time.Time // of its being over
	for every := lookEvery; ctx.Err() == nil; pause(ctx, changed, every) {
		now, obj, err := l.workload(w)
		if r.deleted = errors.As(err, new(*NotReadyError)); r.deleted {
			return nil
		}
		if err != nil {
			return fmt.Errorf("looking at %s in namespace %s: %w", w, w.Namespace, err)
		}
		if obj == nil {
			continue
		}
		over, err := r.over(now, obj)
		if err != nil || r.failed {
			return err
		}
		if !over {
			since, every = time.Time{}, lookEvery
			continue
		}
		if every = abreastEvery; since.IsZero() {
			since = time.Now()
		}
		pods, known := l.newestPods(now)
		r.rolled = Rolled{now, pods}
		if known && ready(pods) >= int(now.Replicas) || time.Since(since) >= abreast {
			return nil
		}
	}
	return context.Cause(ctx)
}

func ready(pods []corev1.Pod) (n int) {
	for i := range pods {
		if Ready(&pods[i]) {
			n++
		}
	}
	return n
}

func compute(kind string, obj runtime.Object) (*status.Result, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: m}
	u.SetAPIVersion("apps/v1") // a typed list item carries neither
	u.SetKind(kind)
	return status.Compute(u)
}
