package k8s

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/typed"
)

// Applier reads and applies the objects of some kinds.
type Applier interface {
	// Get is the live object, or nil where there is none.
	Get(ctx context.Context, id manifest.ID) (*plan.State, error)
	// Apply sends the object by server-side apply. A resourceVersion that is
	// not empty must be the live object's, where there is one.
	Apply(ctx context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error)
	// Delete deletes the object; one that the preconditions don't fit is a
	// conflict.
	Delete(ctx context.Context, id manifest.ID, opts metav1.DeleteOptions) error
}

// Appliers finds the Applier of a kind.
type Appliers map[string]Applier

// StateOf makes a plan's State of a typed object, or of the error that reading
// it gave: not found is a nil State and no error.
func StateOf(obj metav1.Object, err error) (*plan.State, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent is an answer here, not an error
	}
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	s := &plan.State{UID: string(obj.GetUID()), ResourceVersion: obj.GetResourceVersion(), Labels: obj.GetLabels()}
	if err := json.Unmarshal(b, &s.Object); err != nil {
		return nil, err
	}
	// Istio's objects carry them where they come from a list, and not where they
	// are a reply: that is no difference between them.
	delete(s.Object, "apiVersion")
	delete(s.Object, "kind")
	return s, nil
}

// ApplyTo is Apply for an object of one kind. What was not only tried comes back
// without the Object: who plans from it reads it anew.
func ApplyTo[T metav1.Object, L any](ctx context.Context, kind typed.Objects[T, L], obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	b, err := json.Marshal(obj.Apply.At(resourceVersion))
	if err != nil {
		return nil, err
	}
	made, err := kind.Patch(ctx, obj.Name, types.ApplyPatchType, b, opts.ToPatchOptions())
	if err == nil && len(opts.DryRun) == 0 {
		return &plan.State{UID: string(made.GetUID()), ResourceVersion: made.GetResourceVersion(), Labels: made.GetLabels()}, nil
	}
	return StateOf(made, err)
}

