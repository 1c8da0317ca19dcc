package cmd

import (
	"errors"
	"strings"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// findingsIn takes an error, or what several were joined to, apart: the
// findings that it tells of, and whatever else went wrong.
func findingsIn(err error) (found []finding.Finding, rest []error) {
	if f, ok := findingOf(err); ok {
		return []finding.Finding{f}, nil
	}
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
		return nil, nil
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			f, r := findingsIn(err)
			found, rest = append(found, f...), append(rest, r...)
		}
		return found, rest
	case interface{ Unwrap() error }:
		if found, rest = findingsIn(e.Unwrap()); len(found) > 0 {
			return found, rest
		}
	}
	return nil, []error{err}
}

// ofEach replaces each error of those that one was joined of, or that one.
func ofEach(err error, by func(error) error) error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return by(err)
	}
	var errs []error
	for _, err := range all.Unwrap() {
		errs = append(errs, ofEach(err, by))
	}
	return errors.Join(errs...)
}

// findingOf is the one finding that an error is; ok is false where it carries no
// code.
func findingOf(err error) (f finding.Finding, ok bool) {
	defer func() { f.Next = strings.TrimPrefix(f.Next, "Nothing was written. ") }() // which goes for all of them
	switch e := err.(type) {                                                        //nolint:errorlint // the tree is findingsIn's
	case *k8s.NotReadyError:
		return finding.New(e.Code, e.Namespace, e.Subject, e.Cause, e.Hint), e.Code != ""
	case *plan.ConflictError:
		return finding.New(e.Code, e.ID.Namespace, e.ID.String(), e.Reason, e.Hint), e.Code != ""
	case *manifest.TargetError:
		lines := append([]string{e.What}, e.Candidates...)
		return finding.New(e.Code, "", "target", strings.Join(lines, "\n  "), e.Hint), e.Code != ""
	case *k8s.DeniedError:
		lines := []string{"it may not do what " + e.Purpose + " needs:"}
		for _, p := range e.Missing {
			lines = append(lines, p.String())
		}
		return finding.New(finding.Denied, "", "this user", strings.Join(lines, "\n  "), e.Hint), true
	}
	return finding.Finding{}, false
}
