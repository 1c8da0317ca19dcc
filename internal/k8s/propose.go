package k8s

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Propose reads what is live, asks the server for a dry run of each object that
// is not settled, and gives the steps that a plan is built from. It writes
// nothing. Every refusal is told, each once.
func Propose(ctx context.Context, by Appliers, objs []manifest.Object) ([]plan.Step, error) {
	steps, refused := ProposeAll(ctx, by, objs)
	said := map[string]bool{}
	var errs []error
	for _, err := range refused {
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return steps, nil
}

// Planned is the plan for the objects alone. It writes nothing.
func Planned(ctx context.Context, by Appliers, objs ...manifest.Object) (plan.Plan, error) {
	steps, err := Propose(ctx, by, objs)
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Build(steps)
}

// ProposeAll is Propose with many under way at a time: of each object there is
// a step, or an error.
func ProposeAll(ctx context.Context, by Appliers, objs []manifest.Object) ([]plan.Step, []error) {
	steps, errs := make([]plan.Step, len(objs)), make([]error, len(objs))
	AtOnce(len(objs), InFlight, func(i int) { steps[i], errs[i] = propose(ctx, by, objs[i]) }, nil)
	return steps, errs
}

func propose(ctx context.Context, by Appliers, obj manifest.Object) (plan.Step, error) {
	live, err := by[obj.Kind].Get(ctx, obj.ID)
	if err != nil {
		return plan.Step{}, readError(obj.ID, err)
	}
	if live != nil && manifest.Adopted(live.Object) != "" {
		obj.Remember(manifest.Adopted(live.Object))
	}
	if live != nil && plan.Settled(obj, *live) {
		return plan.Step{Want: obj, Live: live, Dry: live}, nil
	}
	opts := metav1.ApplyOptions{FieldManager: manifest.FieldManager, DryRun: []string{metav1.DryRunAll}}
	// What someone else made is never written to; forcing its dry run only
	// shows in what it differs, instead of whose each field is.
	opts.Force = live != nil && !manifest.OnlyLabelled(obj.Kind) && !manifest.Owned(live.Labels)
	if obj.Adopt = obj.Adopt && live != nil && (opts.Force || manifest.OnlyLabelled(obj.Kind)); obj.Adopt {
		opts.Force = true
	}
	dry, err := by[obj.Kind].Apply(ctx, obj, "", opts)
	if err == nil && obj.Adopt && plan.Differs(live, dry) {
		dry, err = adopt(ctx, by, obj, live, opts)
	}
	if opts.Force && apierrors.IsInvalid(err) {
		return plan.Step{}, &plan.ConflictError{Code: finding.NotOurs, ID: obj.ID, Hint: plan.WayPast(obj.ID),
			Reason: "it exists and was not made by grpcmesh, and can't be made as wanted: " + err.Error()}
	}
	if err != nil {
		return plan.Step{}, applyError(obj.ID, err, "would refuse")
	}
	return plan.Step{Want: obj, Live: live, Dry: dry}, nil
}

// adopt is the dry run of taking an object over, with what it was noted on it.
func adopt(ctx context.Context, by Appliers, obj manifest.Object, live *plan.State, opts metav1.ApplyOptions) (*plan.State, error) {
	record, err := obj.Before(live.Object)
	if err != nil {
		return nil, err
	}
	obj.Remember(record)
	return by[obj.Kind].Apply(ctx, obj, "", opts)
}
