package k8s

import (
	"sync"
	"time"
)

// sharedFor is how long one look serves other waits too. A wait first looks
// lookEvery after it began, so that what it is shown is of its own time.
const sharedFor = lookEvery / 2

// looks are those at the pods that several waits share: however many workloads
// are waited for, each kind is listed once for all of them in sharedFor.
type looks struct {
	mu   sync.Mutex
	at   time.Time
	last *Cluster // remembers what was listed
}

// Together is the same cluster to several waits of one run, which then look at
// a namespace's pods together instead of each at its own.
func (c *Cluster) Together() *Cluster {
	one := *c
	one.looks = &looks{}
	return &one
}

// look is the cluster to look at pods with while they are waited for.
func (c *Cluster) look() *Cluster {
	if c.looks == nil {
		return c
	}
	c.looks.mu.Lock()
	defer c.looks.mu.Unlock()
	if c.looks.last == nil || time.Since(c.looks.at) >= sharedFor {
		c.looks.last, c.looks.at = c.Remembering(Namespaces), time.Now()
	}
	return c.looks.last
}
