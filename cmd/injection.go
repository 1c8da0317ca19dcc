package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

func (x *exposer) findInjection(ctx context.Context) error {
	x.injection.Mode = cmp.Or(x.intent.Inject, manifest.InjectNamespace)
	decide := istio.DecideInjection
	switch x.intent.Inject {
	case manifest.InjectNone:
		x.leaveUninjected()
		return nil
	case manifest.InjectPod:
		decide = istio.DecidePodInjection
	}
	inj, err := decide(x.injectors, x.namespace, x.workload.String(), x.workload.Template, x.intent.Revision)
	if x.o.adopt && x.injection.Mode == manifest.InjectNamespace {
		if other, was, ok := istio.Replacement(err, x.injectors, x.namespace, x.workload.Template, x.intent.Revision); ok {
			x.o.say("           %s of the namespace is replaced, as --adopt says; unexpose gives it back", was)
			inj, err, x.exposure.Replace = other, nil, true
		}
	}
	if err != nil {
		return err
	}
	x.exposure.InjectLabel, x.exposure.PodLabel = inj.Set, inj.Pod
	x.injection.Label = inj.Label
	if inj.Pod != nil {
		if err := x.relabels(ctx); err != nil {
			return err
		}
	}
	rehearsed, err := x.rehearse(ctx, inj)
	if err != nil {
		return err
	}
	x.say("injection  %s (%s)", inj.Label, rehearsed)
	return nil
}

// findReach names whom the label will reach beside the workload. It is one for
// all of a namespace, and so told once; nothing new reaches the others where it
// is there already.
func (x *exposer) findReach(ctx context.Context) error {
	told := func(b *exposer) bool { return b.intent.Namespace == x.intent.Namespace }
	if x.exposure.InjectLabel == nil || slices.ContainsFunc(x.before, told) {
		return nil
	}
	runs, err := x.cluster.Runs(ctx, x.workload.Namespace)
	if err != nil {
		return err
	}
	others, jobs := touched(x.workloads, x.workload.UID), touched(runs, "")
	if x.injection.Touches = append(others, jobs...); len(others) > 0 {
		x.say("           the label will also reach, at their next restart: %s", strings.Join(others, ", "))
	}
	if len(jobs) > 0 {
		x.found(finding.New(finding.TouchesJobs, "", "Namespace/"+x.workload.Namespace,
			"the label will also reach the runs to come of "+strings.Join(jobs, ", ")+", which end only if the mesh's sidecar is a native one",
			"To leave them out, label their pod templates sidecar.istio.io/inject: \"false\"."))
	}
	return nil
}

// relabels looks at what a new template would take away, where no restart was
// due that was looked at already.
func (x *exposer) relabels(ctx context.Context) error {
	if x.lacking > 0 {
		return nil
	}
	if err := rollable(x.o.called, x.workload, "be given the sidecar", "Label its pod template and delete its pods yourself"); err != nil {
		return err
	}
	return x.findRisks(ctx)
}

// leaveUninjected sets no label, and says what that costs. Pods may have a
// sidecar all the same: what is there is not taken away.
func (x *exposer) leaveUninjected() {
	if label := istio.InjectedBy(x.injectors, x.namespace, x.workload.Template); label != "" {
		x.injection.Label = label
		x.say("injection  none asked for; pods of %s get their sidecar by %s, which is left as it is", x.workload, label)
		return
	}
	x.say("injection  none: the gateway balances calls over the pods as they are. Without sidecars the way from the\n" +
		"           gateway to the pods is plain text (no mTLS, not even under a STRICT policy), no policy of the mesh\n" +
		"           is enforced at the pods, and verify can tell them apart by its probe route only, not by counters")
}

// touched names those whose pods to come will have a sidecar if the namespace
// injects.
func touched(all []k8s.Workload, but types.UID) []string {
	var names []string
	for i := range all {
		w := &all[i]
		if code, _, _ := istio.PassesBy(w.Template); code == "" && w.UID != but {
			names = append(names, w.String())
		}
	}
	return names
}

// rehearse tries injection out before anything is written, and says in words
// what came of it. Where the label is there and every pod has its sidecar, they
// are the proof, and this run makes no pod: a rehearsal would only find out
// whether a quota has room for one that nobody wants. A label that is yet to be
// set decides on pods to come, and is rehearsed even where none lacks a sidecar
// today.
func (x *exposer) rehearse(ctx context.Context, inj istio.Injection) (string, error) {
	complete := x.pods > 0 && x.lacking == 0
	if complete && inj.Set == nil && inj.Pod == nil {
		return "every pod has its sidecar", nil
	}
	if x.pods == 0 && x.workload.Replicas == 0 {
		// No pod is to be made, so of many such one stands for all.
		key := fmt.Sprint(x.workload.Namespace, inj, x.workload.Template.Labels["sidecar.istio.io/inject"])
		like, err := k8s.Recall(x.cluster, "Rehearsal", key, func() (string, error) {
			notYet, err := x.mesh.Rehearse(ctx, x.injectors, x.namespace, x.workload, inj, true)
			if notYet != "" && err == nil {
				err = errors.New(notYet)
			}
			return x.workload.String(), err
		})
		switch {
		case err == nil && like == x.workload.String():
			x.injection.Rehearsed = true
			return "rehearsed: a pod gets its sidecar", nil
		case err == nil:
			return "not rehearsed: it has no replicas; a pod of " + like + " gets its sidecar", nil
		}
	}
	inPlace := x.pods > 0 && x.workload.InPlace()
	notYet, err := x.mesh.Rehearse(ctx, x.injectors, x.namespace, x.workload, inj, !complete && !inPlace)
	if err != nil {
		return "", err
	}
	if notYet == istio.NoRoom && !complete {
		f := finding.New(finding.QuotaFull, x.workload.Namespace, x.workload.String(),
			notYet+"; its restart makes room before it makes a pod, but what the sidecar requests must fit in too", "")
		f.Severity = finding.Warning
		x.found(f)
	}
	if notYet != "" {
		return "not rehearsed: " + notYet, nil
	}
	x.injection.Rehearsed = true
	return "rehearsed: a pod gets its sidecar", nil
}
