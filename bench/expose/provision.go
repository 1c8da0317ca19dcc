package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"istio.io/client-go/pkg/clientset/versioned"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// newFleet are namespaces of the run's own.
func (b *bench) newFleet(name string, services, namespaces, replicas int) (fleet, error) {
	selector, err := labels.ConvertSelectorToLabelsMap(b.selector)
	return fleet{client: b.client, selector: selector, prefix: b.prefix + "-" + name, services: services, namespaces: namespaces,
		replicas: int32(replicas), image: b.image}, err
}

// cleanly runs do with the fleet's workloads, and removes them after it.
func (b *bench) cleanly(f fleet, do func() error) (err error) {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 5*time.Minute)
		defer cancel()
		if e := f.remove(ctx); err == nil {
			err = e
		}
	}()
	if err := f.make(b.ctx); err != nil {
		return err
	}
	return do()
}

// oneService goes from a bare namespace with three pods to the first good call.
func (b *bench) oneService() error {
	const ours, theirs = "grpcmesh expose -f exposure.yaml", "kubectl label namespace; kubectl apply --server-side -f rendered.yaml; kubectl rollout restart; kubectl rollout status; then calls until one is answered from behind the gateway"
	n := 0
	fresh := func(do func(f fleet, intents, rendered string) (took, error)) (t took, err error) {
		n++
		b.say("one service, run %d of %d", n, 2*b.one)
		f, err := b.newFleet(fmt.Sprintf("one-%d", n), 1, 1, 3)
		if err != nil {
			return t, err
		}
		err = b.cleanly(f, func() error {
			intents, rendered, err := b.files(f)
			if err != nil {
				return err
			}
			t, err = do(f, intents, rendered)
			return err
		})
		return t, err
	}
	p, err := abba(b.one, func() (took, error) {
		return fresh(func(f fleet, intents, _ string) (took, error) {
			t, err := b.command(b.grpcmesh, "expose", "-f", intents)
			if err != nil {
				return t, err
			}
			return t, b.call(b.ctx, f.host(0)) // it has said so
		})
	}, func() (took, error) {
		return fresh(func(f fleet, _, rendered string) (all took, err error) {
			ns, start := f.namespace(0), time.Now()
			for _, args := range [][]string{
				{"label", "namespace", ns, "istio-injection=enabled"},
				{"apply", "--server-side", "--field-manager", "grpcmesh", "-f", rendered},
				{"-n", ns, "rollout", "restart", "deployment"},
				{"-n", ns, "rollout", "status", "deployment/" + f.workload(0)},
			} {
				t, err := b.command("kubectl", args...)
				if all = all.plus(t); err != nil {
					return all, err
				}
			}
			err = b.firstCall(f.host(0))
			all.wall = time.Since(start)
			return all, err
		})
	})
	if err != nil {
		return err
	}
	m, lo, hi := p.ratio(wall)
	b.page.row("one service of 3 pods, from a bare namespace to verified", "the kubectl sequence", m, lo, hi, bound{most: 1.05})
	b.page.rounds("One service", ours, theirs, p)
	return nil
}

// files are the fleet's exposures and the objects that they mean.
func (b *bench) files(f fleet) (intents, rendered string, err error) {
	text, err := f.exposures()
	if err != nil {
		return "", "", err
	}
	if intents, err = b.keep(f.prefix+".yaml", text); err != nil {
		return "", "", err
	}
	out, _, err := b.output(b.kubeconfig(), b.grpcmesh, "render", "-f", intents)
	if err != nil {
		return "", "", err
	}
	rendered, err = b.keep(f.prefix+"-rendered.yaml", out)
	return intents, rendered, err
}

