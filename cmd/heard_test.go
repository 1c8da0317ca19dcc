package cmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// A --path of which every call is answered that there is no such method tells
// nothing; one answer of another kind does.
func TestUnheard(t *testing.T) {
	t.Parallel()
	say := func(code codes.Code, upstream bool, message string) probe.Sample {
		return probe.Sample{Path: "/a.B/C", Code: code, Upstream: upstream, Message: message}
	}
	no := say(codes.Unimplemented, true, "unknown service foo.Bar")
	for name, tc := range map[string]struct {
		samples []probe.Sample
		kept    int
		why     string
	}{
		"nothing":         {nil, 0, ""},
		"all unknown":     {[]probe.Sample{no, no}, 0, "rewrites the path"},
		"one is known":    {[]probe.Sample{no, say(codes.Internal, true, "cannot parse")}, 2, ""},
		"one is too slow": {[]probe.Sample{no, {NoAnswer: true, Code: codes.Unimplemented}}, 2, ""},
		"no route":        {[]probe.Sample{say(codes.Unimplemented, false, "")}, 1, ""},
		"overtaken":       {[]probe.Sample{no, say(codes.Unimplemented, false, "unknown service foo.Bar")}, 0, "2 calls to /a.B/C"},
	} {
		kept, why := unheard(tc.samples, "")
		if len(kept) != tc.kept || !strings.Contains(why, tc.why) || (why == "") != (tc.why == "") {
			t.Errorf("%s: kept %d (%s)", name, len(kept), why)
		}
	}
}

// A call that the run's own end cuts off is no answer of the service's.
func TestOutOf(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	silent := probe.Sample{NoAnswer: true, Code: codes.DeadlineExceeded}
	if !outOf(over, silent) || !outOf(over, probe.Sample{Code: codes.DeadlineExceeded}) || outOf(context.Background(), silent) || outOf(over, probe.Sample{Code: codes.Internal}) {
		t.Error("what the run cut off is told of the service, or the other way round")
	}
	o := &verifyOptions{timeout: 5}
	past, stop := context.WithTimeout(context.Background(), -1)
	defer stop()
	if o.ranOut(over) != "" || o.ranOut(context.Background()) != "" || o.ranOut(past) != "5ns" {
		t.Error("what ran out")
	}
	if wanted(1, 3, 6) != 24 || wanted(1, 3, 24) != 0 {
		t.Error("6 of 24 is cut short, 24 are not")
	}
}

// The most frequent reason comes first, and the kinds have an end.
func TestReasons(t *testing.T) {
	t.Parallel()
	all := reasons{}
	overflow := probe.Loaded{Answered: true, Flags: "UO", Code: codes.Unavailable}
	for _, one := range []probe.Loaded{{Code: codes.Unavailable}, overflow, overflow, {Answered: true, Flags: "-", Code: codes.Internal}} {
		all.add(one)
	}
	got := all.list()
	if len(got) != 3 || got[0] != (check.Reason{Flags: "UO", Code: codes.Unavailable, Calls: 2}) ||
		!slices.Contains(got, check.Reason{NoAnswer: true, Code: codes.Unavailable, Calls: 1}) || !slices.Contains(got, check.Reason{Code: codes.Internal, Calls: 1}) {
		t.Errorf("%+v", got)
	}
	for i := range 2 * mostReasons {
		all.add(probe.Loaded{Answered: true, Flags: strings.Repeat("x", i+1)})
	}
	if len(all) != mostReasons {
		t.Errorf("%d kinds", len(all))
	}
}
