package cmd

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// TestWhichWorkload: the command that is offered is the one that was given, for
// one workload; from a file it is the field to mend.
func TestWhichWorkload(t *testing.T) {
	all := []k8s.Workload{{Kind: "Deployment", Name: "v1"}, {Kind: "StatefulSet", Name: "v1"}}
	given := func(verb string, args ...string) string {
		root := newRoot(IO{Out: io.Discard, Err: io.Discard}, new(bool))
		c, rest, err := root.Find(append([]string{verb}, args...))
		if err != nil {
			t.Fatal(err)
		}
		x := exposing()
		x.intent.Workload, x.intent.Namespace = "v1", "test"
		x.o.files = nil
		if err := c.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Flags().GetStringArray("filename"); err == nil {
			x.o.files = n
		}
		if f := c.Flags().Lookup("retries"); f.Changed {
			n := 2
			x.o.intent.Route.Retries = &n
		}
		x.o.called, x.o.again = calledAs(c), x.o.givenAs(c)
		_, err = k8s.Choose(all, "test", "v1")
		var target *manifest.TargetError
		if !errors.As(x.whichWorkload(err), &target) {
			t.Fatal(err)
		}
		return target.Hint
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"expose", "-n", "test", "--host", "x.example.com", "--target-port", "39051", "--kubeconfig", "my file"},
			"Name one: grpcmesh expose deployment/v1 --host x.example.com --namespace test --target-port 39051 --kubeconfig 'my file'"},
		{[]string{"diff", "-l", "app=x", "--gateway-selector", "istio=gw", "--retries", "2"},
			"Name one: grpcmesh diff deployment/v1 --gateway-selector istio=gw --selector app=x --retries 2"},
		{[]string{"expose", "-f", "x.yaml"}, `Name one in the document of namespace test whose spec.workload is "v1": spec.workload: deployment/v1`},
	} {
		if got := given(tc.args[0], tc.args[1:]...); got != tc.want {
			t.Errorf("%q:\n%s\nwant\n%s", tc.args, got, tc.want)
		}
	}
}

// TestInFile: beside -f no advice names a flag that -f refuses.
func TestInFile(t *testing.T) {
	x := exposing()
	x.o.files = []string{"x.yaml"}
	wrong := noPortError{&manifest.TargetError{Code: finding.NoPort, What: "w", Hint: "Say which port the app listens on: --target-port", Candidates: []string{"--target-port 7000  (declared)"}}}
	not := &k8s.NotReadyError{Code: finding.NotGRPC, Cause: "port 7 (--target-port)", Hint: "Expose under a host of its own (--host NAME), by --match-service pkg.Service, or with --context other."}
	got := x.asGiven(errors.Join(wrong, not)).Error()
	for _, want := range []string{"listens on: spec.targetPort", "spec.targetPort: 7000  (declared)", "port 7 (spec.targetPort)", "(spec.host: NAME)", "spec.matchService: pkg.Service,", "--context other"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", got, want)
		}
	}
	x.o.files = nil
	if x.named("--port") != "--port" || x.asGiven(&manifest.TargetError{Hint: "--port"}).Error() != "\n--port" {
		t.Error("flags stay flags where they were given")
	}
}

// TestOnDelete: nobody is told to go on with a restart that replaces no pod; what
// does is a command.
func TestOnDelete(t *testing.T) {
	x := exposing()
	x.lacking, x.pods, x.workload.Kind, x.workload.OnDelete, x.workload.Replicas, x.workload.MaxUnavailable = 1, 1, "StatefulSet", true, 1, 1
	if got := x.risks(); len(got) > 0 {
		t.Errorf("risks %v, where the restart is refused anyway", got)
	}
	x.o.called.connection = []string{"--context", "c"}
	x.workload.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}}
	err := x.restartable(t.Context())
	for _, want := range []string{"kubectl -n test delete pods -l app=server --context c", `kubectl -n test patch statefulset/server --type merge -p '{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}' --context c`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	x.workload.OnDelete, x.workload.Paused = false, true
	if err := x.restartable(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "kubectl -n test rollout resume deployment/server --context c") {
		t.Errorf("paused: %v", err)
	}
}

// TestTellUnlabelled: of several documents the note is said once, in the file's words.
func TestTellUnlabelled(t *testing.T) {
	var said strings.Builder
	o := &exposeOptions{IO: IO{Out: io.Discard, Err: &said}, files: []string{"x"}, output: "name"}
	doc := manifest.Intent{Namespace: "a", Workload: "w", Port: 8000, TargetPort: 50051, Host: "*", PodLabels: map[string]string{"app": "w"}, GatewaySelector: map[string]string{"istio": "gw"}}
	second, third := doc, doc
	second.Workload, third.Namespace = "w2", "b"
	if err := o.render([]manifest.Intent{doc, second, third}); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); strings.Count(got, "note:") != 1 || !strings.Contains(got, "With spec.revision: REV it is") || !slices.Contains(strings.Fields(got), "b") || strings.Contains(got, "--revision") {
		t.Errorf("%s", got)
	}
}
