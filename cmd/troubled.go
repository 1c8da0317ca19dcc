package cmd

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// awaitReplicas waits for the gateway's replicas, and looks at the workload's
// pods meanwhile: one that crashes may have counted as rolled out before, and is
// then why no call comes through.
func (x *exposer) awaitReplicas(ctx context.Context, gateway replicas) (int, error) {
	count := 0
	err := x.cluster.Beside(ctx, x.workload, x.waiting, func(ctx context.Context) (err error) {
		count, err = gateway.await(ctx)
		return err
	})
	if err == nil {
		return count, nil
	}
	return 0, because(err, x.cluster.Trouble(ctx, x.workload), x.workload)
}

// because puts what the pods suffer from before what did not come about for it.
func because(err, trouble error, w k8s.Workload) error {
	switch {
	case k8s.Stuck(err) && trouble != nil:
		return trouble
	case k8s.Stuck(err):
		return &k8s.NotReadyError{Subject: w.String(), Cause: "its pods crash again and again", Hint: "See why: kubectl -n " + w.Namespace + " get pods"}
	case trouble != nil && errors.As(err, new(*k8s.NotReadyError)):
		return errors.Join(trouble, err)
	}
	return err
}

// waitRolledOut waits for the rollout, and shows how the pods come that count.
func (x *exposer) waitRolledOut(ctx context.Context, counted string) (k8s.Rolled, error) {
	defer x.o.board.done(x.o.Err, x.workload)
	return x.cluster.WaitRolledOut(ctx, x.workload, func(c k8s.Coming) { x.o.board.coming(x.o.Err, x.workload, c, counted) }, x.waiting)
}

func (x *exposer) waiting(words string) { x.say("waiting    %s: %s", x.workload, words) }

// allThere takes over what a wait has last seen, where that was every pod, and
// just as wanted. Of anything else the API server is asked once more: a watch may
// be behind.
func (x *exposer) allThere(r k8s.Rolled) bool {
	lacks := func(p corev1.Pod) bool { return x.intent.Inject != manifest.InjectNone && !k8s.HasSidecar(p.Spec) }
	if len(r.Pods) != int(r.Workload.Replicas) || r.Workload.Partition > 0 || slices.ContainsFunc(r.Pods, lacks) {
		return false
	}
	x.workload, x.pods, x.lacking, x.kept = r.Workload, len(r.Pods), 0, nil
	return true
}
