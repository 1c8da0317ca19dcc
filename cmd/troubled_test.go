package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"grpcmesh/internal/k8s"
)

// TestBecause: the pods' trouble comes before what it led to, and takes nothing
// else's place.
func TestBecause(t *testing.T) {
	w := k8s.Workload{Kind: "Deployment", Name: "bad"}
	trouble := &k8s.NotReadyError{Subject: "Deployment/bad", Cause: "pod bad-1: CrashLoopBackOff"}
	route := &k8s.NotReadyError{Subject: "the route", Cause: "no ready endpoint"}
	if got := because(route, trouble, w).Error(); !strings.HasPrefix(got, trouble.Error()) || !strings.HasSuffix(got, route.Error()) {
		t.Errorf("%s", got)
	}
	if got := because(route, nil, w); !errors.Is(got, route) || errors.Is(got, trouble) {
		t.Errorf("%v", got)
	}
	if got := because(context.Canceled, trouble, w); !errors.Is(got, context.Canceled) || errors.Is(got, trouble) {
		t.Errorf("of an interrupted run: %v", got)
	}
}
