package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// findRisks looks at what a restart would take away. Where it is too much,
// --yes goes on, or who is asked at a terminal; where no one can be asked that
// is a refusal. A dry run is told.
func (x *exposer) findRisks(ctx context.Context) error {
	if !x.due() {
		return nil
	}
	over, unchecked, err := overBudget(ctx, x.cluster, x.workload, x.others())
	if err != nil {
		return err
	}
	if x.over = over; unchecked != nil {
		x.found(*unchecked)
	}
	var refused []error
	for _, r := range x.risks() {
		switch {
		case x.o.dryRun != "none":
			r.Severity = finding.Warning
			x.found(r)
		case !x.o.yes && !atTerminal(x.o.IO):
			refused = append(refused, &k8s.NotReadyError{Code: r.Code, Namespace: r.Namespace, Subject: r.Object, Cause: r.Reason, Hint: "Nothing was written. " + r.Next})
		}
	}
	return errors.Join(refused...)
}

// others are the namespace's other workloads.
func (x *exposer) others() []k8s.Workload {
	return slices.DeleteFunc(slices.Clone(x.workloads), func(w k8s.Workload) bool { return w.UID == x.workload.UID })
}

// due says whether the pods are to be made anew, by a restart or by a label of
// their own.
func (x *exposer) due() bool { return x.lacking > 0 || len(x.exposure.PodLabel) > 0 && x.pods > 0 }

// overBudget is why a restart may take away more pods than a budget allows, or
// "". unchecked says that this user may not see the budgets.
func overBudget(ctx context.Context, cluster *k8s.Cluster, w k8s.Workload, others []k8s.Workload) (over string, unchecked *finding.Finding, err error) {
	budgets, err := cluster.Budgets(ctx, w.Namespace)
	if apierrors.IsForbidden(err) {
		f := finding.New(finding.Unchecked, w.Namespace, w.String(),
			"whether a PodDisruptionBudget allows its restart is unchecked: this user may not list poddisruptionbudgets.policy in namespace "+w.Namespace,
			"Ask for the permission (docs/rbac.yaml has it), or for their numbers: kubectl -n "+w.Namespace+" get poddisruptionbudgets")
		return "", &f, nil
	}
	return w.OverBudget(budgets, others), nil, err
}

// risks are why a restart would hurt the service, where one is due.
func (x *exposer) risks() []finding.Finding {
	if !x.due() || x.lacking > 0 && x.workload.OnDelete { // whose restart takes no pod away
		return nil
	}
	return risksOf(x.workload, x.over)
}

func risksOf(w k8s.Workload, over string) []finding.Finding {
	var found []finding.Finding
	if gap := w.Gap(); gap != "" {
		found = append(found, finding.New(finding.Gap, w.Namespace, w.String(), gap, "Go on with --yes."))
	}
	if over != "" {
		found = append(found, finding.New(finding.Budget, w.Namespace, w.String(), over, "Go on with --yes, or give its strategy a smaller maxUnavailable."))
	}
	return found
}

// tellWarnings prints what the preflight found and that stops nothing.
func (x *exposer) tellWarnings() {
	for _, f := range finding.Sort(x.findings) {
		x.say("warning    %s %s: %s", f.Code, f.Object, f.Reason)
	}
}

// found notes a warning of the preflight.
func (x *exposer) found(f finding.Finding) {
	if x.fromFile() {
		f.Reason, f.Next = inFile(f.Reason), inFile(f.Next)
	}
	x.findings = append(x.findings, f)
	x.warnings = append(x.warnings, fmt.Sprintf("%s: %s", f.Object, f.Reason))
}
