package check

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// said is one answer to a user's call, in which the app says who it is.
func said(name string) probe.Sample {
	s := witnessed()
	s.Code, s.Message, s.Said = codes.OK, "", name
	return s
}

// app is evidence that passes by what the app says, beside a cluster.
func app() Evidence {
	return Evidence{
		Rung: RungApp, Expected: pods(podA, podB, podC), BackendFrom: "header x-pod", Real: true,
		Samples: repeat(12, said("app-7d9c-a"), said("app-7d9c-b"), said("app-7d9c-c")),
		Alpha:   0.001, Limit: 100_000,
		Where: Where{Address: "127.0.0.1:8080", Namespace: "demo", Service: "app", VirtualService: "app"},
	}
}

// alone changes it to evidence without a cluster, of so many pods.
func alone(expect int) func(*Evidence) {
	return func(e *Evidence) {
		e.Expected, e.NoCluster, e.Expect, e.Where = nil, true, expect, Where{Address: "127.0.0.1:8080"}
		for i := range e.Samples {
			e.Samples[i].Upstream = false // no Envoy need be there
		}
	}
}

func appRows() []row {
	numbered := each(func(i int, s *probe.Sample) { s.Said = fmt.Sprintf("\x1b]52;%d", i) })
	names := func(all ...string) func(*Evidence) {
		return func(e *Evidence) {
			samples := []probe.Sample{}
			for _, name := range all {
				samples = append(samples, said(name))
			}
			e.Samples = repeat(30/len(all)+1, samples...)
		}
	}
	perConn := each(func(i int, s *probe.Sample) { s.Conn, s.Said = i%3, fmt.Sprint("pod-", i%3) })
	return []row{
		{"by pod names", func(*Evidence) {}, Pass, nil},
		{"by addresses", each(func(i int, s *probe.Sample) { s.Said = []string{podA, "10.42.1.12", "demo2/app-7d9c-c"}[i%3] }), Inconclusive, []string{"GM239"}},
		{"by addresses and namespaces", both(func(e *Evidence) { e.Expected[2].Namespace = "demo2" },
			each(func(i int, s *probe.Sample) { s.Said = []string{podA, "10.42.1.12", "demo2/app-7d9c-c"}[i%3] })), Pass, nil},
		{"an address of two pods", func(e *Evidence) { e.Expected[1].Address, e.Samples[0].Said = "10.42.0.11:50052", "10.42.0.11" }, Inconclusive, []string{"GM239"}},
		{"names of its own", names("blue", "green", "red"), Inconclusive, []string{"GM239"}},
		{"no names", each(func(_ int, s *probe.Sample) { s.Said = "" }), Inconclusive, []string{"GM231"}},
		{"no answer has one, but for one", func(e *Evidence) { e.Samples[3].Said = "" }, Inconclusive, []string{"GM239"}},
		{"no calls", calls(nil), Inconclusive, []string{"GM231"}},
		{"no route", each(func(_ int, s *probe.Sample) { *s = local(codes.Unimplemented, "") }), Fail, []string{"GM202"}},
		{"no pod", each(func(_ int, s *probe.Sample) { *s = local(codes.Unavailable, "no healthy upstream") }), Fail, []string{"GM204"}},
		{"no answers", each(func(_ int, s *probe.Sample) { *s = probe.Sample{NoAnswer: true, Err: "EOF"} }), Fail, []string{"GM201"}},
		{"HTML", each(func(_ int, s *probe.Sample) { *s = probe.Sample{NotGRPC: true} }), Fail, []string{"GM215"}},
		{"errors of the app's, which names itself", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Internal, "oh" }), Fail, []string{"GM217"}},
		{"the same, without an Envoy", both(each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Internal, "oh" }), alone(3)), Fail, []string{"GM217"}},
		{"nothing found by the app, which names itself", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.NotFound, "oh" }), Fail, []string{"GM217"}},
		{"stuck", names("app-7d9c-a"), Fail, []string{"GM220"}},
		{"one silent", names("app-7d9c-a", "app-7d9c-b"), Fail, []string{"GM221"}},
		{"one silent, and someone unknown", names("app-7d9c-a", "app-7d9c-b", "blue"), Inconclusive, []string{"GM239"}},
		{"a pod that came", both(names("app-7d9c-a", "app-7d9c-b", "app-7d9c-c", "app-7d9c-z"), func(e *Evidence) { e.Changed = []string{"app-7d9c-z (10.42.9.9:50051) came"} }), Pass, []string{"GM251"}},
		{"someone unknown while pods change", both(names("app-7d9c-a", "app-7d9c-b", "app-7d9c-c", "blue"), func(e *Evidence) { e.Changed = []string{"app-7d9c-z (10.42.9.9:50051) came"} }), Inconclusive, []string{"GM233"}},
		{"another name each time", numbered, Fail, []string{"GM225"}},
		{"another route than users'", func(e *Evidence) { e.WitnessWhy = "calls to it are taken by another" }, Inconclusive, []string{"GM236"}},
		{"GOAWAY all the time", each(func(_ int, s *probe.Sample) { s.GoAway = true }), Inconclusive, []string{"GM235"}},

		{"alone: three of three", alone(3), Pass, nil},
		{"alone: three of three, each once", both(func(e *Evidence) { e.Samples = e.Samples[:3] }, alone(3)), Inconclusive, []string{"GM232"}},
		{"alone: three, and nobody knows of how many", alone(0), Pass, []string{"GM261"}},
		{"alone: three, and nobody knows of how many, too soon", both(func(e *Evidence) { e.Samples = e.Samples[:24] }, alone(0)), Inconclusive, []string{"GM232", "GM261"}},
		{"alone: three of four", both(func(e *Evidence) { e.Samples = repeat(5, e.Samples...) }, alone(4)), Fail, []string{"GM221"}},
		{"alone: three of four, too soon", both(func(e *Evidence) { e.Samples = e.Samples[:24] }, alone(4)), Inconclusive, []string{"GM232"}},
		{"alone: three of two", alone(2), Inconclusive, []string{"GM239"}},
		{"alone: one of three, or a name of none", both(names("pod-1"), alone(3)), Inconclusive, []string{"GM230"}},
		{"alone: one of three, on several connections", both(names("pod-1"), each(func(i int, s *probe.Sample) { s.Conn = i % 3 }), alone(3)), Inconclusive, []string{"GM230"}},
		{"alone: one a connection, of three", both(func(e *Evidence) { e.Samples = repeat(3, e.Samples...) }, perConn, alone(3)), Fail, []string{"GM220"}},
		{"alone: one of one", both(names("pod-1"), alone(1)), Inconclusive, []string{"GM230"}},
		{"alone: one of nobody knows", both(names("pod-1"), alone(0)), Inconclusive, []string{"GM230"}},
		{"alone: one a connection", both(func(e *Evidence) { e.Samples = repeat(3, e.Samples...) }, perConn, alone(0)), Fail, []string{"GM220"}},
		{"alone: one a connection, too soon", both(each(func(i int, s *probe.Sample) { s.Conn = i % 9 }), alone(3)), Inconclusive, []string{"GM235"}},
		{"alone: one gets most", both(names("a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "b", "c"), func(e *Evidence) { e.Samples = repeat(3, e.Samples...) }, alone(3)), Fail, []string{"GM222"}},
		{"alone: no names", both(each(func(_ int, s *probe.Sample) { s.Said = "" }), alone(0)), Inconclusive, []string{"GM231"}},
		{"alone: no calls", both(calls(nil), alone(0)), Inconclusive, []string{"GM231"}},
		{"alone: a name that looks like one of ours", both(names("not seen (2)", "b"), func(e *Evidence) { e.Samples = repeat(3, e.Samples...) }, alone(3)), Fail, []string{"GM221"}},
		{"alone: no route", both(each(func(_ int, s *probe.Sample) { *s = local(codes.Unimplemented, "") }), alone(3)), Fail, []string{"GM202"}},
		{"alone: another name each time", both(numbered, alone(3)), Fail, []string{"GM225"}},
		{"alone: names without end, for nobody knows how many", both(func(e *Evidence) { e.Samples = repeat(200, e.Samples...) }, numbered, alone(0)), Fail, []string{"GM225"}},
	}
}

// The run ends when the claim stands, and names without end don't go on for ever.
func TestEnoughNamed(t *testing.T) {
	three := []string{"app-7d9c-a", "app-7d9c-b", "app-7d9c-c"}
	for name, tc := range map[string]struct {
		change func(*Evidence)
		next   func(i int) probe.Sample
		calls  int
		want   Verdict
	}{
		"healthy":                    {nil, func(i int) probe.Sample { return said(three[i%3]) }, 3, Pass},
		"stuck":                      {nil, func(int) probe.Sample { return said(three[0]) }, 9, Fail},
		"unknown names":              {nil, func(i int) probe.Sample { return said(fmt.Sprint("x", i%5)) }, 23, Inconclusive},
		"names without end":          {nil, func(i int) probe.Sample { return said(fmt.Sprint("x", i)) }, 14, Fail},
		"no names":                   {nil, func(int) probe.Sample { return said("") }, 10, Inconclusive},
		"alone, of three":            {alone(3), func(i int) probe.Sample { return said(fmt.Sprint("x", i%3)) }, 33, Pass},
		"alone, one of three":        {alone(3), func(int) probe.Sample { return said("x") }, 19, Inconclusive},
		"alone, of nobody knows":     {alone(0), func(i int) probe.Sample { return said(fmt.Sprint("x", i%3)) }, 36, Pass},
		"alone, one":                 {alone(0), func(int) probe.Sample { return said("x") }, 36, Inconclusive},
		"alone, of one":              {alone(1), func(int) probe.Sample { return said("x") }, 13, Inconclusive},
		"alone, no names":            {alone(0), func(int) probe.Sample { return said("") }, 10, Inconclusive},
		"alone, names without end":   {alone(0), func(i int) probe.Sample { return said(fmt.Sprint("x", i)) }, 4100, Fail},
		"alone, no answers":          {alone(0), func(int) probe.Sample { return probe.Sample{NoAnswer: true} }, 5, Fail},
		"alone, of three, too many":  {alone(3), func(i int) probe.Sample { return said(fmt.Sprint("x", i)) }, 14, Fail},
		"alone, one more than three": {alone(3), func(i int) probe.Sample { return said(fmt.Sprint("x", i%4)) }, 78, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			e := app()
			if tc.change != nil {
				tc.change(&e)
			}
			e = run(e, tc.next)
			if got := Judge(e); len(e.Samples) != tc.calls || got.Verdict != tc.want {
				t.Errorf("%d calls and %s, want %d and %s: %+v", len(e.Samples), got.Verdict, tc.calls, tc.want, got.Findings)
			}
		})
	}
}

// What a recording keeps of the app's names is enough to judge them again, and
// what they are called makes no difference to the verdict.
func TestNamedAgain(t *testing.T) {
	e := app()
	alone(3)(&e)
	e.Samples[0].Said = "a\x1bb\u202e"
	var b bytes.Buffer
	if err := (Recording{Evidence: e}).Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ReadRecording(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Judge(e), Judge(again.Evidence)); diff != "" {
		t.Error(diff)
	}
	e = app()
	alone(3)(&e)
	slices.Reverse(e.Samples)
	renamed := app()
	alone(3)(&renamed)
	for i := range renamed.Samples {
		renamed.Samples[i].Said = "x" + renamed.Samples[i].Said
	}
	if a, b := Judge(e), Judge(renamed); a.Verdict != b.Verdict || a.Coverage != b.Coverage {
		t.Errorf("%+v, and with other names %+v", a, b)
	}
}
