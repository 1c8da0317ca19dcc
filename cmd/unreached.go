package cmd

import (
	"errors"
	"fmt"
	"net"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"grpcmesh/internal/check"
	"grpcmesh/internal/k8s"
)

// otherWays are those that take no port-forward.
const otherWays = "docs/rbac.yaml has the roles. Or use --identify=route, which takes no port-forward; or let the app say which pod answered: --call PKG.SERVICE/METHOD --backend-from header:NAME"

// mayNotForward says once what is missing where the sidecars' counters are
// refused; nil: they are not.
func (r *run) mayNotForward(e *check.Evidence, errs []error) error {
	var missing []k8s.Permission
	for i, err := range errs {
		p := k8s.Permission{Verb: "create", Resource: "pods/portforward", Namespace: e.Expected[i].Namespace}
		if anyOf(err, apierrors.IsForbidden) && !slices.Contains(missing, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &k8s.DeniedError{Purpose: "reading the sidecars' counters", Missing: missing, Hint: otherWays}
}

// unreached adds the next step where the API server can't be reached.
func unreached(err error) error {
	if !errors.As(err, new(*net.OpError)) && !errors.As(err, new(*net.DNSError)) {
		return err
	}
	return fmt.Errorf("%w\nSee whether the cluster is up, and the one that is meant: kubectl cluster-info (--kubeconfig and --context choose it). "+
		"Without a cluster the app itself can say which of N pods answered: --call PKG.SERVICE/METHOD --backend-from header:NAME --expect N", err)
}
