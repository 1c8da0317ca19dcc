package manifest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grpcmesh/internal/manifest"
)

func retries(n int) *int { return &n }

func TestRouteValidate(t *testing.T) {
	for _, tc := range []struct {
		name  string
		set   func(*manifest.Intent)
		field string // of the error; empty: valid
	}{
		{"a timeout", func(i *manifest.Intent) { i.Route.Timeout = time.Millisecond }, ""},
		{"a timeout of less than a millisecond", func(i *manifest.Intent) { i.Route.Timeout = time.Microsecond }, "--timeout-per-call"},
		{"a timeout with a part of a millisecond", func(i *manifest.Intent) { i.Route.Timeout = time.Second + time.Microsecond }, "--timeout-per-call"},
		{"a timeout below 0", func(i *manifest.Intent) { i.Route.Timeout = -time.Second }, "--timeout-per-call"},
		{"no retries", func(i *manifest.Intent) { i.Route.Retries = retries(0) }, ""},
		{"retries below 0", func(i *manifest.Intent) { i.Route.Retries = retries(-1) }, "--retries"},
		{"retries without end", func(i *manifest.Intent) { i.Route.Retries = retries(101) }, "--retries"},
		{"time for a try", func(i *manifest.Intent) { i.Route.Retries, i.Route.PerTryTimeout = retries(1), time.Second }, ""},
		{"time for a try without retries", func(i *manifest.Intent) { i.Route.PerTryTimeout = time.Second }, "--per-try-timeout"},
		{"time for a try where retries are off", func(i *manifest.Intent) { i.Route.Retries, i.Route.PerTryTimeout = retries(0), time.Second }, "--per-try-timeout"},
		{"a try longer than the call", func(i *manifest.Intent) {
			i.Route.Retries, i.Route.PerTryTimeout, i.Route.Timeout = retries(1), time.Second, time.Millisecond
		}, "--per-try-timeout"},
		{"a header", header("x-user", "jane"), ""},
		{"the beginning of a header", header("x-user", "ja*"), ""},
		{"a header in capitals", header("X-User", "jane"), "--match-header"},
		{"a header without a name", header("", "jane"), "--match-header"},
		{"a pseudo-header", header(":path", "/a"), "--match-header"},
		{"a header without a value", header("x-user", ""), "--match-header"},
		{"a header of any value", header("x-user", "*"), "--match-header"},
		{"binary metadata", header("user-bin", "a"), "--match-header"},
		{"gRPC's own", header("grpc-timeout", "1S"), "--match-header"},
		{"the probe's own", header("x-grpcmesh-probe", "a"), "--match-header"},
		{"a header with a newline", header("x-user", "a\nb"), "--match-header"},
		{"a header in Unicode", header("x-user", "jäne"), "--match-header"},
		{"a load balancer", func(i *manifest.Intent) { i.Route.LB = "ROUND_ROBIN" }, ""},
		{"a load balancer of no such name", func(i *manifest.Intent) { i.Route.LB = "LEAST_CONN" }, "--lb"},
		{"a load balancer that takes no part", func(i *manifest.Intent) { i.Route.LB = "PASSTHROUGH" }, "--lb"},
		{"by a header", func(i *manifest.Intent) { i.Route.LB = "header:x-user" }, ""},
		{"by a header without a name", func(i *manifest.Intent) { i.Route.LB = "header:" }, "--lb"},
		{"by a header in capitals", func(i *manifest.Intent) { i.Route.LB = "header:X-User" }, "--lb"},
		{"a canary", canary("v2", 10), ""},
		{"a canary by another label", canary("example.com/track:canary", 0), ""},
		{"two canaries with all calls", func(i *manifest.Intent) { i.Route.Canary = map[string]int{"v2": 60, "v3": 40} }, ""},
		{"two canaries with too many", func(i *manifest.Intent) { i.Route.Canary = map[string]int{"v2": 60, "v3": 41} }, "--canary"},
		{"canaries by two labels", func(i *manifest.Intent) { i.Route.Canary = map[string]int{"v2": 1, "track:canary": 1} }, "--canary"},
		{"canaries that Istio can't tell apart", func(i *manifest.Intent) { i.Route.Canary = map[string]int{"v2.1": 1, "v2-1": 1} }, "--canary"},
		{"a canary below 0", canary("v2", -1), "--canary"},
		{"a canary of more than all", canary("v2", 101), "--canary"},
		{"a canary without a version", canary("version:", 1), "--canary"},
		{"a canary without a label", canary(":v2", 1), "--canary"},
		{"a canary that no label can be", canary("a b", 1), "--canary"},
		{"two services", func(i *manifest.Intent) { i.MatchService = "a.B,c.D" }, ""},
		{"services to be read", func(i *manifest.Intent) { i.MatchService = "auto" }, ""},
		{"services to be read, and one", func(i *manifest.Intent) { i.MatchService = "auto,a.B" }, "--match-service"},
		{"a service twice", func(i *manifest.Intent) { i.MatchService = "a.B,a.B" }, "--match-service"},
		{"a service and nothing", func(i *manifest.Intent) { i.MatchService = "a.B," }, "--match-service"},
	} {
		i := intent()
		tc.set(&i)
		err := i.Validate()
		var invalid *manifest.InvalidError
		if tc.field == "" && err != nil || tc.field != "" && (!errors.As(err, &invalid) || invalid.Field != tc.field) {
			t.Errorf("%s: %v; want an error of %q", tc.name, err, tc.field)
		}
	}
}

func header(name, value string) func(*manifest.Intent) {
	return func(i *manifest.Intent) { i.Route.MatchHeaders = map[string]string{name: value} }
}

// TestMetadata: a call with it is one that the route takes.
func TestMetadata(t *testing.T) {
	r := manifest.Route{MatchHeaders: map[string]string{"x-user": "jane", "x-version": "2.*"}}
	if diff := cmp.Diff(map[string]string{"x-user": "jane", "x-version": "2."}, r.Metadata()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func canary(name string, percent int) func(*manifest.Intent) {
	return func(i *manifest.Intent) { i.Route.Canary = map[string]int{name: percent} }
}

// TestSplit: the rest goes to the workload's own version.
func TestSplit(t *testing.T) {
	r := manifest.Route{Canary: map[string]int{"v3": 5, "v2": 10}}
	got, err := r.Split(map[string]string{"version": "v1"})
	want := []manifest.Subset{
		{Name: "v1", Labels: map[string]string{"version": "v1"}, Percent: 85},
		{Name: "v2", Labels: map[string]string{"version": "v2"}, Percent: 10},
		{Name: "v3", Labels: map[string]string{"version": "v3"}, Percent: 5},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, labels := range []map[string]string{nil, {"version": "v2"}, {"version": "V2"}} {
		var invalid *manifest.InvalidError
		if _, err := r.Split(labels); !errors.As(err, &invalid) || invalid.Field != "--canary" {
			t.Errorf("a workload whose pods have %v: %v; want an error of --canary", labels, err)
		}
	}
	if got, err := (manifest.Route{}).Split(nil); got != nil || err != nil {
		t.Errorf("without a canary: %v, %v", got, err)
	}
	shared := r.Shared(map[string]string{"app": "a", "version": "v1"})
	if diff := cmp.Diff(map[string]string{"app": "a"}, shared); diff != "" {
		t.Errorf("what all versions share (-want +got):\n%s", diff)
	}
}
