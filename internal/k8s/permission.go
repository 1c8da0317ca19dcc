package k8s

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
)

// Permission is one thing that a user may be allowed to do.
type Permission struct {
	Verb      string
	Group     string
	Resource  string // with a subresource: "pods/portforward"
	Namespace string // empty: in all namespaces, or of a kind that has none
	Name      string // empty: of any name
}

// String is as kubectl auth can-i would be asked: "create services in namespace
// test".
func (p Permission) String() string {
	s := p.Verb + " " + p.Resource
	if p.Group != "" {
		resource, sub, ok := strings.Cut(p.Resource, "/")
		s = p.Verb + " " + resource + "." + p.Group
		if ok {
			s += "/" + sub
		}
	}
	switch {
	case p.Name != "":
		return s + " of the name " + p.Name
	case p.Namespace != "":
		return s + " in namespace " + p.Namespace
	}
	return s + " in all namespaces"
}

// DeniedError says what a user lacks for what it was about to do; nothing of
// it has been begun.
type DeniedError struct {
	Purpose string // "expose", "--identify=route"
	Missing []Permission
	Hint    string
}

// Error lists all that is missing.
func (e *DeniedError) Error() string {
	lines := []string{manifest.WithCode(finding.Denied, "this user may not do what "+e.Purpose+" needs:")}
	for _, p := range e.Missing {
		lines = append(lines, "  "+p.String())
	}
	if e.Hint != "" {
		lines = append(lines, e.Hint)
	}
	return strings.Join(lines, "\n")
}

// Missing asks the API server which of the permissions this user lacks, in
// their order. Nothing is tried.
//
// A run over many namespaces asks for all of them at once first.
func (c *Cluster) Missing(ctx context.Context, needed []Permission) ([]Permission, error) {
	if c.memory == nil {
		return c.missing(ctx, needed)
	}
	known := c.memory.may
	var wider, open []Permission
	c.memory.asking.Lock() // one at a time: what the first asks for, the others need too
	defer c.memory.asking.Unlock()
	for _, p := range needed {
		all := Permission{Verb: p.Verb, Group: p.Group, Resource: p.Resource}
		if _, asked := known[all]; !asked && all != p && c.memory.reach == Everywhere {
			wider = append(wider, all)
			known[all] = false
		}
	}
	denied, err := c.missing(ctx, wider)
	if err != nil {
		return nil, err
	}
	for _, p := range wider {
		known[p] = !slices.Contains(denied, p)
	}
	for _, p := range needed {
		if _, asked := known[p]; !asked && !known[Permission{Verb: p.Verb, Group: p.Group, Resource: p.Resource}] {
			open = append(open, p)
		}
	}
	if denied, err = c.missing(ctx, open); err != nil {
		return nil, err
	}
	for _, p := range open {
		known[p] = !slices.Contains(denied, p)
	}
	var missing []Permission
	for _, p := range needed {
		if !known[p] && !known[Permission{Verb: p.Verb, Group: p.Group, Resource: p.Resource}] {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

func (c *Cluster) missing(ctx context.Context, needed []Permission) ([]Permission, error) {
	denied := make([]bool, len(needed))
	errs := make([]error, len(needed))
	const reviews = 16
	AtOnce(len(needed), reviews, func(i int) {
		p := needed[i]
		resource, sub, _ := strings.Cut(p.Resource, "/")
		review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
			Verb: p.Verb, Group: p.Group, Resource: resource, Subresource: sub, Namespace: p.Namespace, Name: p.Name}}}
		answer, err := c.Core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			errs[i] = fmt.Errorf("asking whether this user may %s: %w", p, err)
			return
		}
		denied[i] = !answer.Status.Allowed
	}, nil)
	var missing []Permission
	for i, p := range needed {
		if denied[i] {
			missing = append(missing, p)
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return missing, errs[i]
	}
	return missing, nil
}
