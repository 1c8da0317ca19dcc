package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// proxy stands between grpcmesh and the lab's API server. It hands calls on with
// the lab's own credentials, notes them, and does to each what the fault says.
type proxy struct {
	server     *httptest.Server
	kubeconfig string
	fault      func(*call) fault // nil, or a nil fault: handed on

	mu    sync.Mutex
	calls []*call
}

// call is one request that reached the proxy.
type call struct {
	n        int // from 1
	verb     string
	path     string
	dry      bool
	watch    bool
	answered int // the status that grpcmesh was given; 0: none
	took     int // the status that the API server gave; 0: not asked
	at       time.Time
	accept   string // the first form of the answer that is asked for
}

func (c *call) String() string {
	dry := ""
	if c.dry {
		dry = " (dry run)"
	}
	return fmt.Sprintf("%d: %s %s%s", c.n, c.verb, c.path, dry)
}

// is says whether it is this kind of call to objects of a resource: for
// instance of PATCH to services, which a dry run is not.
func (c *call) is(verb, resource string) bool {
	return c.verb == verb && !c.dry && slices.Contains(strings.Split(c.path, "/"), resource)
}

// writes says whether it asks for something to be persisted.
func (c *call) writes() bool {
	return c.verb != http.MethodGet && !c.dry && !strings.Contains(c.path, "subjectaccessreviews") && !strings.HasSuffix(c.path, "/portforward")
}

// what is the write without what differs from run to run.
func (c *call) what() string { return c.verb + " " + c.path }

// fault answers a call in the API server's place; forward asks that one.
type fault func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// newProxy starts a proxy before the lab's API server.
func newProxy(t *testing.T, does func(*call) fault) *proxy {
	t.Helper()
	p := &proxy{fault: does}
	upstream := labConfig(t)
	upstream.NextProtos = []string{"http/1.1"} // or an upgrade could not be handed on
	transport, err := rest.TransportFor(upstream)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(upstream.Host)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Authorization") },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.EnableHTTP2 = true
	p.server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	p.server.StartTLS()
	t.Cleanup(func() { _ = p.server.Config.Close() }) // the patient Close would wait for watches
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	p.kubeconfig = writeKubeconfig(t, p.server.URL, ca, "token: taken-away-by-the-proxy")
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	c := &call{verb: r.Method, path: r.URL.Path, dry: r.URL.Query().Has("dryRun"), watch: r.URL.Query().Has("watch"), at: time.Now(), accept: strings.Split(r.Header.Get("Accept"), ",")[0]}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	c.n = len(p.calls)
	p.mu.Unlock()
	note := func(field *int) func(int) {
		return func(status int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			*field = status
		}
	}
	asked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward.ServeHTTP(noted{w, note(&c.took)}, r)
	})
	does := fault(nil)
	if p.fault != nil {
		does = p.fault(c)
	}
	if does == nil {
		asked.ServeHTTP(noted{w, note(&c.answered)}, r)
		return
	}
	does(noted{w, note(&c.answered)}, r, asked)
}

// noted tells of the status that goes through it.
type noted struct {
	http.ResponseWriter
	status func(int)
}

func (n noted) WriteHeader(status int) {
	n.status(status)
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush and hijack.
func (n noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// seen are the calls so far.
func (p *proxy) seen() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var calls []call
	for _, c := range p.calls {
		calls = append(calls, *c)
	}
	return calls
}

// count is how many calls there were of a kind.
func (p *proxy) count(is func(*call) bool) int {
	n := 0
	for _, c := range p.seen() {
		if is(&c) {
			n++
		}
	}
	return n
}

// committed are the writes that the API server took, in order.
func (p *proxy) committed() []string {
	var all []string
	for _, c := range p.seen() {
		if c.writes() && c.took >= 200 && c.took < 300 {
			all = append(all, c.what())
		}
	}
	return all
}

// die closes the server and every connection to it.
func (p *proxy) die() { _ = p.server.Config.Close() }

// cutAfter asks the API server and loses its answer.
func cutAfter(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// hold gives no answer for as long as the client waits for one.
func hold(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // or the server never learns that the client has gone
	<-r.Context().Done()
}

// answer answers with a status as the API server words it.
func answer(code int, reason metav1.StatusReason, message string, headers ...string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
	}
}

func labConfig(t *testing.T) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", root(".lab/kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	return cfg
}

// writeKubeconfig writes one of a single cluster and user; ca may be nil, and
// user is the user's own part of it.
func writeKubeconfig(t *testing.T, server string, ca []byte, user string) string {
	t.Helper()
	trust := ""
	if ca != nil {
		trust = ", certificate-authority-data: " + base64.StdEncoding.EncodeToString(ca)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: %q%s}}]
users: [{name: me, user: {%s}}]
`, server, trust, user)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ran is what came of one run of grpcmesh.
type ran struct {
	code           int // -1: killed
	stdout, stderr string
	took           time.Duration
}

func (r ran) String() string {
	return fmt.Sprintf("exit code %d after %.1f s\n%s%s", r.code, r.took.Seconds(), r.stdout, r.stderr)
}

// grpcmesh runs the built binary with a kubeconfig. begun may be nil; else it is
// given the process once it runs.
func grpcmesh(t *testing.T, kubeconfig string, begun func(*os.Process), args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, root("bin/grpcmesh"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if begun != nil {
		begun(cmd.Process)
	}
	err := cmd.Wait()
	r := ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
	if ctx.Err() != nil {
		t.Fatalf("grpcmesh %s did not end: %s", strings.Join(args, " "), r)
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return r
}

// wants fails the test where a run did not end as it should: with the code, and
// with words on stderr that hold each of the parts.
func (r ran) wants(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, part := range parts {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("stderr lacks %q", part)
		}
	}
	if t.Failed() {
		t.Fatalf("it was: %s", r)
	}
}
