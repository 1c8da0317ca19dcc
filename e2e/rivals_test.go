package e2e

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/typed"
)

// faults: 10
//
// A field that another manager has taken is shown with that manager's name, and
// nothing is written.
func TestFieldConflict(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	grpcmesh(t, root(".lab/kubeconfig"), nil, place.expose()...).wants(t, 0)
	patch := []byte(`[{"op":"replace","path":"/spec/ports/0/appProtocol","value":"http"}]`)
	if _, err := place.core.CoreV1().Services(place.ns).Patch(t.Context(), "app", types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	before := place.state()
	p := newProxy(t, nil)
	grpcmesh(t, p.kubeconfig, nil, place.expose("--host", "other."+place.host)...).
		wants(t, 5, "Service/app in namespace "+place.ns, "appProtocol", `"helm"`)
	if n := p.committed(); len(n) > 0 || place.state() != before {
		t.Errorf("it wrote %v", n)
	}
}

// faults: 11
//
// An object that changes between the look and the write is looked at again, five
// times at most.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ conflicts, code, tries int }{"twice": {2, 0, 3}, "for ever": {1000, 5, 5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			tries := 0
			p := newProxy(t, func(c *call) fault {
				if !c.is(http.MethodPatch, "virtualservices") {
					return nil
				}
				if tries++; tries > tc.conflicts {
					return nil
				}
				return answer(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
			})
			r := grpcmesh(t, p.kubeconfig, nil, place.expose()...)
			r.wants(t, tc.code, "planning anew")
			if tries != tc.tries {
				t.Errorf("%d tries, want %d: %s", tries, tc.tries, r)
			}
			if looks := p.count(func(c *call) bool {
				return c.verb == http.MethodGet && strings.Contains(c.path, "/virtualservices")
			}); looks < tc.tries {
				t.Errorf("it looked %d times", looks)
			}
		})
	}
}

// faults: 12
//
// One answer is lost after the API server has taken the write: the run ends in
// an error that names the object, and the same command finds it as it is to be.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{"services", "gateways", "virtualservices"} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			object := map[string]string{"services": "Service/app", "gateways": "Gateway/grpc", "virtualservices": "VirtualService/app"}[resource]
			p := newProxy(t, func(c *call) fault {
				if c.is(http.MethodPatch, resource) {
					return cutAfter
				}
				return nil
			})
			grpcmesh(t, p.kubeconfig, nil, place.expose()...).wants(t, 1, object)
			again := newProxy(t, nil)
			r := grpcmesh(t, again.kubeconfig, nil, place.expose()...)
			r.wants(t, 0)
			if n := again.count(func(c *call) bool { return c.is(http.MethodPatch, resource) }); n > 0 || !strings.Contains(r.stdout, "unchanged "+object) {
				t.Errorf("it wrote %s again: %s", object, r)
			}
		})
	}
}

// faults: 19
//
// Two runs that have both planned before either writes: of one intent, both
// succeed and one restarts; of different ones, one ends with 5.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hosts [2]string
		codes int // of both
	}{"one intent": {[2]string{"a.", "a."}, 0}, "different ones": {[2]string{"a.", "b."}, 5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			var both sync.WaitGroup
			both.Add(2)
			at := func() func(*call) fault {
				first := true
				return func(c *call) fault {
					if first && c.writes() {
						first = false
						both.Done()
						both.Wait()
					}
					return nil
				}
			}
			var runs [2]ran
			var proxies [2]*proxy
			var ended sync.WaitGroup
			for i := range runs {
				proxies[i] = newProxy(t, at())
				ended.Go(func() {
					runs[i] = grpcmesh(t, proxies[i].kubeconfig, nil, place.expose("--host", tc.hosts[i]+place.host)...)
				})
			}
			ended.Wait()
			restarts := 0
			for _, p := range proxies {
				for _, w := range p.committed() {
					if strings.HasSuffix(w, "/deployments/app") {
						restarts++
					}
				}
			}
			if runs[0].code+runs[1].code != tc.codes || runs[0].code*runs[1].code != 0 || restarts != 1 {
				t.Errorf("%d restarts\n%s\n%s", restarts, runs[0], runs[1])
			}
		})
	}
}

// faults: 36
//
// kubectl's mark of a restart has seconds: a second restart in one second is no
// error, and starts no second rollout.
func TestRestartTwiceInASecond(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	cfg := labConfig(t)
	over, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	core, err := typed.NewCore(cfg, over)
	if err != nil {
		t.Fatal(err)
	}
	cluster := &k8s.Cluster{Core: core}
	generations := []int64{}
	now := time.Now()
	restart := func() error {
		all, err := cluster.Workloads(t.Context(), place.ns)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		return cluster.Restart(t.Context(), all[0], now)
	}
	for i := range 3 {
		if i > 0 {
			err := restart()
			for range 20 { // its controller may write the status in between
				if !errors.As(err, new(*plan.ConflictError)) {
					break
				}
				err = restart()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		app, err := place.core.AppsV1().Deployments(place.ns).Get(t.Context(), "app", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		generations = append(generations, app.Generation)
	}
	if generations[1] == generations[0] || generations[2] != generations[1] {
		t.Errorf("generations of the Deployment: %v", generations)
	}
}
