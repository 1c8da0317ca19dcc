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
