package check

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"grpcmesh/internal/probe"
)

// run makes calls until Enough, as a caller does.
func run(e Evidence, next func(i int) probe.Sample) Evidence {
	e.Samples = nil
	for i := 0; !Enough(e) && i < 10_000; i++ {
		e.Samples = append(e.Samples, next(i))
	}
	return e
}

func TestEnough(t *testing.T) {
	three := []string{podA, podB, podC}
	for name, tc := range map[string]struct {
		change func(*Evidence)
		next   func(i int) probe.Sample
		calls  int
		want   Verdict
	}{
		"healthy":        {nil, func(i int) probe.Sample { return stamped(three[i%3]) }, 3, Pass},
		"stuck":          {nil, func(int) probe.Sample { return stamped(podA) }, 9, Fail}, // 3^-8 <= 0.001/3
		"one dead":       {nil, func(i int) probe.Sample { return stamped(three[i%2]) }, 23, Fail},
		"no endpoint":    {nil, func(int) probe.Sample { return flagged("UH", "") }, 5, Fail},
		"half failing":   {nil, func(i int) probe.Sample { return pick(i%2 == 0, flagged("UF", ""), stamped(three[i/2%3])) }, 20, Fail},
		"a blip":         {nil, func(i int) probe.Sample { return pick(i == 1, flagged("UF", ""), stamped(three[i%3])) }, 12, Pass},
		"one replica":    {func(e *Evidence) { e.Expected = pods(podA) }, nil, 0, Inconclusive},
		"no replica":     {func(e *Evidence) { e.Expected = nil }, func(int) probe.Sample { return flagged("UH", "") }, 5, Fail},
		"the limit":      {func(e *Evidence) { e.Limit = 7 }, func(i int) probe.Sample { return stamped(three[i%2]) }, 7, Inconclusive},
		"no limit":       {func(e *Evidence) { e.Limit = 0 }, func(i int) probe.Sample { return stamped(three[i%2]) }, 23, Fail},
		"by design":      {func(e *Evidence) { e.ByDesign = "hash" }, func(int) probe.Sample { return stamped(podA) }, 9, Inconclusive},
		"unstamped":      {nil, func(int) probe.Sample { return local(0, "") }, 10, Inconclusive},
		"unidentifiable": {nil, func(int) probe.Sample { return stamped(nobod) }, 10, Fail},
		"renewed connections": {nil, func(i int) probe.Sample {
			s := stamped(three[i%3])
			s.Conn = i
			return s
		}, 23, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			e := route()
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

// Healthy services are called faulty at most at the stated rate. 0.05 of 1000
// runs is 50; at most that rate, 90 or more has a chance under one in a million
// (exact binomial).
func TestVerdictFalseAlarms(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	three := []string{podA, podB, podC}
	fails, passes := 0, 0
	for range 1000 {
		e := route()
		e.Alpha = 0.05
		switch Judge(run(e, func(int) probe.Sample { return stamped(three[rng.IntN(3)]) })).Verdict {
		case Fail:
			fails++
		case Pass:
			passes++
		case Inconclusive:
			t.Fatal("a healthy service left open")
		}
	}
	if fails >= 90 || passes < 900 {
		t.Errorf("%d of 1000 healthy runs failed, %d passed", fails, passes)
	}
}

func TestCodesAreListedOnceAndSorted(t *testing.T) {
	var listed []string
	for _, c := range Codes() {
		listed = append(listed, c.Code)
		if c.Meaning == "" || c.Severity == "" || c.Verdict == "" {
			t.Errorf("%+v lacks something", c)
		}
	}
	if !slices.IsSorted(listed) {
		t.Error("not sorted:", listed)
	}
	if len(slices.Compact(slices.Clone(listed))) != len(listed) {
		t.Error("double:", listed)
	}
	// Every code constant in the source, and no literal elsewhere.
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || !strings.HasPrefix(literal.Value, `"GM`) {
				return true
			}
			if code := strings.Trim(literal.Value, `"`); !slices.Contains(listed, code) || file.Name() != "codes.go" {
				t.Errorf("%s: %s is not in Codes, or out of its place", file.Name(), code)
			}
			return true
		})
	}
	if effect("GM999") != Fail || found("GM999", "", "", "").Severity != Error {
		t.Error("an unlisted code must not pass unseen")
	}
}

func pick(first bool, a, b probe.Sample) probe.Sample {
	if first {
		return a
	}
	return b
}
