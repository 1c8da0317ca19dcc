package check

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// TestInjected: calls that fail on purpose name the VirtualService that says so.
func TestInjected(t *testing.T) {
	aborted := probe.Sample{Code: codes.Unavailable, Message: "fault filter abort", Path: "/a.B/C"}
	for name, samples := range map[string][]probe.Sample{
		"by its words": {aborted},
		"by flag FI":   repeat(20, stamped(podA), stamped(podB), stamped(podC), flagged("FI", "")),
		"by flag DI":   repeat(20, stamped(podA), stamped(podB), stamped(podC), flagged("DI", "")),
	} {
		e := route()
		if len(samples) > 1 {
			e.Samples = samples
		} else {
			e.Witness = repeat(20, samples...)
		}
		got := Judge(e)
		f := got.Findings[0]
		if got.Verdict != Fail || f.Code != codeGateway || !strings.Contains(f.Message, "http.fault of virtualservice demo/app") ||
			!strings.HasPrefix(f.Hint, "kubectl -n demo get virtualservice app -o jsonpath='{.spec.http[*].fault}'") {
			t.Errorf("%s: %s %+v", name, got.Verdict, f)
		}
	}
}

// Envoy's own timeout is not the app's answer, though it comes with a service
// time; an app that quotes one is the app.
func TestDownstreamTimeout(t *testing.T) {
	for message, want := range map[string]string{
		"downstream duration timeout":                 codeTimeout,
		"my backend said downstream duration timeout": "",
	} {
		if got := NotTheApps(probe.Sample{Code: codes.DeadlineExceeded, Message: message, Upstream: true}); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}
