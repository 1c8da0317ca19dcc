package cmd

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"sigs.k8s.io/yaml"
)

// TestAction runs the shell of action.yml as GitHub's runner would: bash -e on
// a file, inputs in the environment.
func TestAction(t *testing.T) {
	b, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Runs struct {
			Using string
			Steps []struct {
				Shell, Run string
				Env        map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(b, &action); err != nil && !strings.Contains(err.Error(), "unknown field") {
		t.Fatal(err)
	}
	steps := action.Runs.Steps
	if action.Runs.Using != "composite" || len(steps) != 2 {
		t.Fatalf("%d steps, %s", len(steps), action.Runs.Using)
	}
	for _, s := range steps {
		if s.Shell != "bash" || strings.Contains(s.Run, "${{") {
			t.Errorf("a step's script takes text that the runner fills in: %s", s.Run)
		}
	}
	dir := t.TempDir()
	build(t, dir, steps[0].Run)

	grpcServer := grpc.NewServer()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = grpcServer.Serve(lis) }()
	defer grpcServer.Stop()
	summary := filepath.Join(dir, "summary.md")
	if err := os.WriteFile(summary, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "step.sh")
	if err := os.WriteFile(script, []byte(steps[1].Run), 0o600); err != nil {
		t.Fatal(err)
	}
	allow := "false"
	run := func(ctx context.Context, addr, args string) *exec.Cmd {
		c := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-eo", "pipefail", script)
		c.Dir = dir
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RUNNER_TEMP=" + dir, "GITHUB_STEP_SUMMARY=" + summary,
			"ADDR=" + addr, "ARGS=" + args, "JUNIT=verify.xml", "CONFIG=", "ALLOW=" + allow}
		return c
	}
	// No cluster: INCONCLUSIVE, and the summary and the report say so.
	out, err := run(t.Context(), lis.Addr().String(), "--authority\na.example.com\n").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInconclusive {
		t.Fatalf("%v: %s", err, out)
	}
	for file, want := range map[string]string{"summary.md": "INCONCLUSIVE", "verify.xml": "a.example.com"} {
		if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, %s", file, err, b)
		}
	}
	// What is given is never a command.
	if out, err = run(t.Context(), "$(touch made)", "`touch made`\n$(touch made)").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("an input was run")
	}
	cancelled(t, run, 130)
	// INCONCLUSIVE may pass, and nothing else; a signal reaches grpcmesh all the same.
	allow = "true"
	if out, err = run(t.Context(), lis.Addr().String(), "--authority\na.example.com\n").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = run(t.Context(), "nonsense", "").CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("%v: %s", err, out)
	}
	cancelled(t, run, 143)
}

// build runs the first step in the repository, as the action's own folder.
func build(t *testing.T, dir, script string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", script)
	c.Dir = ".."
	c.Env = append(os.Environ(), "RUNNER_TEMP="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// cancelled: a signal to the step's process reaches grpcmesh itself.
func cancelled(t *testing.T, run func(ctx context.Context, addr, args string) *exec.Cmd, code int) {
	t.Helper()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	c := run(t.Context(), silent.Addr().String(), "")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Accept(); err != nil { // it dials: so it has begun
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Errorf("after SIGINT: %v", err)
		}
	case <-time.After(20 * time.Second):
		_ = c.Process.Kill()
		t.Error("SIGINT did not end it")
	}
}
