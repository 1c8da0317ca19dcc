package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// rollable refuses, before anything is written, a workload whose pods a restart
// would not replace. effect is what they then can't have happen to them, instead
// what to do in place of a restart.
func rollable(as called, w k8s.Workload, effect, instead string) error {
	refuse := func(code, cause, hint string) error {
		return &k8s.NotReadyError{Code: code, Namespace: w.Namespace, Subject: w.String(), Cause: cause, Hint: "Nothing was written. " + hint}
	}
	switch {
	case w.Paused:
		return refuse(finding.Paused, "its rollout is paused, so its pods can't "+effect,
			"Resume it first: "+as.kubectl("-n", w.Namespace, "rollout", "resume", "deployment/"+w.Name))
	case w.OnDelete:
		return refuse(finding.OnDelete, "its update strategy is OnDelete, so a restart replaces no pod",
			fmt.Sprintf("%s: %s\nOr change the strategy: %s", instead,
				as.kubectl("-n", w.Namespace, "delete", "pods", "-l", metav1.FormatLabelSelector(w.Selector)),
				as.kubectl("-n", w.Namespace, "patch", w.Arg(), "--type", "merge", "-p", `{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}`)))
	}
	return nil
}

// atTerminal says whether there is someone to ask.
func atTerminal(streams IO) bool {
	in, ok := streams.In.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(in.Fd()))
}

// confirm asks before a restart that would hurt the service. Where no one can
// answer, --yes must have. No risks, no question.
func confirm(ctx context.Context, streams IO, w k8s.Workload, risks []finding.Finding, timeout time.Duration) error {
	if len(risks) == 0 {
		return nil
	}
	var reasons []string
	for _, r := range risks {
		reasons = append(reasons, r.Reason)
	}
	gap := strings.Join(reasons, "; and ")
	refuse := func(cause, hint string) error {
		return &k8s.NotReadyError{Code: risks[0].Code, Namespace: w.Namespace, Subject: w.String(), Cause: cause, Hint: "Nothing was written." + hint}
	}
	if !atTerminal(streams) {
		return refuse(gap, " Go on with --yes.")
	}
	_, _ = fmt.Fprintf(streams.Err, "%s: %s. Go on? [y/N] ", w, gap)
	answered := make(chan string, 1)
	go func() { // a read knows no context; the process ends with the run
		answer := ""
		_, _ = fmt.Fscanln(streams.In, &answer) // what can't be read is no yes
		answered <- answer
	}()
	select {
	case answer := <-answered:
		if slices.Contains([]string{"y", "yes"}, strings.ToLower(answer)) {
			return nil
		}
		return refuse("not confirmed", "")
	case <-ctx.Done():
		_, _ = fmt.Fprintln(streams.Err)
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return refuse(fmt.Sprintf("not confirmed within --timeout %s", timeout), "")
		}
		return context.Cause(ctx)
	}
}
