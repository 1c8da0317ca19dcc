// Package plan compares what should be in the cluster with what is there and
// says what to write, and why. It is pure: whoever calls it has read the live
// objects and asked the server for a dry run.
package plan

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
)

// State is one object as the API server has it, or would have it after a dry
// run.
type State struct {
	UID             string
	ResourceVersion string
	Labels          map[string]string
	Object          map[string]any // the whole object as JSON values
}

// Name is the object's own.
func (s State) Name() string {
	name, _, _ := unstructured.NestedString(s.Object, "metadata", "name")
	return name
}

// Action is what a plan does with one object.
type Action string

// The actions, in the words that the output uses.
const (
	Create    Action = "create"
	Update    Action = "update"
	Unchanged Action = "unchanged"
	Reuse     Action = "reuse" // someone else's, and already as wanted
	Restart   Action = "restart"
	Delete    Action = "delete"
	Keep      Action = "keep" // it was to go, and is not grpcmesh's to delete
)

// Change is one line of a plan.
type Change struct {
	ID     manifest.ID
	Action Action
	Diff   []Field // what an update would alter; empty for the other actions
	Reason string  // why, in a few words; may be empty

	Object manifest.Object // what to apply
	// ResourceVersion is the version that the plan was made from; the write
	// carries it, so that a change made meanwhile is a conflict and not lost.
	ResourceVersion string
	UID             string // of what is to be deleted: another of its name is not
}

// Writes says whether carrying out the change writes to the cluster.
func (c Change) Writes() bool {
	return c.Action == Create || c.Action == Update || c.Action == Restart || c.Action == Delete
}

// Plan is what one run will do, in order.
type Plan struct{ Changes []Change }

// Writes counts the changes that write to the cluster.
func (p Plan) Writes() int {
	n := 0
	for _, c := range p.Changes {
		if c.Writes() {
			n++
		}
	}
	return n
}

// ConflictError says that an object or a field belongs to someone else, or
// changed meanwhile. Nothing has been written when Build returns it.
type ConflictError struct {
	Code   string // of package finding; or ""
	ID     manifest.ID
	Reason string
	Hint   string
	Stale  bool // it only changed since the plan was made: another plan may do
}

// Error names the object, its namespace, the reason and the way out.
func (e *ConflictError) Error() string {
	where := ""
	if e.ID.Namespace != "" {
		where = " in namespace " + e.ID.Namespace
	}
	msg := manifest.WithCode(e.Code, fmt.Sprintf("%s%s: %s", e.ID, where, e.Reason))
	if e.Hint != "" {
		msg += "\n" + e.Hint
	}
	return msg
}

// Step is one desired object beside what the cluster has (nil: nothing) and
// what a server-side dry run of applying it gave.
type Step struct {
	Want manifest.Object
	Live *State
	Dry  *State
}

// Build decides what to do about each step, in order. An object that exists,
// isn't grpcmesh's and would have to change is a *ConflictError; all of them are
// told, and then there is no plan.
func Build(steps []Step) (Plan, error) {
	var p Plan
	var conflicts []error
	for _, s := range steps {
		c := Change{ID: s.Want.ID, Object: s.Want}
		if s.Live == nil {
			c.Action = Create
			p.Changes = append(p.Changes, c)
			continue
		}
		c.ResourceVersion = s.Live.ResourceVersion
		c.Diff = Diff(s.Live.Object, s.Dry.Object)
		switch {
		case manifest.OnlyLabelled(s.Want.Kind) || manifest.Owned(s.Live.Labels):
			c.Action = Update
			switch {
			case len(c.Diff) == 0:
				c.Action = Unchanged
			case s.Want.Adopt:
				c.Reason = "what it was is kept in an annotation, and given back by unexpose"
			case manifest.OnlyLabelled(s.Want.Kind) && s.Want.Kind != "Namespace":
				c.Reason = "its pods are made anew"
			}
			if other := s.Live.Labels[manifest.WorkloadLabel]; !manifest.OnlyLabelled(s.Want.Kind) && s.Dry.Labels[manifest.WorkloadLabel] != other {
				conflicts = append(conflicts, &ConflictError{Code: finding.OtherWorkload, ID: c.ID, Reason: "grpcmesh made it for another workload (" + other + ")"})
			}
		case len(beyondOwnMarks(c.Diff)) == 0:
			c.Action, c.Diff, c.Reason = Reuse, nil, "not made by grpcmesh, already as wanted"
		case s.Want.Adopt:
			c.Action, c.Reason = Update, Adopting
		default:
			conflicts = append(conflicts, &ConflictError{
				Code:   finding.NotOurs,
				ID:     c.ID,
				Reason: "it exists and was not made by grpcmesh; it differs in " + Paths(beyondOwnMarks(c.Diff)),
				Hint:   WayPast(c.ID) + orAdopt(c.ID),
			})
		}
		p.Changes = append(p.Changes, c)
	}
	if len(conflicts) > 0 {
		return Plan{}, errors.Join(conflicts...)
	}
	return p, nil
}

// WayPast is what can be done about another's object that holds the name of one
// to be made.
func WayPast(id manifest.ID) string {
	return fmt.Sprintf("Nothing was written. See whose it is: kubectl -n %s get %s %s -o yaml\n"+
		"If no one needs it, delete it; else give it another name, or change it to what is wanted: then it is used as it is.",
		id.Namespace, strings.ToLower(id.Kind), id.Name)
}

// orAdopt is the other way, for the kinds that --adopt takes over.
func orAdopt(id manifest.ID) string {
	if id.Kind == "DestinationRule" {
		return "\n--adopt takes over no DestinationRule."
	}
	return "\nOr have it taken over, and given back by unexpose: --adopt"
}

// Adopting is the reason of a Change that takes over what someone else made.
const Adopting = "adopted; it was not made by grpcmesh, and unexpose gives it back as it was"

// Differs says whether a dry run would alter more of an object than the marks
// that say who made it.
func Differs(live, dry *State) bool { return len(beyondOwnMarks(Diff(live.Object, dry.Object))) > 0 }

// beyondOwnMarks leaves out the differences that only say who made the object,
// and for which port.
func beyondOwnMarks(fields []Field) []Field {
	var rest []Field
	for _, f := range fields {
		switch f.Path {
		case "metadata.labels." + manifest.ManagedBy, "metadata.labels." + manifest.WorkloadLabel, "metadata.labels",
			"metadata.annotations." + manifest.PortAnnotation, "metadata.annotations." + manifest.InjectAnnotation, "metadata.annotations." + manifest.AdoptedAnnotation, "metadata.annotations":
			continue
		}
		rest = append(rest, f)
	}
	return rest
}

// Paths names the fields of a difference.
func Paths(fields []Field) string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Path)
	}
	return strings.Join(names, ", ")
}
