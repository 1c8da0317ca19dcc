package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
)

// arrivals are when pods became ready, by a watch of the bench's own.
type arrivals struct {
	mu sync.Mutex
	at map[string]time.Time
}

// arrive notes the pods of a namespace as they become ready, until the context
// ends.
func (b *bench) arrive(ctx context.Context, namespace string) (*arrivals, error) {
	pods := b.client.CoreV1().Pods(namespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	events, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	a := &arrivals{at: map[string]time.Time{}}
	go func() {
		for e := range events.ResultChan() {
			p, ok := e.Object.(*corev1.Pod)
			if !ok || !k8s.Ready(p) {
				continue
			}
			a.mu.Lock()
			if _, seen := a.at[p.Name]; !seen {
				a.at[p.Name] = time.Now()
			}
			a.mu.Unlock()
		}
	}()
	return a, nil
}

// lag runs expose while pods come, and measures how long after each was ready it
// was told of.
func (b *bench) lag(namespace string, args ...string) (took, []time.Duration, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	came, err := b.arrive(ctx, namespace)
	if err != nil {
		return took{}, nil, err
	}
	c := exec.CommandContext(ctx, b.grpcmesh, args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig())
	words, err := c.StderrPipe()
	if err != nil {
		return took{}, nil, err
	}
	start := time.Now()
	if err := c.Start(); err != nil {
		return took{}, nil, err
	}
	told, last := map[string]time.Time{}, ""
	for lines := bufio.NewScanner(words); lines.Scan(); {
		last = lines.Text()
		if _, names, ok := strings.Cut(last, ", new: "); ok {
			for name := range strings.SplitSeq(names, ", ") {
				told[name] = time.Now()
			}
		}
	}
	if err := c.Wait(); err != nil {
		return took{}, nil, fmt.Errorf("%s %s: %w: %s", b.grpcmesh, strings.Join(args, " "), err, last)
	}
	var lags []time.Duration
	came.mu.Lock()
	defer came.mu.Unlock()
	for name, at := range told {
		if ready, ok := came.at[name]; ok {
			lags = append(lags, max(0, at.Sub(ready)))
		}
	}
	slices.Sort(lags)
	return took{wall: time.Since(start)}, lags, nil
}
