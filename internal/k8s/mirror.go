package k8s

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"grpcmesh/internal/typed"
)

const (
	// listAgain is the least time from one list to the next: where a watch was
	// closed or has expired, or where none is allowed.
	listAgain = time.Second
	// watchFor is how long the API server is asked to keep up a watch. One that
	// it has not closed by watchGrace later is taken for one that has fallen
	// silent, and what there is is listed again.
	watchFor, watchGrace = 20 * time.Second, 3 * time.Second
)

// source lists and watches one kind.
type source struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func sourceOf[T any, L runtime.Object](kind typed.Objects[T, L]) source {
	return source{func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
		return kind.List(ctx, opts)
	}, kind.Watch}
}

// mirror keeps a kind's objects as they are now, by one list and the watch from
// it. (client-go's Reflector would ask for ever for what this user may not list,
// has no fallback where only the watch is refused, and trusts a silent one for
// minutes.)
type mirror struct {
	source
	opts    metav1.ListOptions // its selectors
	changed func()

	mu      sync.Mutex
	objects map[types.UID]runtime.Object // nil: not listed yet
	refused error                        // why they never will be
}

// all are the objects; not known, if they were not listed yet.
func (m *mirror) all() (objects []runtime.Object, known bool, refused error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.objects {
		objects = append(objects, o)
	}
	return objects, m.objects != nil, m.refused
}

// run keeps the mirror up to date until the context ends, or until this user is
// refused.
func (m *mirror) run(ctx context.Context) {
	mayWatch := true
	for ctx.Err() == nil {
		began := time.Now()
		version, err := m.relist(ctx)
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			m.mu.Lock()
			m.refused = err
			m.mu.Unlock()
			m.changed()
			return
		}
		for err == nil && mayWatch {
			version, err = m.follow(ctx, version)
			mayWatch = !apierrors.IsForbidden(err)
		}
		select {
		case <-time.After(listAgain - time.Since(began)):
		case <-ctx.Done():
		}
	}
}

// relist has the mirror hold just what there is now.
func (m *mirror) relist(ctx context.Context) (version string, err error) {
	list, err := m.list(ctx, m.opts)
	if err != nil {
		return "", err
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return "", err
	}
	about, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	objects := make(map[types.UID]runtime.Object, len(items))
	for _, item := range items {
		if o, ok := item.(metav1.Object); ok {
			objects[o.GetUID()] = item
		}
	}
	m.mu.Lock()
	m.objects = objects
	m.mu.Unlock()
	m.changed()
	return about.GetResourceVersion(), nil
}

// follow notes the changes since a version, for the time of one watch. Without
// an error it can be followed on from the version returned.
func (m *mirror) follow(ctx context.Context, version string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, watchFor+watchGrace)
	defer cancel()
	began, seconds := time.Now(), int64(watchFor/time.Second)
	opts := m.opts
	opts.ResourceVersion, opts.AllowWatchBookmarks, opts.TimeoutSeconds = version, true, &seconds
	events, err := m.watch(ctx, opts)
	if err != nil {
		return "", err
	}
	defer events.Stop()
	for {
		select {
		case e, ok := <-events.ResultChan():
			if !ok && time.Since(began) < watchFor-time.Second {
				return "", errors.New("the watch was closed before its time")
			}
			if !ok {
				return version, nil
			}
			if version, err = m.note(e); err != nil {
				return "", err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// note notes one event, and returns the version that it leads to.
func (m *mirror) note(e watch.Event) (version string, err error) {
	if e.Type == watch.Error {
		return "", apierrors.FromObject(e.Object)
	}
	o, ok := e.Object.(metav1.Object)
	if !ok {
		return "", fmt.Errorf("a watch told of a %T", e.Object)
	}
	if e.Type == watch.Bookmark {
		return o.GetResourceVersion(), nil
	}
	m.mu.Lock()
	if e.Type == watch.Deleted {
		delete(m.objects, o.GetUID())
	} else {
		m.objects[o.GetUID()] = e.Object
	}
	m.mu.Unlock()
	m.changed()
	return o.GetResourceVersion(), nil
}
