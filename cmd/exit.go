package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// SignalError is the cause of a context that a signal ended.
type SignalError struct{ Signal syscall.Signal }

// Error names the signal.
func (e SignalError) Error() string { return "ended by " + e.Signal.String() }

// usageError is a wrong flag or argument, as cobra tells it.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// verdictError ends a run whose verdict was no, or none; the report has been
// printed by then, so it has nothing to add.
type verdictError struct{ code int }

func (e verdictError) Error() string { return fmt.Sprintf("verdict: exit %d", e.code) }

// diffError is an error of diff, where the code 1 is taken for "it differs".
type diffError struct{ err error }

func (e diffError) Error() string { return e.err.Error() }
func (e diffError) Unwrap() error { return e.err }

// Exit codes, beside 128 and the signal's number where a signal ended the run.
const (
	exitYes          = 0 // done, or PASS
	exitError        = 1 // an error on the way: API server, file, address that can't be dialled
	exitUsage        = 2 // bad flag, name, port; a target that is missing or ambiguous
	exitNo           = 3 // preflight found an error, not ready in time, verdict FAIL
	exitInconclusive = 4 // verdict INCONCLUSIVE
	exitConflict     = 5 // an object or field that belongs to someone else
	exitDiffers      = 1 // of diff alone: expose would change something
	exitDenied       = 6 // the API server does not know the user, or does not allow it
)

// ExitCode is the one table from errors to exit codes; the first match wins.
func ExitCode(err error) int {
	is := func(target any) bool { return errors.As(err, target) }
	switch {
	case err == nil:
		return exitYes
	case is(new(diffError)):
		var d diffError
		errors.As(err, &d)
		if code := ExitCode(d.err); code != exitError || is(new(verdictError)) {
			return code
		}
		return exitUsage
	case is(new(SignalError)):
		var s SignalError
		errors.As(err, &s)
		return 128 + int(s.Signal)
	case is(new(usageError)), is(new(*manifest.FileError)), is(new(*manifest.InvalidError)), is(new(*manifest.TargetError)):
		return exitUsage
	case is(new(*k8s.DeniedError)), anyOf(err, apierrors.IsUnauthorized), anyOf(err, apierrors.IsForbidden):
		return exitDenied
	case is(new(*plan.ConflictError)):
		return exitConflict
	case is(new(*k8s.NotReadyError)):
		return exitNo
	case is(new(verdictError)):
		var v verdictError
		errors.As(err, &v)
		return v.code
	}
	return exitError
}

// anyOf says whether some error of a tree is of the kind: the API machinery's
// own tests look at the first API error alone, and several may be joined.
func anyOf(err error, is func(error) bool) bool {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
		return false
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return anyOf(err, is) })
	case interface{ Unwrap() error }:
		return is(err) || anyOf(e.Unwrap(), is)
	}
	return is(err)
}

// ended replaces what an ended context made of an error by why it ended.
func ended(ctx context.Context, err error) error {
	var s SignalError
	if err != nil && errors.As(context.Cause(ctx), &s) {
		return s
	}
	return err
}

// outOfTime says of a run that its own --timeout ended, instead of leaving it
// at "context deadline exceeded".
func outOfTime(ctx context.Context, err error, timeout time.Duration) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*k8s.NotReadyError)) {
		return fmt.Errorf("not done within --timeout %s; give it more, or find out what is slow: %w", timeout, err)
	}
	return err
}
