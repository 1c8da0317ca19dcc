package cmd

import (
	"errors"
	"fmt"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

// summedUp is how a run over several services ends: by a FAIL of any; else by
// what kept one from being judged, whose words the report has; else by the verdict
// on all. A report that could not be written comes before.
func summedUp(list *report.VerifyList, finished, failed error) error {
	switch {
	case finished != nil && !errors.As(finished, new(verdictError)), list.Verdict == check.Fail, failed == nil:
		return finished
	}
	return verdictError{ExitCode(failed)}
}

// without stands for an Exposure of a file that is not there: it is told among the
// others, which are verified.
func (o *verifyOptions) without(intent manifest.Intent) *verifyOptions {
	one := *o
	_, workload, err := manifest.ParseWorkload(intent.Workload)
	if err != nil || workload == "" {
		workload = intent.Workload
	}
	host := manifest.HostFor(intent.Host, workload, intent.Namespace)
	one.among, one.namespace, one.authority = intent.Namespace+"/"+workload, intent.Namespace, authorityFor(host, o.addr)
	what := one.among + " is not exposed under host " + host
	if workload == "" {
		one.among, what = intent.Namespace, fmt.Sprintf("nothing in namespace %s is exposed under host %s", intent.Namespace, host)
	}
	one.absent = &manifest.TargetError{What: what,
		Hint: "Expose it first: grpcmesh expose -f FILE; or see what is exposed: grpcmesh status -n " + intent.Namespace}
	return &one
}
