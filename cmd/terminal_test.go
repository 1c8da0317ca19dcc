package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/manifest"
)

// runIn runs the command line in this process.
func runIn(t *testing.T, args ...string) (code int, out, words string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Execute(t.Context(), args, IO{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func kubeconfigFor(t *testing.T, cluster string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n" +
		"users: [{name: u, user: {token: secret-of-jane}}]\nclusters: [{name: c, cluster: {" + cluster + "}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestServersCantDriveTheTerminal: what an API server, or a webhook behind
// it, says is untrusted.
func TestServersCantDriveTheTerminal(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := apierrors.NewBadRequest("denied \x1b]52;c;eA==\a\r\u202e\u009b2J PASS").Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(status)
	}))
	defer srv.Close()
	code, out, words := runIn(t, "expose", "-n", "test", "--kubeconfig", kubeconfigFor(t, "server: '"+srv.URL+"'"))
	if code != exitError || out != "" {
		t.Errorf("exit code %d, stdout %q; want 1 and nothing", code, out)
	}
	for _, r := range words {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("%U reaches the terminal in %q", r, words)
		}
	}
	if !strings.Contains(words, `denied \x1b]52;c;eA==\x07\x0d\u202e\u009b2J PASS`) {
		t.Errorf("stderr %q; want the server's words, escaped", words)
	}
}

// TestUntrustedCertificate: an API server whose certificate isn't signed by
// the kubeconfig's CA is sent no request, and so no token.
func TestUntrustedCertificate(t *testing.T) {
	asked := make(chan string, 1)
	server := func() *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case asked <- r.URL.String():
			default:
			}
			w.WriteHeader(http.StatusUnauthorized)
		}))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the handshake that is refused
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv
	}
	srv := server()
	own := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(own, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, words := runIn(t, "expose", "-n", "test", "--kubeconfig", kubeconfigFor(t, "server: '"+srv.URL+"'"))
	if code != exitError || !strings.Contains(words, "certificate") || len(asked) > 0 {
		t.Errorf("not signed by any CA that is known: exit code %d, %d requests, stderr %q; want 1, none, and the certificate named", code, len(asked), words)
	}
	code, _, words = runIn(t, "expose", "-n", "test", "--kubeconfig", kubeconfigFor(t, "server: '"+srv.URL+"', certificate-authority: '"+own+"'"))
	if code != exitDenied || len(asked) != 1 || strings.Contains(words, "secret-of-jane") {
		t.Errorf("signed by the kubeconfig's CA: exit code %d, %d requests, stderr %q; want 6 and 1, and no token", code, len(asked), words)
	}
}

// TestExecPlugins: a credential plug-in that is missing, or that refuses, is
// named; what it printed is not a token to be shown.
func TestExecPlugins(t *testing.T) {
	asked := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusNotFound)
	}))
	defer srv.Close()
	for command, want := range map[string]string{
		"/nonexistent/kubelogin": "/nonexistent/kubelogin",
		"/bin/false":             "/bin/false",
	} {
		file := filepath.Join(t.TempDir(), "config")
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: '%s', insecure-skip-tls-verify: true}}]\n"+
			"users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %s, interactiveMode: Never}}}]\n", srv.URL, command)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, words := runIn(t, "expose", "-n", "test", "--kubeconfig", file)
		if code != exitError || !strings.Contains(words, want) || out != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want 1 and the plug-in named", command, code, out, words)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests went out without credentials", asked)
	}
}

// TestQuestionEndsWithTheRun: the question before a gap in service ends at the
// first Ctrl-C, and with --timeout; both write nothing. And it takes an answer.
func TestQuestionEndsWithTheRun(t *testing.T) {
	terminal := func() *os.File {
		f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	ask := func(ctx context.Context, in *os.File) error {
		x := exposing()
		x.o.In, x.o.timeout = in, time.Minute
		x.lacking, x.workload.Recreate = 1, true
		return x.o.consent(ctx, x)
	}
	interrupted, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(SignalError{syscall.SIGINT}) })
	if err := ask(interrupted, terminal()); ExitCode(err) != 130 {
		t.Errorf("Ctrl-C: %v, exit code %d; want 130", err, ExitCode(err))
	}
	short, done := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer done()
	if err := ask(short, terminal()); ExitCode(err) != exitNo || !strings.Contains(err.Error(), "not confirmed within --timeout 1m0s\nNothing was written.") {
		t.Errorf("no answer in time: %v, exit code %d; want 3", err, ExitCode(err))
	}
	for answer, want := range map[string]int{"y": exitYes, "YES": exitYes, "n": exitNo, "": exitNo, "yesterday": exitNo} {
		in := terminal()
		if _, err := in.WriteString(answer + "\n"); err != nil { // its echo is what is read
			t.Fatal(err)
		}
		if err := ask(t.Context(), in); ExitCode(err) != want {
			t.Errorf("%q: %v, exit code %d; want %d", answer, err, ExitCode(err), want)
		}
	}
}

func TestExplain(t *testing.T) {
	for name, tc := range map[string]struct {
		verb string
		err  error
		want string
	}{
		"usage":                {"expose", usageError{errUnderTest}, "boom\nSee 'grpcmesh --help', or 'grpcmesh COMMAND --help'."},
		"a target":             {"verify", &manifest.TargetError{What: "2 fit", Candidates: []string{"a"}, Hint: "Name one."}, "2 fit\n  a\nName one."},
		"any other":            {"expose", errUnderTest, "boom"},
		"expose by a signal":   {"expose", SignalError{2}, "ended by interrupt; the same command completes what was begun"},
		"unexpose by a signal": {"unexpose", SignalError{2}, "ended by interrupt; the same command completes what was begun"},
		"verify by a signal":   {"verify", SignalError{2}, "ended by interrupt"},
		"diff by a signal":     {"diff", diffError{SignalError{2}}, "ended by interrupt"},
	} {
		if got := explain(tc.verb, tc.err); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
