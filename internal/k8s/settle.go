package k8s

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// tries is how often what changes under a run is read and planned again.
const tries = 5

// Settle tries until the cluster has not changed under it: what ends in a stale
// *plan.ConflictError is tried again, a few times, and told of before. The
// pauses differ from run to run, so that two of them don't stay in step.
func Settle(ctx context.Context, told func(error), try func(context.Context) error) error {
	for n := 1; ; n++ {
		err := try(ctx)
		var stale *plan.ConflictError
		if !errors.As(err, &stale) || !stale.Stale {
			return err
		}
		if n == tries {
			return &plan.ConflictError{ID: stale.ID, Stale: true, Reason: fmt.Sprintf("%s, %d times over", stale.Reason, n), Hint: stale.Hint}
		}
		told(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)): //nolint:gosec // only to keep two runs out of step
		}
	}
}

// Changed is the stale *plan.ConflictError about an object that is not as it
// was when the plan was made.
func Changed(id manifest.ID) error {
	return &plan.ConflictError{ID: id, Stale: true, Reason: "it changed while grpcmesh was at work",
		Hint: fmt.Sprintf("See who writes it: %s -o yaml --show-managed-fields\nRun the same command again: it completes what was begun.", kubectl("get", id))}
}

// kubectl is the command that does something with an object.
func kubectl(verb string, id manifest.ID) string {
	where := ""
	if id.Namespace != "" {
		where = "-n " + id.Namespace + " "
	}
	return fmt.Sprintf("kubectl %s%s %s %s", where, verb, strings.ToLower(id.Kind), id.Name)
}
