package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// preflight collects what is found wrong before the first write.
type preflight struct {
	found  []error
	broken bool // the cluster could not be asked: nothing more is
}

// passes says whether a step found nothing wrong.
func (p *preflight) passes(ctx context.Context, step func(context.Context) error) bool {
	if p.broken {
		return false
	}
	err := step(ctx)
	if err == nil {
		return true
	}
	p.found = append(p.found, err)
	_, rest := findingsIn(err)
	p.broken = slices.ContainsFunc(rest, func(err error) bool { return !errors.As(err, new(*manifest.InvalidError)) })
	return false
}

func (p *preflight) err() error { return errors.Join(p.found...) }

// refusedError is all that stopped a run before its first write.
type refusedError struct {
	findings []finding.Finding // warnings too; sorted
	errs     []error
}

// Error is the one error as it is, or the list of all findings, and whatever
// else went wrong.
func (e *refusedError) Error() string {
	if len(e.findings) == 1 && len(e.errs) == 1 || len(e.findings) == 0 {
		return errors.Join(e.errs...).Error()
	}
	errs := 0
	for _, f := range e.findings {
		if f.Severity == finding.Error {
			errs++
		}
	}
	lines := []string{fmt.Sprintf("%s in the way; nothing was written. 'grpcmesh doctor --explain CODE' tells the whole story of one.", plural(errs, "thing"))}
	for _, f := range e.findings {
		lines = append(lines, f.Text())
	}
	if _, rest := findingsIn(errors.Join(e.errs...)); len(rest) > 0 {
		lines = append(lines, errors.Join(rest...).Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives what the exit code goes by.
func (e *refusedError) Unwrap() []error { return e.errs }

// refuse makes one error of all that the preflight found, and in JSON and YAML
// prints the reports of what was looked at.
func (o *exposeOptions) refuse(all batch, errs []error) error {
	var findings []finding.Finding
	for i, x := range all {
		found, _ := findingsIn(errs[i])
		for j := range found {
			if len(all) > 1 && found[j].Namespace == "" && found[j].Object == "target" {
				found[j].Namespace, found[j].Object = x.intent.Namespace, x.intent.Workload
			}
		}
		found = append(found, x.findings...)
		findings = append(findings, found...)
		x.doc = x.refusal(finding.Sort(found), errs[i])
	}
	e := &refusedError{findings: finding.Sort(findings)}
	for i, err := range errs {
		switch {
		case err != nil && len(all) > 1:
			e.errs = append(e.errs, fmt.Errorf("%s/%s: %w", all[i].intent.Namespace, all[i].intent.Workload, err))
		case err != nil:
			e.errs = append(e.errs, err)
		}
	}
	if len(findings) == 0 || o.output != "json" && o.output != "yaml" {
		return e
	}
	return errors.Join(e, o.print(all))
}

// refusal is the report of an exposure that never began.
func (x *exposer) refusal(found []finding.Finding, err error) *report.Expose {
	doc := &report.Expose{APIVersion: report.APIVersion, Kind: "ExposeReport", Namespace: x.intent.Namespace, Workload: x.intent.Workload,
		Host: x.intent.Host, Changes: []report.Change{}, Warnings: x.warnings, Findings: found}
	if x.workload.Name != "" {
		doc.Workload = x.workload.String()
	}
	if x.o.dryRun != "none" {
		doc.DryRun = x.o.dryRun
	}
	if err != nil {
		doc.Error = err.Error()
	}
	return doc
}

// unplanned is what keeps a plan from being made where the server's dry run
// refused some objects: all their findings, and the others', that a plan would
// tell. Of what is no finding, such as a server that hangs up, the first will do.
func unplanned(steps []plan.Step, refused []error) error {
	var findings, rest []error
	var taken []plan.Step
	for i, err := range refused {
		if err == nil {
			taken = append(taken, steps[i])
		} else if _, more := findingsIn(err); len(more) > 0 {
			rest = append(rest, err)
		} else {
			findings = append(findings, err)
		}
	}
	if len(rest) > 0 {
		return errors.Join(append(findings, rest[0])...)
	}
	_, err := plan.Build(taken)
	return errors.Join(append(findings, err)...)
}

// unwritten tells of all that a plan met, as refuse does of what was met before
// it; the warnings are told by then.
func (o *exposeOptions) unwritten(xs batch, err error) error {
	found, _ := findingsIn(err)
	if len(found) == 0 {
		return err
	}
	if len(xs) == 1 && (o.output == "json" || o.output == "yaml") {
		return o.refuse(xs, []error{err})
	}
	return &refusedError{findings: finding.Sort(found), errs: []error{err}}
}
