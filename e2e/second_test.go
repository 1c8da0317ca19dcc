package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faults: 15
//
// A second SIGINT, once the first one's second has passed, ends a run at once,
// though it is still cleaning up.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	place.deploy("app", "", 1)
	reached := make(chan struct{}, 1000)
	p := newProxy(t, func(c *call) fault {
		if !c.is(http.MethodDelete, "virtualservices") {
			return nil
		}
		reached <- struct{}{}
		return hold
	})
	var first, second time.Time
	r := grpcmesh(t, p.kubeconfig, func(running *os.Process) {
		select {
		case <-reached:
		case <-time.After(time.Minute):
			t.Error("it never removed its probe route")
		}
		first = time.Now()
		_ = running.Signal(syscall.SIGINT)
		time.Sleep(1200 * time.Millisecond) // signals of one second are one request
		second = time.Now()
		_ = running.Signal(syscall.SIGINT)
	}, place.waits()...)
	ended := time.Now()
	r.wants(t, 130, "ended at once by a second signal (interrupt)", "virtualservice")
	if took := ended.Sub(second); took > time.Second {
		t.Errorf("it took %s to end, %s after the first signal", took, second.Sub(first))
	}
}

// faults: 1
//
// Without a kubeconfig the real binary says so within the second, start and all.
func TestNoKubeconfigAtOnce(t *testing.T) {
	r := grpcmesh(t, t.TempDir()+"/absent", nil, "expose", "-n", "default")
	r.wants(t, 1, "no kubeconfig: ", "/absent does not exist")
	if r.took > time.Second {
		t.Errorf("it took %s to say so", r.took)
	}
}

// faults: 22
//
// A Service that was made anew between the plan and its deletion is another,
// whatever its labels say: it is told of, and stays, in the next run too.
func TestAnotherOfItsName(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	grpcmesh(t, newProxy(t, nil).kubeconfig, nil, place.expose()...).wants(t, 0)
	var once sync.Once
	p := newProxy(t, func(c *call) fault {
		if c.is(http.MethodDelete, "services") {
			once.Do(func() {
				if out, err := kubectl("-n", place.ns, "delete", "service", "app"); err != nil {
					t.Error(err, out)
				}
				place.apply(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: app, namespace: %s, labels: {app.kubernetes.io/managed-by: grpcmesh, grpcmesh.dev/workload: deployment.app}},
  spec: {selector: {app: app}, ports: [{name: grpc, port: 8000, targetPort: 50051}]}}`, place.ns))
			})
		}
		return nil
	})
	grpcmesh(t, p.kubeconfig, nil, place.unexpose()...).wants(t, 5, "Service/app in namespace "+place.ns+": it changed while grpcmesh was at work")
	grpcmesh(t, p.kubeconfig, nil, place.unexpose()...).wants(t, 0)
	if out, err := kubectl("-n", place.ns, "get", "service", "app", "-o", "name"); err != nil || !strings.Contains(out, "service/app") {
		t.Errorf("the other Service is gone: %v %s", err, out)
	}
}
