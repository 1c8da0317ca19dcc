package cmd

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// TestMoreAsked: the flag that keeps another's route from being used is named, with
// what the route has.
func TestMoreAsked(t *testing.T) {
	n := 2
	vs := virtualService(t, "test", "theirs", "http: [{timeout: 10s, route: [{destination: {host: server}}]}]")
	asked, has := moreAsked(manifest.Route{Timeout: 3 * time.Second, Retries: &n, MatchHeaders: map[string]string{"u": "a"}}, vs)
	if asked != "--timeout-per-call 3s and --retries 2 and --match-header u=a" || has != "timeout 10s and no retries of its own and no match on u alone" {
		t.Errorf("%q, %q", asked, has)
	}
}

// TestBesideTheirs: a route of someone else's that --adopt is not for says so.
func TestBesideTheirs(t *testing.T) {
	x := exposing()
	x.exposure.WorkloadName, x.o.adopt = "server", true
	clash := &plan.ConflictError{Code: finding.RouteClash, ID: manifest.ID{Kind: "VirtualService", Namespace: "test", Name: "theirs"}, Hint: "Expose elsewhere."}
	if err := x.besideTheirs(x.routes, clash); err == nil || !strings.Contains(err.Error(), "--adopt does not help here") || !strings.Contains(err.Error(), "VirtualService/server") {
		t.Errorf("%v", err)
	}
}

// TestOrAdopt: --adopt is offered for another's Service where it works.
func TestOrAdopt(t *testing.T) {
	x, svc := exposing(), corev1.Service{}
	if got := x.orAdopt(svc); !strings.HasSuffix(got, ": --adopt") {
		t.Errorf("%q", got)
	}
	if svc.Spec.ClusterIP = corev1.ClusterIPNone; x.orAdopt(svc) != "" {
		t.Error("a headless Service is never adopted")
	}
	if x.o.adopt = true; !strings.Contains(x.orAdopt(svc), "does not help") {
		t.Errorf("%q", x.orAdopt(svc))
	}
}

// TestNoFileNames: what is no file's name is not completed by one.
func TestNoFileNames(t *testing.T) {
	c := newExpose(IO{}, &k8s.Flags{})
	complete(c, &k8s.Flags{})
	for _, name := range []string{"canary", "revision", "tls-secret", "selector", "host"} {
		with, ok := c.GetFlagCompletionFunc(name)
		if !ok {
			t.Errorf("--%s offers names of files", name)
			continue
		}
		if got, how := with(c, nil, ""); len(got) > 0 || how != cobra.ShellCompDirectiveNoFileComp {
			t.Errorf("--%s: %v, %v", name, got, how)
		}
	}
	if err := chosen("--dry-run", "client", []string{"none", "server"}); !strings.Contains(err.Error(), "must be one of: none, server") {
		t.Error(err)
	}
	if got := []string{oneOrMore(1, "keeps", "keep"), oneOrMore(2, "keeps", "keep")}; !slices.Equal(got, []string{"keeps", "keep"}) {
		t.Error(got)
	}
}
