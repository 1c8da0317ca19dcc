package k8s

import (
	"context"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// gather is how long what comes after a change is waited for, so that a burst is
// looked at once.
const gather = 20 * time.Millisecond

// watching is what the waits of one run look at: however many workloads are
// waited for, each kind is listed once in a namespace, and watched from there.
type watching struct {
	cluster *Cluster
	narrow  bool // one workload is waited for: just what is its own
	start   func(run func(context.Context)) (stop context.CancelFunc)

	mu      sync.Mutex
	over    bool
	mirrors map[string]map[string]*running // by namespace, and what of it
	waiting map[chan struct{}]string       // who is woken by a change, and of which namespace
	written map[types.UID]int64            // generations that this run has made: what is older is not looked at
	lately  *Cluster                       // remembers what one of them has just listed,
	at      time.Time                      // from then on
}

type running struct {
	*mirror
	stop context.CancelFunc
}

// Watching is the same cluster to the waits of one run. What they look at is
// kept until stop is called, of those namespaces or, without any, of all. Where
// the reach is Asked, it is narrowed to what the one workload owns.
func (c *Cluster) Watching(ctx context.Context, reach Reach) (same *Cluster, stop func(namespaces ...string)) {
	one := *c
	l := &watching{cluster: c.Live(), narrow: reach == Asked, mirrors: map[string]map[string]*running{}, waiting: map[chan struct{}]string{}, written: map[types.UID]int64{}}
	var wg sync.WaitGroup
	l.start = func(run func(context.Context)) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		wg.Go(func() { run(ctx) })
		return cancel
	}
	one.live = l
	return &one, func(namespaces ...string) {
		l.end(namespaces)
		if len(namespaces) == 0 {
			wg.Wait()
		}
	}
}

func (l *watching) end(namespaces []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = l.over || len(namespaces) == 0
	for ns, kinds := range l.mirrors {
		if len(namespaces) > 0 && !slices.Contains(namespaces, ns) {
			continue
		}
		for _, m := range kinds {
			m.stop()
		}
		delete(l.mirrors, ns)
	}
}

// watched is what the run's waits look at, or, outside of such a run, what this
// wait alone does, until stop is called.
func (c *Cluster) watched(ctx context.Context) (l *watching, stop func()) {
	if c.live != nil {
		c.live.mu.Lock()
		defer c.live.mu.Unlock()
		if !c.live.over {
			return c.live, func() {}
		}
	}
	own, end := c.Watching(ctx, Asked)
	return own.live, func() { end() }
}

// latelyFor is how long a list serves the other waits of a run.
const latelyFor = time.Second

// Lately is the same cluster to one of several waits, for what is not watched: it
// remembers what any of them has listed within the last second. Who waits alone
// reads anew.
func (c *Cluster) Lately() *Cluster {
	if c.live == nil || c.live.narrow || c.memory != nil {
		return c
	}
	c.live.mu.Lock()
	defer c.live.mu.Unlock()
	if c.live.lately == nil || time.Since(c.live.at) >= latelyFor {
		c.live.lately, c.live.at = c.live.cluster.Remembering(Namespaces), time.Now()
	}
	return c.live.lately
}

// wrote notes what this run has made of a workload.
func (c *Cluster) wrote(uid types.UID, generation int64) {
	if c.live != nil {
		c.live.mu.Lock()
		defer c.live.mu.Unlock()
		c.live.written[uid] = max(c.live.written[uid], generation)
	}
}

// woken gives a channel that is sent to after each change in the namespace.
func (l *watching) woken(namespace string) (changed <-chan struct{}, leave func()) {
	ch := make(chan struct{}, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[ch] = namespace
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, ch)
	}
}

func (l *watching) wake(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch, ns := range l.waiting {
		if ns != namespace {
			continue
		}
		select {
		case ch <- struct{}{}:
		default: // it is to look anyway
		}
	}
}

// pause waits for a change, or until it is time to look anyway.
func pause(ctx context.Context, changed <-chan struct{}, every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	select {
	case <-changed:
		timer.Reset(gather)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	case <-timer.C:
	case <-ctx.Done():
	}
}

// mirror is the mirror of what the source has in the namespace by the selectors;
// it is begun where there is none yet.
func (l *watching) mirror(what, namespace string, from source, opts metav1.ListOptions) *mirror {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := what + "?" + opts.LabelSelector + "&" + opts.FieldSelector
	if r := l.mirrors[namespace][key]; r != nil {
		return r.mirror
	}
	m := &mirror{source: from, opts: opts, changed: func() { l.wake(namespace) }}
	if l.over {
		return m
	}
	if l.mirrors[namespace] == nil {
		l.mirrors[namespace] = map[string]*running{}
	}
	l.mirrors[namespace][key] = &running{m, l.start(m.run)}
	return m
}

// selected are the options that list what bears the workload's labels.
func (l *watching) selected(w Workload) (opts metav1.ListOptions) {
	if l.narrow {
		opts.LabelSelector = metav1.FormatLabelSelector(w.Selector)
	}
	return opts
}
