package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestABBA: who is first takes turns, and a failure ends it.
func TestABBA(t *testing.T) {
	var order []string
	way := func(name string, fails int) func() (took, error) {
		n := 0
		return func() (took, error) {
			order = append(order, name)
			if n++; n == fails {
				return took{}, errors.New("no")
			}
			return took{wall: time.Duration(n) * time.Second}, nil
		}
	}
	p, err := abba(3, way("a", 0), way("b", 0))
	if want := []string{"a", "b", "b", "a", "a", "b"}; err != nil || !slices.Equal(order, want) || len(p.ours) != 3 || len(p.theirs) != 3 {
		t.Errorf("%v, %v, want %v", order, err, want)
	}
	order = nil
	if _, err := abba(3, way("a", 2), way("b", 0)); err == nil || len(order) != 4 {
		t.Errorf("%v after %v", err, order)
	}
}

// TestRatio: the median of the pairs' own ratios, and their range.
func TestRatio(t *testing.T) {
	s := func(walls ...time.Duration) (all []took) {
		for _, w := range walls {
			all = append(all, took{wall: w * time.Second})
		}
		return all
	}
	for _, tc := range []struct {
		p                   pairs
		median, least, most float64
	}{
		{pairs{s(1, 4, 1), s(2, 2, 4)}, 0.5, 0.25, 2},
		{pairs{s(1, 1), s(1, 2)}, 0.75, 0.5, 1},
		{pairs{s(1, 1), s(2)}, 0.5, 0.5, 0.5},
		{pairs{}, 0, 0, 0},
	} {
		if median, least, most := tc.p.ratio(wall); median != tc.median || least != tc.least || most != tc.most {
			t.Errorf("%v: %v (%v to %v)", tc.p, median, least, most)
		}
	}
}
