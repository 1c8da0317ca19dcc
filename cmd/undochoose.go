package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// choose picks the exposures that are named, or the only one, or all. rest are
// the others. A workload that is there and not exposed is already undone; a name
// of neither is a *manifest.TargetError.
func (u *undoer) choose(exposed []string) (chosen, rest []string, err error) {
	var errs []error
	for _, name := range u.named {
		one, err := u.chooseOne(name, exposed)
		if one != "" {
			chosen = append(chosen, one)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	switch {
	case len(u.named) > 0:
	case len(exposed) > 1 && !u.all:
		return nil, nil, u.which(exposed, exposed)
	default:
		chosen = exposed
	}
	if u.o.many() {
		u.doc.Workloads = chosen
	} else if len(chosen) == 1 {
		u.doc.Workload = chosen[0]
	}
	if len(chosen) > 0 {
		u.o.say("workload%-3s%s", map[bool]string{true: "s"}[len(chosen) > 1], strings.Join(chosen, ", "))
	}
	rest = slices.DeleteFunc(slices.Clone(exposed), func(e string) bool { return slices.Contains(chosen, e) })
	if len(rest) > 0 {
		u.o.say("           still exposed in namespace %s: %s", u.namespace, strings.Join(rest, ", "))
	}
	return chosen, rest, nil
}

// chooseOne is the exposure that the name means; "" where its workload has none.
func (u *undoer) chooseOne(workload string, exposed []string) (string, error) {
	kind, name, err := manifest.ParseWorkload(workload)
	if err != nil {
		return "", err
	}
	fit := slices.DeleteFunc(slices.Clone(exposed), func(e string) bool {
		return e != strings.ToLower(kind)+"/"+name && (kind != "" || !strings.HasSuffix(e, "/"+name))
	})
	switch len(fit) {
	case 0:
		return "", u.known(workload, exposed)
	case 1:
		return fit[0], nil
	}
	return "", u.which(fit, exposed)
}

// which asks for one of several.
func (u *undoer) which(fit, exposed []string) error {
	e := &manifest.TargetError{What: fmt.Sprintf("%d workloads of namespace %s are exposed; which one is to be undone?", len(fit), u.namespace),
		Candidates: fit, Hint: "Name one: grpcmesh unexpose " + fit[0] + " -n " + u.namespace}
	if len(fit) == len(exposed) {
		e.Hint += "\nOr undo all of them: grpcmesh unexpose --all -n " + u.namespace
	}
	return e
}

// known refuses an argument that names none of the namespace's workloads.
func (u *undoer) known(workload string, exposed []string) error {
	kind, name, err := manifest.ParseWorkload(workload)
	if err != nil || slices.ContainsFunc(u.workloads, func(w k8s.Workload) bool { return w.Name == name && (kind == "" || w.Kind == kind) }) {
		return err
	}
	e := &manifest.TargetError{What: fmt.Sprintf("no workload %s in namespace %s, nor an exposure of one; exposed are", workload, u.namespace), Candidates: exposed}
	if len(exposed) == 0 {
		e.What = fmt.Sprintf("no workload %s in namespace %s; nothing is exposed there", workload, u.namespace)
		for _, w := range u.workloads {
			e.Candidates = append(e.Candidates, w.Arg())
		}
		if len(e.Candidates) > 0 {
			e.What += "; its workloads are"
		}
	}
	e.Hint = "Nothing was written. Name one of them, or another namespace with -n."
	return e
}