// waiting counts what is asked while several rollouts are waited for.
func (b *bench) waiting() error {
	if b.audit == "" {
		return nil
	}
	b.say("waiting for %d workloads", b.waiters)
	f, err := b.newFleet("wait", b.waiters, 1, 1)
	if err != nil {
		return err
	}
	return b.cleanly(f, func() error {
		intents, _, err := b.files(f)
		if err != nil {
			return err
		}
		if _, err := b.command(b.grpcmesh, "expose", "-f", intents); err != nil {
			return err
		}
		watched := []string{"deployments", "pods", "replicasets"}
		count := func(agent string, since time.Time) (int, map[string]int, error) {
			all, err := b.requests(agent, since)
			by := map[string]int{}
			for _, r := range all {
				if r.ObjectRef.Namespace == f.namespace(0) && slices.Contains(watched, r.ObjectRef.Resource) && slices.Contains([]string{"get", "list", "watch"}, r.Verb) {
					by[r.Verb+" "+r.ObjectRef.Resource]++
				}
			}
			n := 0
			for _, c := range by {
				n += c
			}
			return n, by, err
		}
		restart := func() (time.Time, error) {
			_, err := b.command("kubectl", "-n", f.namespace(0), "rollout", "restart", "deployment")
			return time.Now(), errors.Join(err, f.seen(b.ctx, 0, func(appsv1.Deployment) bool { return true }))
		}
		since, err := restart()
		if err != nil {
			return err
		}
		waited, lags, err := b.lag(f.namespace(0), "expose", "-f", intents)
		if err != nil {
			return err
		}
		ours, how, err := count("grpcmesh/", since)
		if err != nil {
			return err
		}
		if since, err = restart(); err != nil {
			return err
		}
		for i := range f.services {
			if _, err := b.command("kubectl", "-n", f.namespace(0), "rollout", "status", "deployment/"+f.workload(i)); err != nil {
				return err
			}
		}
		theirs, _, err := count("kubectl/", since)
		if err != nil {
			return err
		}
		b.page.count(fmt.Sprintf("requests of expose for Deployments, pods and ReplicaSets, %d rollouts waited for", f.services), "`kubectl rollout status`, "+fmt.Sprint(theirs),
			fmt.Sprintf("%d: %s", ours, strings.TrimPrefix(fmt.Sprint(how), "map")), "≤ 2 a kind while it waits (a watch lasts 20 s), and one LIST a kind before", ours <= 3*(3+int(waited.wall/(20*time.Second))))
		if len(lags) == 0 {
			return errors.New("expose told of no pod that came")
		}
		b.page.count(fmt.Sprintf("lag from a pod's being ready, by a watch of the bench's own, to its being told of; %d pods", len(lags)), "",
			fmt.Sprintf("median %.3f s, at most %.3f s", lags[len(lags)/2].Seconds(), lags[len(lags)-1].Seconds()), "≤ 0.2 s", lags[len(lags)-1] <= 200*time.Millisecond)
		return nil
	})
}

// fleet exposes very many, unchanged a second time, and from afar.
func (b *bench) fleet() error {
	f, err := b.newFleet("many", b.services, b.spaces, 0)
	if err != nil {
		return err
	}
	mesh, err := versioned.NewForConfig(b.config)
	if err != nil {
		return err
	}
	b.say("making %d workloads without replicas in %d namespaces", f.services, f.namespaces)
	return b.cleanly(f, func() error {
		intents, rendered, err := b.files(f)
		if err != nil {
			return err
		}
		far, end := context.WithCancel(b.ctx)
		defer end()
		delayed, err := b.delayed(far, 20*time.Millisecond)
		if err != nil {
			return err
		}
		conceal := func() error { return f.conceal(b.ctx, mesh) }
		m := &many{bench: b, intents: intents, rendered: rendered, conceal: conceal, services: f.services}
		if err := m.measure("", b.kubeconfig(), b.fleets); err != nil {
			return err
		}
		fewer := f
		fewer.services = min(b.far, f.services)
		if m.intents, m.rendered, err = b.files(fewer); err != nil {
			return err
		}
		m.services = fewer.services
		return m.measure(", 20 ms away", delayed, 1)
	})
}
