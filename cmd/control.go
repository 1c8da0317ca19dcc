package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

const (
	// controlCalls is how many calls the control makes: to land on one pod of
	// two by chance, so many in a row have a chance of one in 500,000.
	controlCalls = 20
	// controlDial is how long the Service's own address may take to answer: from
	// outside of the cluster it never does.
	controlDial = time.Second
)

// Values of --control.
const (
	controlAuto   = "auto"
	controlAlways = "always"
	controlNever  = "never"
)

// control makes the same calls on one connection to the Service itself, where
// layer 4 pins them to one pod: what the gateway is for shows beside it. The
// pods' sidecars tell which one. Where the Service can't be reached, as from
// outside of the cluster, there is none, or where it was asked for, the reason.
func (r *run) control(ctx context.Context, e *check.Evidence) *check.Control {
	if r.o.controls == controlNever || r.t.layer4 || len(e.Expected) < 2 || len(r.t.destinations) == 0 || ctx.Err() != nil {
		return nil
	}
	d := r.t.destinations[0]
	c := &check.Control{Service: d.Namespace + "/" + d.Service}
	conn, err := r.dialService(ctx, c)
	if err == nil {
		defer func() { _ = conn.Close() }()
		err = r.contrast(ctx, e, conn, c)
	}
	if err != nil {
		c.Why = err.Error()
		if r.o.controls == controlAuto {
			return nil
		}
	}
	return c
}

func (r *run) dialService(ctx context.Context, c *check.Control) (*probe.Conn, error) {
	svc, port, err := r.t.servicePort(ctx, r.t.destinations[0])
	if err != nil {
		return nil, err
	}
	if svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil, errors.New("the Service has no address of its own")
	}
	c.Address = net.JoinHostPort(svc.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
	ctx, cancel := context.WithTimeout(ctx, controlDial)
	defer cancel()
	return probe.Open(ctx, probe.Target{Addr: c.Address})
}

// contrast makes the calls, between two looks at the sidecars' counters.
func (r *run) contrast(ctx context.Context, e *check.Evidence, conn *probe.Conn, c *check.Control) error {
	counted := &check.Evidence{Expected: e.Expected, Uncounted: map[string]string{}}
	before, err := r.atSidecars(ctx, counted)
	if err != nil {
		return err
	}
	for range controlCalls {
		if s := conn.Call(ctx, probe.Call{Path: noPath, Metadata: r.o.metadata}); s.NoAnswer {
			return fmt.Errorf("a call was not answered: %s", s.Err)
		}
		c.Calls++
	}
	after, err := r.atSidecars(ctx, counted)
	if err != nil {
		return err
	}
	if len(counted.Uncounted) > 0 {
		return errors.New("the sidecars of some pods, which would tell where the calls landed, could not be read")
	}
	sum := 0
	for _, ep := range e.Expected {
		if n := after[ep.Address] - before[ep.Address]; n > 0 {
			c.Landed = append(c.Landed, check.Count{Endpoint: ep, Calls: n, Share: float64(n) / controlCalls})
			sum += n
		}
	}
	slices.SortStableFunc(c.Landed, func(a, b check.Count) int { return b.Calls - a.Calls })
	if sum == controlCalls {
		return nil
	}
	c.Landed = nil
	if sum < controlCalls {
		return fmt.Errorf("the sidecars counted %d of %d calls: at %s someone else answers", sum, controlCalls, c.Address)
	}
	return fmt.Errorf("the sidecars counted %d calls, of %d: others call too", sum, controlCalls)
}
