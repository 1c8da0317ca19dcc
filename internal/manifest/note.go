package manifest

import (
	"maps"
	"slices"
	"strings"
)

// ReusesAnnotation is on a namespace that grpcmesh labelled: the workloads, as
// "kind/name", whose exposure is wholly of objects of someone else's, so that
// nothing but this tells that they lean on the label.
const ReusesAnnotation = "grpcmesh.dev/reuses"

// Reuses are the workloads that a namespace's annotation names, sorted.
func Reuses(object map[string]any) []string { return ReusesIn(annotation(object, ReusesAnnotation)) }

// ReusesIn are the workloads that the text of the annotation names, sorted.
func ReusesIn(text string) []string {
	if text == "" {
		return nil
	}
	names := strings.Split(text, ",")
	slices.Sort(names)
	return slices.Compact(names)
}

// Note has an object of a namespace name the workloads, and no others.
func (o Object) Note(workloads []string) {
	if len(workloads) > 0 {
		o.Apply.annotate(ReusesAnnotation, strings.Join(workloads, ","))
		return
	}
	o.Apply.Metadata.Annotations = maps.Clone(o.Apply.Metadata.Annotations)
	delete(o.Apply.Metadata.Annotations, ReusesAnnotation)
}

// Arg is the exposure's workload as "kind/name", as an argument names it.
func (e Exposure) Arg() string { return strings.ToLower(e.WorkloadKind) + "/" + e.WorkloadName }

// WhollyReused says whether the exposure makes nothing of its own.
func (e Exposure) WhollyReused() bool {
	return e.Reuse != "" && len(e.UseRoutes) > 0 && (!e.Route.WantsRule() || e.ReuseRule)
}
