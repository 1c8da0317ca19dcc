package cmd

import (
	"cmp"
	"maps"
	"slices"

	"grpcmesh/internal/check"
	"grpcmesh/internal/probe"
)

// mostReasons bounds the kinds of failures of a load that are told apart.
const mostReasons = 100

// reasons counts why calls of a load were not well, by reasons without a count.
type reasons map[check.Reason]int

func (all reasons) add(one probe.Loaded) {
	why := check.Reason{Code: one.Code, NoAnswer: !one.Answered}
	if one.Answered && one.Flags != "-" {
		why.Flags = one.Flags
	}
	if _, known := all[why]; known || len(all) < mostReasons {
		all[why]++
	}
}

// list has the most frequent first.
func (all reasons) list() []check.Reason {
	var list []check.Reason
	for why, n := range maps.All(all) {
		why.Calls = n
		list = append(list, why)
	}
	slices.SortFunc(list, func(a, b check.Reason) int {
		return cmp.Or(b.Calls-a.Calls, cmp.Compare(a.Flags, b.Flags), cmp.Compare(a.Code, b.Code))
	})
	return list
}
