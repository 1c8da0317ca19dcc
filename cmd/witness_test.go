package cmd

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// Each pod has probably answered on the users' route, and a fault in half of
// the calls shows.
func TestRepeats(t *testing.T) {
	for _, tc := range []struct{ paths, pods, want int }{
		{1, 0, 20}, {1, 2, 20}, {1, 3, 24}, {1, 100, 64}, {2, 3, 24}, {2, 100, 32}, {10, 3, 6}, {64, 3, 2}, {0, 3, 24},
	} {
		if got := repeats(tc.paths, tc.pods); got != tc.want {
			t.Errorf("repeats(%d, %d) = %d, want %d", tc.paths, tc.pods, got, tc.want)
		}
	}
}

// What a path that no app has meets is no verdict on real calls, and what
// another app answers is none on this one.
func TestTelling(t *testing.T) {
	calls := []probe.Call{{Path: "/a.B/Get", Payload: unreadable()}, {Path: "/c.D/" + noMethod}}
	say := func(path string, code codes.Code, upstream bool, message string) probe.Sample {
		return probe.Sample{Path: path, Code: code, Upstream: upstream, Message: message}
	}
	const listed, nobodys = "/a.B/Get", "/c.D/" + noMethod
	ok := say(listed, codes.Internal, true, "cannot parse")
	denied, deniedNobody := say(listed, codes.PermissionDenied, true, "RBAC: access denied"), say(nobodys, codes.PermissionDenied, true, "RBAC: access denied")
	atGateway := say(nobodys, codes.PermissionDenied, false, "RBAC: access denied")
	unknown := say(listed, codes.Unimplemented, true, "unknown service nonsense")
	for _, tc := range []struct {
		name    string
		samples []probe.Sample
		kept    int
		why     string
	}{
		{"nothing", nil, 0, ""},
		{"all is well", []probe.Sample{ok, say(nobodys, codes.Unimplemented, true, "unknown method")}, 2, ""},
		{"a real method is refused", []probe.Sample{denied, ok}, 2, ""},
		{"a made-up method is refused", []probe.Sample{ok, deniedNobody, atGateway}, 1, ""},
		{"nothing else was called", []probe.Sample{deniedNobody, atGateway}, 0, "which no app has, are refused"},
		{"a method that another app does not know", []probe.Sample{ok, unknown, ok}, 0, `"unknown service nonsense"`},
		{"and a gateway that has no route", []probe.Sample{ok, unknown, say(nobodys, codes.Unimplemented, false, "")}, 0, "rewrites"},
		{"and a refusal", []probe.Sample{ok, unknown, denied}, 1, "rewrites"},
		{"one that was never written", []probe.Sample{say(listed, codes.Unimplemented, true, "method Get not implemented")}, 1, ""},
		{"no route", []probe.Sample{say(listed, codes.Unimplemented, false, "")}, 1, ""},
	} {
		kept, why := telling(calls, tc.samples, "")
		if len(kept) != tc.kept || !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
			t.Errorf("%s: kept %d (%s), want %d (%s)", tc.name, len(kept), why, tc.kept, tc.why)
		}
	}
}

// However the shares and the rate are, the calls come to an end.
func TestStages(t *testing.T) {
	for _, tc := range []struct {
		shares   []float64
		least    float64 // of each share, the part that an endpoint can be left with
		alpha    float64
		requests int
		want     []int
	}{
		{nil, 1, .001, 0, []int{fewCalls}},
		{[]float64{1}, 1, .001, 0, []int{fewCalls}},
		{[]float64{1}, 1, .001, 2, []int{2}},
		{[]float64{.5, .5}, 1, .001, 0, []int{13}},
		{[]float64{.5, .5}, .5, .001, 0, []int{13, 31}}, // 2 * (3/4)^31 <= 0.001/3
		{[]float64{.5, .5}, .5, .001, 20, []int{13, 20}},
		{[]float64{.5, .5}, 1, .001, 7, []int{7}},
		{[]float64{.5, .5}, 1, 5e-324, 0, []int{mostCounted}},
		{[]float64{1 - 1e-12, 1e-12}, 1, .001, 0, []int{mostCounted}},
		{[]float64{1, 0}, 1, .001, 0, []int{mostCounted}},
	} {
		e := &check.Evidence{}
		for _, share := range tc.shares {
			e.Expected = append(e.Expected, check.Endpoint{Share: share, Least: share * tc.least})
		}
		r := &run{o: &verifyOptions{alpha: tc.alpha, requests: tc.requests}}
		if got := r.stages(e); !slices.Equal(got, tc.want) {
			t.Errorf("%v at %g, at most %d: %d calls, want %d", tc.shares, tc.alpha, tc.requests, got, tc.want)
		}
	}
}
