package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
)

// takeBackTime is how long a failed exposure may take to be undone, in all.
const takeBackTime = time.Minute

// takeBack undoes those exposures of the batch that did not come up: what this
// run made, the label, and the restart. Without --undo-on-failure it says how.
func (xs batch) takeBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeBackTime)
	defer cancel()
	var errs []error
	for _, x := range xs {
		if !errors.As(x.failed, new(*k8s.NotReadyError)) || ctx.Err() != nil {
			continue
		}
		if len(x.again.wrote) == 0 && x.earlier == nil {
			continue // it was exposed before, just so, and nothing was restarted
		}
		if !x.o.undo && !x.began() {
			x.o.say("           What was done stands. It is completed by the same command")
			continue
		}
		if !x.o.undo {
			x.o.say("           What was done stands. It is completed by the same command, or taken back: %s",
				x.o.called.grpcmesh("unexpose", x.workload.Arg(), "-n", x.workload.Namespace, "--restart"))
			continue
		}
		if err := x.undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s could not be undone wholly: %w", x.workload, err))
		}
	}
	return errors.Join(errs...)
}

// updated says whether this run changed an object of the kind for the exposure.
func (x *exposer) updated(kind string) bool {
	return slices.ContainsFunc(x.doc.Changes, func(c report.Change) bool { return c.Action == plan.Update && c.Kind == kind })
}

// began says whether there was no exposure before this run: its route was made,
// or taken over from someone else.
func (x *exposer) began() bool {
	return slices.ContainsFunc(x.doc.Changes, func(c report.Change) bool {
		return c.Kind == "VirtualService" && (c.Action == plan.Create || c.Action == plan.Update && c.Reason == plan.Adopting)
	})
}

// undo takes the exposure back as unexpose does, if this run made it, and gives
// the workload the pod template that it had. An exposure that was there before
// gets back the settings that it had.
func (x *exposer) undo(ctx context.Context) error {
	x.watch()
	x.o.say("undoing    what this run did for %s, as it did not come up", x.workload)
	if x.began() {
		if err := x.unexpose(ctx); err != nil {
			return err
		}
	} else if err := errors.Join(x.putBack(ctx), x.giveUpLabels(ctx)); err != nil {
		return err
	}
	if x.earlier == nil && !x.updated(x.workload.Kind) {
		return nil
	}
	if x.earlier != nil {
		if err := x.cluster.Restore(ctx, *x.earlier); err != nil {
			return err
		}
		x.undone(plan.Change{ID: x.restartChange().ID, Action: plan.Update, Reason: "back to the pod template that it had before the restart"})
	}
	_, err := x.waitRolledOut(ctx, either)
	if err != nil && x.workload.Kind == "StatefulSet" {
		err = fmt.Errorf("%w\nThe template is as it was, but a StatefulSet's controller replaces no pod that has never been ready: delete that pod", err)
	}
	return err
}

// unexpose is what the command of that name would do for this workload.
func (x *exposer) unexpose(ctx context.Context) error {
	o := &unexposeOptions{IO: IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, flags: x.o.flags, called: x.o.called,
		restart: x.updated(x.workload.Kind), yes: true, output: "name", dryRun: "none"}
	u := &undoer{o: o, cluster: x.cluster, mesh: x.mesh, namespace: x.workload.Namespace, appliers: x.appliers,
		named: []string{x.workload.Arg()}, doc: &report.Unexpose{}}
	p, err := u.plan(ctx)
	if err == nil {
		err = u.stays
	}
	if err != nil {
		return err
	}
	if err := k8s.Carry(ctx, x.appliers, p, x.undone); err != nil {
		return err
	}
	return k8s.WaitGone(ctx, x.appliers, p)
}

// giveUpLabels gives up the labels that this run set for an exposure which was
// there before.
func (x *exposer) giveUpLabels(ctx context.Context) error {
	var objs []manifest.Object
	if x.updated("Namespace") {
		objs = append(objs, manifest.NamespaceObject(x.workload.Namespace, x.namespace.UID))
	}
	if x.updated(x.workload.Kind) {
		objs = append(objs, manifest.WorkloadObject(x.workload.Kind, x.workload.Namespace, x.workload.Name, x.workload.UID, nil))
	}
	return x.propose(ctx, objs, x.undone)
}

// undone notes one change of the undoing.
func (x *exposer) undone(c plan.Change) {
	line := report.ChangeOf(c)
	x.doc.Undone = append(x.doc.Undone, line)
	if x.o.output == "text" {
		x.o.board.print(x.o.Err, func() { _, _ = fmt.Fprintln(x.o.Out, line.Line("")) })
	}
}
