package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/k8s"
)

// scale sets the number of the Deployment's pods.
func (p *place) scale(replicas int) {
	p.t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if _, err := p.core.AppsV1().Deployments(p.ns).Patch(p.t.Context(), "app", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// waits are the arguments of an expose that waits for the rollout.
func (p *place) waits(more ...string) []string {
	return append(p.expose(more...), "--wait=true")
}

// faults: 16
//
// A watch that is closed, that has expired, or that says nothing any more: the
// end of the rollout is found out all the same, and without a hot loop.
func TestBrokenWatch(t *testing.T) {
	t.Parallel()
	expired := answer(http.StatusGone, metav1.StatusReasonExpired, "too old resource version")
	for name, does := range map[string]fault{
		"closed": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusOK) },
		"410":    expired,
		"410 as an event": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = io.WriteString(w, `{"type":"ERROR","object":{"apiVersion":"v1","kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"too old resource version"}}`)
		},
		"silent": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			hold(w, r, next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			watched := make(chan struct{}, 1000)
			p := newProxy(t, func(c *call) fault {
				if !c.watch {
					return nil
				}
				watched <- struct{}{}
				return does
			})
			go func() {
				<-watched
				time.Sleep(2 * time.Second) // time enough for a hot loop to show
				place.scale(0)
			}()
			r := grpcmesh(t, p.kubeconfig, nil, place.waits()...)
			r.wants(t, 0, "has no replicas")
			asked := p.count(func(c *call) bool {
				return c.verb == http.MethodGet && (strings.HasSuffix(c.path, "/deployments") || strings.HasSuffix(c.path, "/deployments/app"))
			})
			if r.took > 40*time.Second || asked > 10+3*int(r.took.Seconds()) {
				t.Errorf("it asked for the Deployment %d times: %s", asked, r)
			}
		})
	}
}

// full leaves no room for one more pod.
func (p *place) full() {
	p.apply(fmt.Sprintf("{apiVersion: v1, kind: ResourceQuota, metadata: {name: full, namespace: %s}, spec: {hard: {pods: 1}}}", p.ns))
	p.until("the quota's count", func(ctx context.Context) bool {
		q, err := p.core.CoreV1().ResourceQuotas(p.ns).Get(ctx, "full", metav1.GetOptions{})
		return err == nil && len(q.Status.Used) > 0
	})
}

// faults: 18, 25
//
// That no pod can be made is told within 10 s, in the event's own words, also
// where the clocks of grpcmesh and of the cluster are an hour apart.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Hour, 0, time.Hour} {
		t.Run(fmt.Sprint("the cluster's is ahead by ", ahead), func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			restart := make(chan struct{})
			p := newProxy(t, func(c *call) fault {
				switch {
				case c.watch: // an answer that does not end can't be moved
					return answer(http.StatusForbidden, metav1.StatusReasonForbidden, "not to be watched")
				case c.is(http.MethodPatch, "deployments"): // after the rehearsal
					return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
						place.full()
						close(restart)
						shifted(ahead)(w, r, forward)
					}
				}
				return shifted(ahead)
			})
			grpcmesh(t, p.kubeconfig, func(running *os.Process) {
				<-restart
				time.AfterFunc(10*time.Second, func() { _ = running.Signal(syscall.SIGINT) })
			}, place.waits()...).wants(t, 130, "no pod can be made: ", "exceeded quota: full")
		})
	}
}

var timestamp = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)

// shifted hands a call on, and moves every time in the answer.
func shifted(by time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		r.Header.Set("Accept", "application/json") // in which times can be told
		rec := httptest.NewRecorder()
		forward.ServeHTTP(rec, r)
		body := timestamp.ReplaceAllFunc(rec.Body.Bytes(), func(was []byte) []byte {
			at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(was))
			if err != nil {
				return was
			}
			return []byte(at.Add(by).Format(`"2006-01-02T15:04:05.000000Z"`))
		})
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.Header().Del("Content-Length")
		w.Header().Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		w.WriteHeader(rec.Code)
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
}

// faults: 15
//
// One SIGINT, wherever it comes: the run ends with 130 within a second, and
// writes nothing more.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(*call) bool{
		"in the preflight":        func(c *call) bool { return strings.HasSuffix(c.path, "/pods") && c.dry },
		"between the writes":      func(c *call) bool { return c.is(http.MethodPatch, "gateways") },
		"in the wait":             func(c *call) bool { return c.watch },
		"while it is asked again": func(c *call) bool { return c.is(http.MethodPatch, "services") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			reached := make(chan struct{}, 1000)
			p := newProxy(t, func(c *call) fault {
				if !at(c) {
					return nil
				}
				reached <- struct{}{}
				if strings.Contains(name, "again") {
					return answer(http.StatusServiceUnavailable, "", "busy")
				}
				return hold
			})
			var sent time.Time
			r := grpcmesh(t, p.kubeconfig, func(running *os.Process) {
				<-reached
				sent = time.Now()
				_ = running.Signal(syscall.SIGINT)
			}, place.waits()...)
			ended := time.Since(sent)
			r.wants(t, 130, "ended by interrupt; the same command completes what was begun")
			if ended > 2*time.Second {
				t.Errorf("it took %s to end", ended)
			}
			for _, c := range p.seen() {
				if c.writes() && c.at.After(sent.Add(time.Second)) {
					t.Errorf("after its end was asked for it wrote: %s", &c)
				}
			}
		})
	}
}

// faults: 34
//
// More pods that are asked for during the wait are waited for as well.
func TestScaledInTheWait(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	place.deploy("app", "", 1)
	var once sync.Once
	p := newProxy(t, func(c *call) fault {
		if c.watch {
			once.Do(func() { place.scale(3) })
		}
		return nil
	})
	grpcmesh(t, p.kubeconfig, nil, place.waits()...).wants(t, 0, "live       20 calls")
	for _, pod := range place.pods(t.Context(), "app") {
		if !k8s.HasSidecar(pod.Spec) || !k8s.Ready(&pod) {
			t.Errorf("pod %s is not ready with its sidecar", pod.Name)
		}
	}
}
