package cmd

import (
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// noteReuse has the namespace remember an exposure that is wholly of someone else's
// objects: it leans on the namespace's label all the same. A label that is not
// grpcmesh's needs no memory, as it is never taken away.
func (x *exposer) noteReuse() error {
	e := &x.exposure
	e.Reuses, e.Labelled = nil, nil
	if x.namespace == nil {
		return nil
	}
	had := manifest.ReusesIn(x.namespace.Annotations[manifest.ReusesAnnotation])
	want := slices.DeleteFunc(slices.Clone(had), func(w string) bool { return w == e.Arg() })
	if e.WhollyReused() && e.Inject != manifest.InjectNone && e.Inject != manifest.InjectPod {
		want = append(want, e.Arg())
		slices.Sort(want)
	}
	if len(e.InjectLabel) == 0 && !slices.Equal(had, want) {
		var err error
		if e.Labelled, err = ownLabels(x.namespace); err != nil {
			return err
		}
	}
	if len(e.InjectLabel) > 0 || len(e.Labelled) > 0 {
		e.Reuses = want
	}
	return nil
}

// ownLabels are those that grpcmesh has set on a namespace.
func ownLabels(ns *corev1.Namespace) (map[string]string, error) {
	live, err := k8s.StateOf(ns, nil)
	if err != nil {
		return nil, err
	}
	text, err := plan.Asked(*live)
	if err != nil {
		return nil, err
	}
	var asked struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	err = json.Unmarshal([]byte(text), &asked)
	return asked.Metadata.Labels, err
}

// shareNotes gives all of a namespace one note, as they share its label: of those
// that were noted before or are to be, but for what this run makes of its own.
func (xs batch) shareNotes() {
	notes, labels := map[string][]string{}, map[string]map[string]string{}
	for _, x := range xs {
		e := x.exposure
		notes[e.Namespace] = append(notes[e.Namespace], e.Reuses...)
		if len(e.Labelled) > 0 {
			labels[e.Namespace] = e.Labelled
		}
	}
	for _, x := range xs {
		if e := x.exposure; len(notes[e.Namespace]) > 0 && !e.WhollyReused() {
			notes[e.Namespace] = slices.DeleteFunc(notes[e.Namespace], func(w string) bool { return w == e.Arg() })
		}
	}
	for ns := range notes {
		slices.Sort(notes[ns])
		notes[ns] = slices.Compact(notes[ns])
	}
	for _, x := range xs {
		e := &x.exposure
		if e.Reuses = notes[e.Namespace]; len(e.InjectLabel) == 0 {
			e.Labelled = labels[e.Namespace]
		}
	}
}

// unnote has the namespace forget those that go, while others go on leaning on
// its label.
func (u *undoer) unnote(ctx context.Context, ns *plan.State) ([]plan.Change, error) {
	had := manifest.Reuses(ns.Object)
	rest := slices.DeleteFunc(slices.Clone(had), func(w string) bool { return slices.Contains(u.going, w) })
	if slices.Equal(had, rest) || !plan.Applied(*ns) {
		return nil, nil
	}
	asked, err := plan.Asked(*ns)
	if err != nil {
		return nil, err
	}
	obj, err := manifest.Restored(manifest.ID{Kind: "Namespace", Name: u.namespace}, asked)
	if err != nil {
		return nil, err
	}
	obj.Note(rest)
	p, err := k8s.Planned(ctx, u.appliers, obj)
	return p.Changes, err
}

// tellTheirs says of exposures that go what of them does not.
func (u *undoer) tellTheirs(ns *plan.State) {
	if ns == nil {
		return
	}
	for _, w := range manifest.Reuses(ns.Object) {
		if slices.Contains(u.going, w) {
			u.o.say("           what leads calls to %s is not grpcmesh's: it stays, and goes on leading them there", w)
		}
	}
}
