package cmd

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

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
	live, err := k8s.StateOf(x.namespace, nil)
	if err != nil {
		return err
	}
	had, own := manifest.Reuses(live.Object), strings.ToLower(e.WorkloadKind)+"/"+e.WorkloadName
	want := slices.DeleteFunc(slices.Clone(had), func(w string) bool { return w == own })
	if e.WhollyReused() && e.Inject != manifest.InjectNone && e.Inject != manifest.InjectPod {
		want = append(want, own)
		slices.Sort(want)
	}
	if len(e.InjectLabel) == 0 && !slices.Equal(had, want) {
		if e.Labelled, err = ownLabels(*live); err != nil {
			return err
		}
	}
	if len(e.InjectLabel) > 0 || len(e.Labelled) > 0 {
		e.Reuses = want
	}
	return nil
}

// ownLabels are those that grpcmesh has set on a namespace.
func ownLabels(live plan.State) (map[string]string, error) {
	text, err := plan.Asked(live)
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

// shareNotes gives all of a namespace one note, as they share its label.
func (xs batch) shareNotes() {
	for _, x := range xs {
		for _, o := range xs {
			a, b := &x.exposure, &o.exposure
			if a.Namespace != b.Namespace || len(b.Reuses) == 0 && len(b.Labelled) == 0 {
				continue
			}
			if len(a.Labelled) == 0 && len(a.InjectLabel) == 0 {
				a.Labelled = b.Labelled
			}
			a.Reuses = append(slices.Clone(a.Reuses), b.Reuses...)
		}
	}
	for _, x := range xs {
		e := &x.exposure
		slices.Sort(e.Reuses)
		e.Reuses = slices.DeleteFunc(slices.Compact(e.Reuses), func(w string) bool {
			return slices.ContainsFunc(xs, func(o *exposer) bool {
				return o.exposure.Namespace == e.Namespace && !o.exposure.WhollyReused() && strings.ToLower(o.exposure.WorkloadKind)+"/"+o.exposure.WorkloadName == w
			})
		})
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
	steps, err := k8s.Propose(ctx, u.appliers, []manifest.Object{obj})
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(steps)
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
