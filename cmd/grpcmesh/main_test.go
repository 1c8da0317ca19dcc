package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"grpcmesh/cmd"
)

// asProgram makes the test binary be grpcmesh itself.
const asProgram = "GRPCMESH_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	m.Run()
}

// TestSignals: a run that a signal ends is over at once, with the code that
// shells give it, also where the API server doesn't answer.
func TestSignals(t *testing.T) {
	t.Parallel()
	for sig, code := range map[syscall.Signal]int{syscall.SIGHUP: 129, syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = lis.Close() }()
			config := filepath.Join(t.TempDir(), "config")
			text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'http://%s'}}]\n", lis.Addr())
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var out, words bytes.Buffer
			run := exec.Command(self, "expose", "-n", "test", "--kubeconfig", config)
			run.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
			run.Stdout, run.Stderr = &out, &words
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			stop := time.AfterFunc(time.Minute, func() { _ = run.Process.Kill() })
			defer stop.Stop()
			conn, err := lis.Accept() // now it waits for an answer
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			if err := run.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			err = run.Wait()
			took := time.Since(sent)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != code {
				t.Errorf("it ended with %v, want exit code %d\n%s", err, code, &words)
			}
			if took > 5*time.Second { // 1 s on a machine of its own; this one is shared
				t.Errorf("it took %s to end", took)
			}
			if !strings.Contains(words.String(), "ended by "+sig.String()) || out.Len() > 0 {
				t.Errorf("stdout %q, stderr %q; want only the signal named, on stderr", &out, &words)
			}
		})
	}
}

// TestImpatient: signals that come together are one request, which leaves time
// for cleaning up; one that comes later ends the run, and what is left is named.
func TestImpatient(t *testing.T) {
	for _, tc := range []struct {
		name     string
		returned bool
		want     string
	}{
		{"a probe route is out", false, "grpcmesh: ended at once by a second signal (hangup)\nVirtualService a/b may be left\n"},
		{"it was removed", true, "grpcmesh: ended at once by a second signal (hangup)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var words bytes.Buffer
				streams := cmd.IO{Err: &words, Lent: &cmd.Lent{}}
				streams.Lent.Add("VirtualService a/b may be left")
				ctx, cancel := context.WithCancelCause(t.Context())
				signals := make(chan os.Signal, 2)
				ended := make(chan error, 1)
				go func() { ended <- impatient(signals, cancel, streams) }()
				for range 3 {
					signals <- syscall.SIGTERM
					time.Sleep(2 * time.Millisecond)
				}
				synctest.Wait()
				if cause := context.Cause(ctx); cmd.ExitCode(cause) != 143 || len(ended) > 0 {
					t.Errorf("the context ended by %v, and the process too: %v; want 143 and time left", cause, len(ended) > 0)
				}
				if tc.returned {
					streams.Lent.Returned("VirtualService a/b may be left")
				}
				time.Sleep(again)
				signals <- syscall.SIGHUP
				if err := <-ended; cmd.ExitCode(err) != 129 || words.String() != tc.want {
					t.Errorf("%v, stderr %q; want 129 and %q", err, &words, tc.want)
				}
			})
		})
	}
}
