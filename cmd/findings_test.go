package cmd

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

func TestFindingsIn(t *testing.T) {
	t.Parallel()
	other := errors.New("the API server hung up")
	err := fmt.Errorf("test/server: %w", errors.Join(
		&k8s.NotReadyError{Code: finding.Paused, Namespace: "test", Subject: "Deployment/server", Cause: "it is paused", Hint: "Resume it."},
		other,
		fmt.Errorf("planning: %w", &plan.ConflictError{Code: finding.NotOurs, ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Reason: "it exists"}),
		noPortError{&manifest.TargetError{Code: finding.WhichPort, What: "which?", Candidates: []string{"--target-port 1", "--target-port 2"}}},
		&k8s.DeniedError{Purpose: "expose", Missing: []k8s.Permission{{Verb: "list", Resource: "pods", Namespace: "test"}}},
		&k8s.NotReadyError{Subject: "Deployment/server", Cause: "it hangs"},
	))
	found, rest := findingsIn(err)
	want := []finding.Finding{
		{Code: "GM131", Severity: finding.Error, Namespace: "test", Object: "Deployment/server", Reason: "it is paused", Next: "Resume it."},
		{Code: "GM170", Severity: finding.Error, Namespace: "test", Object: "Service/server", Reason: "it exists"},
		{Code: "GM141", Severity: finding.Error, Object: "target", Reason: "which?\n  --target-port 1\n  --target-port 2"},
		{Code: "GM101", Severity: finding.Error, Object: "this user", Reason: "it may not do what expose needs:\n  list pods in namespace test"},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(rest) != 2 || !errors.Is(rest[0], other) {
		t.Errorf("the rest: %v", rest)
	}
	if found, rest := findingsIn(nil); found != nil || rest != nil {
		t.Errorf("of nothing: %v, %v", found, rest)
	}
}
