package k8s

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Reach is how much a run lists of each kind at once.
type Reach int

// The reaches.
const (
	Asked      Reach = iota // what is asked for, by its selector
	Namespaces              // all of a namespace, once
	Everywhere              // all of the cluster, once; where that is not allowed, Namespaces
)

// fewNamespaces is up to how many namespaces are each listed by themselves.
const fewNamespaces = 3

// ReachFor is the reach that costs a run the fewest requests, which exposes so
// many workloads of so many namespaces.
func ReachFor(workloads, namespaces int) Reach {
	switch {
	case workloads <= 1:
		return Asked
	case namespaces <= fewNamespaces:
		return Namespaces
	}
	return Everywhere
}

// memory keeps what a run has listed, so that each kind is listed once until it
// is forgotten, however many workloads are looked at.
type memory struct {
	reach Reach

	mu    sync.Mutex
	lists map[string]map[string]*kept // by kind, and then by what was listed of it
	since map[string]time.Time        // when what is kept of a kind was first asked for

	asking sync.Mutex
	may    map[Permission]bool
}

// kept is one answer; who comes while it is awaited, waits for it too.
type kept struct {
	once  sync.Once
	value any
	err   error
}

// Remembering is the same cluster to a run that lists each kind once, until it
// calls Forget. What is to be seen as it changes is read by Live.
func (c *Cluster) Remembering(reach Reach) *Cluster {
	one := *c
	one.memory = &memory{reach: reach, lists: map[string]map[string]*kept{}, since: map[string]time.Time{}, may: map[Permission]bool{}}
	return &one
}

// Live is the same cluster with no memory.
func (c *Cluster) Live() *Cluster {
	one := *c
	one.memory = nil
	return &one
}

// Forget has the kinds listed anew when they are next asked for. Who remembers
// nothing has nothing to forget.
func (c *Cluster) Forget(kinds ...string) {
	if c.memory == nil {
		return
	}
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	for _, kind := range kinds {
		delete(c.memory.lists, kind)
	}
}

// renew forgets what is kept of a kind for longer than that.
func (m *memory) renew(kind string, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.since[kind]) > age {
		delete(m.lists, kind)
	}
}

// Recall is what find found for this run before, of one kind and by one name;
// find is called where it was not asked for yet. An error is kept too.
func Recall[T any](c *Cluster, kind, name string, find func() (T, error)) (T, error) {
	if c.memory == nil {
		return find()
	}
	m := c.memory
	m.mu.Lock()
	if m.lists[kind] == nil {
		m.lists[kind], m.since[kind] = map[string]*kept{}, time.Now()
	}
	k := m.lists[kind][name]
	if k == nil {
		k = &kept{}
		m.lists[kind][name] = k
	}
	m.mu.Unlock()
	k.once.Do(func() { k.value, k.err = find() })
	value, _ := k.value.(T)
	return value, k.err
}

// pool is a list of one kind, found by namespace and label.
type pool[T any] struct {
	items  []T
	places map[string][]int // by namespace, and by namespace and one of the labels
	labels func(*T) map[string]string
}

func newPool[T any](items []T, about func(*T) (namespace string, marks map[string]string)) *pool[T] {
	p := &pool[T]{items: items, places: map[string][]int{}, labels: func(t *T) map[string]string { _, marks := about(t); return marks }}
	for i := range items {
		namespace, marks := about(&items[i])
		p.places[namespace] = append(p.places[namespace], i)
		for k, v := range marks {
			p.places[place(namespace, k, v)] = append(p.places[place(namespace, k, v)], i)
		}
	}
	return p
}

func place(namespace, key, value string) string { return namespace + "\x00" + key + "\x00" + value }

// matching are copies of the namespace's items whose labels the selector takes.
func (p *pool[T]) matching(namespace string, selector labels.Selector) []T {
	at := p.places[namespace]
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		if op := r.Operator(); (op == selection.Equals || op == selection.DoubleEquals || op == selection.In) && r.Values().Len() == 1 {
			if fewer := p.places[place(namespace, r.Key(), r.Values().UnsortedList()[0])]; len(fewer) < len(at) {
				at = fewer
			}
		}
	}
	var found []T
	for _, i := range at {
		if selector.Matches(labels.Set(p.labels(&p.items[i]))) {
			found = append(found, p.items[i])
		}
	}
	return found
}

// marked are the namespace's items that bear one of the marks, in their order.
func (p *pool[T]) marked(namespace string, marks map[string]string) []*T {
	at := map[int]bool{}
	for k, v := range marks {
		for _, i := range p.places[place(namespace, k, v)] {
			at[i] = true
		}
	}
	var found []*T
	for _, i := range slices.Sorted(maps.Keys(at)) {
		found = append(found, &p.items[i])
	}
	return found
}

// listed is a kind's list as far as the memory's reach goes; it holds what the
// namespace has of it by the selector, and maybe more.
func listed[T any](ctx context.Context, c *Cluster, kind, namespace string, selector labels.Selector,
	about func(*T) (string, map[string]string), read func(ctx context.Context, namespace string, opts metav1.ListOptions) ([]T, error),
) (*pool[T], error) {
	reach := Asked
	if c.memory != nil {
		reach = c.memory.reach
	}
	list := func(namespace, selector string) (*pool[T], error) {
		return Recall(c, kind, namespace+"/"+selector, func() (*pool[T], error) {
			items, err := read(ctx, namespace, metav1.ListOptions{LabelSelector: selector})
			return newPool(items, about), err
		})
	}
	if reach == Everywhere {
		all, err := list(metav1.NamespaceAll, "")
		if !apierrors.IsForbidden(err) {
			return all, err
		}
	}
	if reach == Asked {
		return list(namespace, selector.String())
	}
	return list(namespace, "")
}

// Remembers says whether what is listed is kept.
func (c *Cluster) Remembers() bool { return c.memory != nil }
