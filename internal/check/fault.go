package check

import (
	"fmt"
	"slices"
	"strings"

	"grpcmesh/internal/probe"
)

// faultAbort are Envoy's words in an answer that its fault filter gave.
const faultAbort = "fault filter abort"

// faulted says whether the gateway failed, or held up, the call on purpose:
// by its words, or by Envoy's flags FI and DI.
func faulted(s probe.Sample) bool {
	flags := strings.Split(s.Stamp.Flags, ",")
	return strings.HasPrefix(s.Message, faultAbort) || slices.Contains(flags, "FI") || slices.Contains(flags, "DI")
}

// injected is what calls mean that failed by fault injection, and the next step.
func (d *digest) injected(samples []probe.Sample) (what, hint string, ok bool) {
	if !faulted(samples[0]) {
		return "", "", false
	}
	namespace, _, route := d.names()
	if d.Where.VirtualService == "" {
		return "fault injection aborts or delays calls on purpose", "kubectl get virtualservice,envoyfilter -A -o yaml: see http.fault", true
	}
	return fmt.Sprintf("fault injection aborts or delays calls on purpose: see http.fault of virtualservice %s/%s", namespace, route),
		fmt.Sprintf("kubectl -n %s get virtualservice %s -o jsonpath='{.spec.http[*].fault}': take it out, if the test is over", namespace, route), true
}
