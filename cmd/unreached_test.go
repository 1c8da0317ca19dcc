package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/check"
)

// TestMayNotForward: what is missing is said once, not for each pod, with the
// ways that do without.
func TestMayNotForward(t *testing.T) {
	no := fmt.Errorf("pod: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "pods/portforward"}, "p", errors.New("x")))
	e := &check.Evidence{Expected: []check.Endpoint{{Namespace: "a"}, {Namespace: "a"}, {Namespace: "b"}}}
	err := (&run{}).mayNotForward(e, []error{no, no, nil})
	if err == nil || ExitCode(err) != exitDenied || strings.Count(err.Error(), "portforward") != 1 ||
		!strings.Contains(err.Error(), "docs/rbac.yaml") || !strings.Contains(err.Error(), "--backend-from") {
		t.Error(err)
	}
	if err := (&run{}).mayNotForward(e, []error{nil, nil, errors.New("other")}); err != nil {
		t.Error(err)
	}
}

// TestUnreached: an API server that is not there has a next step, and other
// errors none.
func TestUnreached(t *testing.T) {
	gone := fmt.Errorf("listing services: %w", &url.Error{Op: "Get", URL: "https://h", Err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}})
	if err := (&verifyOptions{}).unasked(gone); !errors.Is(err, gone) || !strings.Contains(err.Error(), "kubectl cluster-info") || !strings.Contains(err.Error(), "--backend-from") {
		t.Error(err)
	}
	other := errors.New("other")
	if err := (&verifyOptions{}).unasked(other); err.Error() != "other" {
		t.Error(err)
	}
}
