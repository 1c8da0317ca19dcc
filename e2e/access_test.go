package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// faults: 2
//
// An exec plug-in that isn't there, or that fails, is named; what one gives is
// never printed.
func TestExecPlugin(t *testing.T) {
	t.Parallel()
	lab := labConfig(t)
	script := func(text string) string {
		file := filepath.Join(t.TempDir(), "cloud-login")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	plugin := func(command string) string {
		return fmt.Sprintf("exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: %q}", command)
	}
	given := `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"secret-of-jane"}}'`
	for _, tc := range []struct {
		name, command string
		code          int
		says          string
	}{
		{"absent", "no-such-login", 1, "executable no-such-login not found"},
		{"denied", script("echo 'your session is over' >&2; " + given + "; exit 3"), 1, "cloud-login failed with exit code 3"},
		{"not known to the server", script(given), 6, "does not know this user"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := grpcmesh(t, writeKubeconfig(t, lab.Host, lab.CAData, plugin(tc.command)), nil, "expose", "-n", "default")
			r.wants(t, tc.code, tc.says)
			if strings.Contains(r.stdout+r.stderr, "secret-of-jane") {
				t.Errorf("the token is shown: %s", r)
			}
		})
	}
}

// faults: 3
//
// A user whom the API server does not know is told so after one call.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	lab := labConfig(t)
	grpcmesh(t, writeKubeconfig(t, lab.Host, lab.CAData, "token: stale"), nil, "expose", "-n", "default").
		wants(t, 6, "Unauthorized", "log in again")
	p := newProxy(t, func(*call) fault {
		return answer(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	})
	grpcmesh(t, p.kubeconfig, nil, "expose", "-n", "default").wants(t, 6)
	if n := len(p.seen()); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// faults: 4
//
// An API server that refuses, stays silent or has no address: each is told in
// its own words, in the time that --request-timeout gives.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	hole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	for server, words := range map[string]string{
		"https://127.0.0.1:1":             "connection refused",
		"https://" + hole.Addr().String(): "gave no answer in time",
		"https://nowhere.invalid:6443":    "lookup nowhere.invalid",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"expose", "unexpose", "status"} {
				r := grpcmesh(t, writeKubeconfig(t, server, nil, "token: x"), nil, verb, "-n", "default", "--request-timeout", "1s")
				r.wants(t, 1, words, strings.TrimPrefix(server, "https://"))
				if r.took > 6*time.Second || r.stdout != "" {
					t.Errorf("%s: %s", verb, r)
				}
			}
		})
	}
}

// faults: 5
//
// An API server with a certificate of another's authority is not spoken to.
func TestUntrustedServer(t *testing.T) {
	t.Parallel()
	p := newProxy(t, nil)
	lab := labConfig(t)
	for name, ca := range map[string][]byte{"the machine's authorities": nil, "another cluster's": lab.CAData} {
		r := grpcmesh(t, writeKubeconfig(t, p.server.URL, ca, "token: x"), nil, "expose", "-n", "default")
		if r.wants(t, 1, "certificate"); len(p.seen()) > 0 {
			t.Errorf("%s: it was asked: %s", name, r)
		}
	}
}

// faults: 8, 9
//
// Whatever call it is that the API server can't answer just now: it is made
// again after a while, the one that the server names if it names one.
func TestOverloadedServer(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]string{"a second is named": {"Retry-After", "1"}, "none is named": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			codes := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusInternalServerError}
			refused := map[string]*call{}
			var p *proxy
			p = newProxy(t, func(c *call) fault {
				p.mu.Lock()
				defer p.mu.Unlock()
				if strings.Contains(c.path, "subjectaccessreviews") { // many at once, and each to this path
					return nil
				}
				kind := fmt.Sprint(c.what(), c.dry)
				first := refused[kind]
				if first != nil && !first.at.IsZero() {
					if gap := c.at.Sub(first.at); headers != nil && gap < time.Second || gap < 40*time.Millisecond {
						t.Errorf("%s was made again after %s", c, gap)
					}
					first.at = time.Time{} // from here on it is another's turn
				}
				if first != nil || headers != nil && c.verb == http.MethodGet {
					return nil
				}
				refused[kind] = c
				return answer(codes[len(refused)%len(codes)], "", "busy", headers...)
			})
			r := grpcmesh(t, p.kubeconfig, nil, place.expose()...)
			r.wants(t, 0)
			if n := len(written(r.stdout)); n != 5 || len(p.committed()) != 5 || len(refused) < 10 {
				t.Errorf("%d calls were refused; it wrote %v: %s", len(refused), p.committed(), r)
			}
			if told := strings.Contains(r.stderr, "the API server answers 503: busy; asking again"); told != (headers == nil) {
				t.Errorf("it tells of its own patience: %v: %s", told, r)
			}
		})
	}
}

// faults: 17
//
// What goes on failing is asked for until the deadline, each time after a longer
// pause; then the server's own words are the error.
func TestEtcdTimesOut(t *testing.T) {
	t.Parallel()
	place := newPlace(t)
	p := newProxy(t, func(c *call) fault {
		if c.is(http.MethodPatch, "services") {
			return answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcdserver: request timed out")
		}
		return nil
	})
	r := grpcmesh(t, p.kubeconfig, nil, place.expose("--timeout", "5s")...)
	r.wants(t, 1, "the API server refused Service/app", "etcdserver: request timed out")
	n := p.count(func(c *call) bool { return c.is(http.MethodPatch, "services") })
	if n < 4 || n > 9 || r.took < 2*time.Second || r.took > 10*time.Second {
		t.Errorf("asked %d times: %s", n, r)
	}
	if got := strings.Join(written(r.stdout), " "); got != "Namespace/"+place.ns {
		t.Errorf("it tells that it wrote %s", got)
	}
}