// Get implements Applier for Namespace, Service and the workloads.
func (c *Cluster) Get(ctx context.Context, id manifest.ID) (*plan.State, error) {
	switch id.Kind {
	case "Namespace":
		return StateOf(c.ReadNamespace(ctx, id.Name))
	case "Service":
		return StateOf(c.service(ctx, id.Namespace, id.Name))
	case "Deployment":
		return StateOf(c.Core.AppsV1().Deployments(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	case "StatefulSet":
		return StateOf(c.Core.AppsV1().StatefulSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	case "DaemonSet":
		return StateOf(c.Core.AppsV1().DaemonSets(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	}
	return nil, fmt.Errorf("%s: no such kind here", id)
}

// Apply implements Applier for Namespace, Service and the workloads.
func (c *Cluster) Apply(ctx context.Context, obj manifest.Object, resourceVersion string, opts metav1.ApplyOptions) (*plan.State, error) {
	switch obj.Kind {
	case "Namespace":
		return ApplyTo(ctx, c.Core.CoreV1().Namespaces(), obj, resourceVersion, opts)
	case "Service":
		return ApplyTo(ctx, c.Core.CoreV1().Services(obj.Namespace), obj, resourceVersion, opts)
	case "Deployment":
		return ApplyTo(ctx, c.Core.AppsV1().Deployments(obj.Namespace), obj, resourceVersion, opts)
	case "StatefulSet":
		return ApplyTo(ctx, c.Core.AppsV1().StatefulSets(obj.Namespace), obj, resourceVersion, opts)
	case "DaemonSet":
		return ApplyTo(ctx, c.Core.AppsV1().DaemonSets(obj.Namespace), obj, resourceVersion, opts)
	}
	return nil, fmt.Errorf("%s: no such kind here", obj.ID)
}

// OwnServices lists the Services of a namespace that are labelled as
// grpcmesh's.
func (c *Cluster) OwnServices(ctx context.Context, namespace string) ([]plan.State, error) {
	list, err := c.Core.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{LabelSelector: manifest.ManagedBy + "=" + manifest.FieldManager})
	if err != nil {
		return nil, fmt.Errorf("listing Services in namespace %s: %w", namespace, err)
	}
	var found []plan.State
	for i := range list.Items {
		s, err := StateOf(&list.Items[i], nil)
		if err != nil {
			return nil, err
		}
		found = append(found, *s)
	}
	return found, nil
}

// Delete implements Applier for Service. A Namespace or a workload is never deleted.
func (c *Cluster) Delete(ctx context.Context, id manifest.ID, opts metav1.DeleteOptions) error {
	if id.Kind != "Service" {
		return fmt.Errorf("%s: no such kind here", id)
	}
	return c.Core.CoreV1().Services(id.Namespace).Delete(ctx, id.Name, opts)
}

// unborn is a resourceVersion that no object has. A server-side apply that
// carries it makes an object that is not there, and is a conflict where one has
// come to be since the plan was made: one field manager never conflicts with
// itself, so that another run's Gateway would else be written over.
const unborn = "1"

// Carry writes a plan's creations, updates and deletions, in order, and stops
// at the first that fails. What is not as it was when the plan was made is a
// stale *plan.ConflictError. done is told each change after it was written. A plan cut
// short is completed by running the same command again.
func Carry(ctx context.Context, by Appliers, p plan.Plan, done func(plan.Change)) error {
	for _, c := range p.Changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := carry(ctx, by, c); err != nil {
			return err
		}
		done(c)
	}
	return nil
}

// carry makes one change, where it is one to make.
func carry(ctx context.Context, by Appliers, c plan.Change) error {
	if c.Action == plan.Create || c.Action == plan.Update {
		version := c.ResourceVersion
		if c.Action == plan.Create {
			version = unborn
		}
		opts := metav1.ApplyOptions{FieldManager: cmp.Or(c.Object.Manager, manifest.FieldManager), Force: c.Object.Adopt}
		if _, err := by[c.ID.Kind].Apply(ctx, c.Object, version, opts); err != nil {
			return applyError(c.ID, err, "refused")
		}
	}
	if c.Action == plan.Delete {
		uid := types.UID(c.UID)
		opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &c.ResourceVersion}}
		if err := by[c.ID.Kind].Delete(ctx, c.ID, opts); err != nil && !apierrors.IsNotFound(err) {
			return applyError(c.ID, err, "refused to delete")
		}
	}
	return nil
}

// WaitGone returns when all that a plan deleted is gone. Where the context's
// deadline passes first it is a *NotReadyError with what holds the object.
func WaitGone(ctx context.Context, by Appliers, p plan.Plan) error {
	errs := make([]error, len(p.Changes))
	AtOnce(len(p.Changes), InFlight, func(i int) {
		if p.Changes[i].Action == plan.Delete {
			errs[i] = waitGone(ctx, by, p.Changes[i])
		}
	}, nil)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func waitGone(ctx context.Context, by Appliers, c plan.Change) error {
	holds := ""
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live, err := by[c.ID.Kind].Get(ctx, c.ID)
		if err != nil || live == nil || live.UID != c.UID {
			return err == nil, err
		}
		meta, _ := live.Object["metadata"].(map[string]any)
		holds = fmt.Sprint(meta["finalizers"])
		return false, nil
	})
	if holds != "" && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &NotReadyError{Subject: c.ID.String() + " in namespace " + c.ID.Namespace, Cause: "it is deleted, and its finalizers hold it: " + holds,
			Hint: "Find out who is to remove them; the same command completes what was begun."}
	}
	return err
}

func readError(id manifest.ID, err error) error {
	return fmt.Errorf("reading %s: %w", id, err)
}

// applyError tells a field that belongs to another manager from every other
// refusal.
func applyError(id manifest.ID, err error, verb string) error {
	var status apierrors.APIStatus
	if apierrors.IsConflict(err) && errors.As(err, &status) && status.Status().Details != nil {
		var causes []string
		for _, cause := range status.Status().Details.Causes {
			if cause.Type == metav1.CauseTypeFieldManagerConflict {
				causes = append(causes, cause.Field+" ("+cause.Message+")")
			}
		}
		if len(causes) > 0 {
			return &plan.ConflictError{Code: finding.OtherManager, ID: id, Reason: "fields belong to another manager: " + strings.Join(causes, "; "),
				Hint: "They are left as they are. Change them to what grpcmesh wants (grpcmesh render prints it) where that manager takes them from;\n" +
					"for one of kubectl's own (kubectl-edit, kubectl-patch and the like): " + kubectl("edit", id)}
		}
	}
	if apierrors.IsConflict(err) {
		return Changed(id)
	}
	return fmt.Errorf("the API server %s %s: %w", verb, id, err)
}
