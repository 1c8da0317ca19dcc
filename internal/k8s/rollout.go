package k8s

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

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

// Observed reads the workload anew, until its controller has taken notice of
// its newest template: only then are there pods, or a revision, to judge. A run
// that has listed it and found it so looks no further.
func (c *Cluster) Observed(ctx context.Context, w Workload) (Workload, error) {
	if c.memory != nil {
		if now, err := c.remembered(ctx, w); err != nil || now.observed {
			return now, err
		}
	}
	latest := w
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		now, _, err := c.read(ctx, w)
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

// WaitRolledOut returns when every pod of the workload is of its newest
// revision and ready. coming is told each change of how far it has come, and
// trouble what holds the pods up as soon as it is seen; both may be told at
// once. Where the context's deadline passes first, the rollout fails, or a pod
// is stuck as Beside says, it is a *NotReadyError with the reason that the pods
// give. A user who may read the workload but not watch it has it read time and
// again instead.
func (c *Cluster) WaitRolledOut(ctx context.Context, w Workload, coming func(Coming), trouble func(string)) error {
	c = c.Live()
	r := &rollout{kind: w.Kind, arrivals: newArrivals(w, coming)}
	err := c.beside(ctx, w, r.arrivals, trouble, func(ctx context.Context) error {
		err := c.watch(ctx, w, r)
		if apierrors.IsForbidden(err) {
			err = c.poll(ctx, w, r, pollAgain)
		}
		return err
	})
	if err == nil && !r.failed && !r.deleted { // the last ones came since the last look
		if pods, err := c.NewestPods(ctx, w); err == nil {
			r.arrivals.pods(pods)
		}
	}
	switch {
	case r.deleted:
		return &NotReadyError{Subject: w.String(), Cause: "it was deleted"}
	case r.failed:
		return c.notReady(ctx, w, r.last)
	case errors.Is(err, errStuck):
		return c.notReady(ctx, w, r.last)
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return c.notReady(ctx, w, r.last)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// rollout is what one wait has seen so far.
type rollout struct {
	kind            string
	arrivals        *arrivals
	mu              sync.Mutex // of what follows
	last            string     // the state last seen, in words
	failed, deleted bool
}

// over looks at the workload anew and says whether the wait is over, for good
// or bad.
func (r *rollout) over(obj runtime.Object) (bool, error) {
	res, err := compute(r.kind, obj)
	if err != nil {
		return false, err
	}
	r.arrivals.condition(res.Message, int(workloadOf(obj).Replicas))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = res.Message
	r.failed = res.Status == status.FailedStatus
	return r.failed || res.Status == status.CurrentStatus, nil
}

// gone notes that the workload was deleted.
func (r *rollout) gone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deleted = true
}

const (
	pollAgain  = time.Second      // where no watch is allowed
	watchAgain = time.Second      // where a watch has ended
	lookAgain  = 10 * time.Second // beside a watch, which may have gone silent
)

var errOver = errors.New("the rollout is over")

// watch waits by a watch. The informer behind it would try for ever what the
// API server refuses to this user, and tell nobody; so the refusal ends it.
func (c *Cluster) watch(ctx context.Context, w Workload, r *rollout) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	refused := func(err error) error {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			cancel(fmt.Errorf("watching %s in namespace %s: %w", w, w.Namespace, err))
		}
		return err
	}
	resource := map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}[w.Kind]
	lw := cache.NewListWatchFromClient(c.Core.AppsV1().RESTClient(), resource, w.Namespace,
		fields.OneTermEqualSelector("metadata.name", w.Name))
	pace := time.NewTimer(0)
	defer pace.Stop()
	telling := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			list, err := lw.ListWithContext(ctx, opts)
			return list, refused(err)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			select { // client-go lists and watches again at once where a version has expired
			case <-pace.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			pace.Reset(watchAgain)
			events, err := lw.WatchWithContext(ctx, opts)
			return events, refused(err)
		},
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if c.poll(ctx, w, r, lookAgain) == nil {
			cancel(errOver)
		}
	}()
	_, err := watchtools.UntilWithSync(ctx, telling, kindOf(w.Kind), nil, func(e watch.Event) (bool, error) {
		if e.Type == watch.Deleted {
			r.gone()
			return true, nil
		}
		return r.over(e.Object)
	})
	cause := context.Cause(ctx)
	cancel(nil)
	<-looked
	switch {
	case err == nil, errors.Is(cause, errOver):
		return nil
	case cause != nil:
		return cause
	}
	return err
}

// poll waits by reading the workload time and again, first after the interval.
// What the API server can't answer just now it is asked again.
func (c *Cluster) poll(ctx context.Context, w Workload, r *rollout, every time.Duration) error {
	return wait.PollUntilContextCancel(ctx, every, false, func(ctx context.Context) (bool, error) {
		_, obj, err := c.read(ctx, w)
		switch {
		case errors.As(err, new(*NotReadyError)):
			r.gone()
			return true, nil
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
			return false, err
		case err != nil:
			return false, nil //nolint:nilerr // the deadline ends this, with the last state that was seen
		}
		return r.over(obj)
	})
}

func kindOf(kind string) runtime.Object {
	switch kind {
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "DaemonSet":
		return &appsv1.DaemonSet{}
	}
	return &appsv1.Deployment{}
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
