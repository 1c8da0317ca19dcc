package cmd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// exitRow is one way in which a run ends.
type exitRow struct {
	name string
	err  error
	want int
}

// exitRows is the whole table, in its own order: an earlier row wins over a
// later one with another code.
func exitRows() []exitRow {
	pods := schema.GroupResource{Resource: "pods"}
	return []exitRow{
		{"SIGINT", SignalError{syscall.SIGINT}, 130},
		{"SIGTERM", SignalError{syscall.SIGTERM}, 143},
		{"usage", usageError{errors.New("unknown flag: --frob")}, 2},
		{"invalid", &manifest.InvalidError{Field: "--port", Value: "0", Reason: "is no port"}, 2},
		{"target", &manifest.TargetError{What: "2 workloads fit"}, 2},
		{"401", apierrors.NewUnauthorized("who are you"), 6},
		{"403", apierrors.NewForbidden(pods, "", errors.New("no")), 6},
		{"denied beforehand", &k8s.DeniedError{Purpose: "expose"}, 6},
		{"conflict", &plan.ConflictError{Reason: "it is someone else's"}, 5},
		{"not ready", &k8s.NotReadyError{Subject: "Deployment/server", Cause: "slow"}, 3},
		{"FAIL", verdictError{exitNo}, 3},
		{"INCONCLUSIVE", verdictError{exitInconclusive}, 4},
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	rows := append(exitRows(),
		exitRow{"none", nil, 0},
		exitRow{"any other", errors.New("disk full"), 1},
		exitRow{"no kubeconfig", &k8s.NoConfigError{Reason: "no kubeconfig"}, 1},
		exitRow{"404", apierrors.NewNotFound(pods, "p"), 1},
		exitRow{"500", apierrors.NewInternalError(errors.New("oops")), 1},
		exitRow{"a denial behind another", errors.Join(apierrors.NewNotFound(pods, "p"), apierrors.NewForbidden(pods, "q", errors.New("no"))), 6},
		exitRow{"diff: it differs", diffError{verdictError{exitDiffers}}, 1},
		exitRow{"diff: an error", diffError{errors.New("disk full")}, 2},
		exitRow{"diff: denied", diffError{apierrors.NewForbidden(pods, "p", errors.New("no"))}, 6},
		exitRow{"a bad file", &manifest.FileError{File: "f", Document: 1, Err: errors.New("no")}, 2},
		exitRow{"deadline", context.DeadlineExceeded, 1},
	)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := ExitCode(row.err); got != row.want {
				t.Errorf("ExitCode(%v) = %d, want %d", row.err, got, row.want)
			}
			if row.err == nil {
				return
			}
			wrapped := fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", row.err))
			if got := ExitCode(wrapped); got != row.want {
				t.Errorf("wrapped twice by %%w: %d, want %d", got, row.want)
			}
			for _, joined := range []error{
				errors.Join(row.err, errors.New("disk full")),
				errors.Join(errors.New("disk full"), row.err),
				fmt.Errorf("all of: %w", errors.Join(errors.New("disk full"), wrapped)),
			} {
				if got := ExitCode(joined); got != row.want {
					t.Errorf("ExitCode(%q) = %d, want %d", joined, got, row.want)
				}
			}
		})
	}
}

// Of two errors the earlier row of the table decides, whichever comes first in
// the chain and however they are put together.
func TestExitCodeFirstMatchWins(t *testing.T) {
	t.Parallel()
	rows := exitRows()
	for i, first := range rows {
		for _, second := range rows[i+1:] {
			if first.want == second.want || first.want > 128 && second.want > 128 || bothVerdicts(first.err, second.err) {
				continue
			}
			for _, err := range []error{
				errors.Join(first.err, second.err),
				errors.Join(second.err, first.err),
				fmt.Errorf("%w, then %w", second.err, fmt.Errorf("%w", first.err)),
			} {
				if got := ExitCode(err); got != first.want {
					t.Errorf("%s and %s: ExitCode(%q) = %d, want %d", first.name, second.name, err, got, first.want)
				}
			}
		}
	}
}

// bothVerdicts: a run has one verdict only.
func bothVerdicts(a, b error) bool {
	return errors.As(a, new(verdictError)) && errors.As(b, new(verdictError))
}

func TestEnded(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection broken")
	bySignal, cancel := context.WithCancelCause(t.Context())
	cancel(SignalError{syscall.SIGTERM})
	below, cancelBelow := context.WithCancel(bySignal)
	defer cancelBelow()
	byOther, cancelOther := context.WithCancelCause(t.Context())
	cancelOther(errors.New("no more need"))
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"a signal's end decides", bySignal, broken, 143},
		{"and of contexts below it", below, broken, 143},
		{"even over a denial", bySignal, apierrors.NewUnauthorized(""), 143},
		{"a run that was done all the same stays done", bySignal, nil, 0},
		{"another cause changes nothing", byOther, broken, 1},
		{"a live context changes nothing", t.Context(), &plan.ConflictError{}, 5},
	} {
		if got := ExitCode(ended(c.ctx, c.err)); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
}
