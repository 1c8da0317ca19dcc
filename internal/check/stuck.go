package check

import (
	"maps"
	"slices"

	"grpcmesh/internal/spread"
)

// stuck finds the pod on which all calls landed, or, where no connection saw
// two, all calls of the longest connection: layer 4 picks anew at each dial.
// Having chosen that connection is paid for by the number of connections.
func (d *digest) stuck() (who, calls int, ok bool) {
	if len(d.explain) > 0 || d.stranger.Total() > 0 || d.lost > 0 {
		return 0, 0, false
	}
	hit := -1
	for i, n := range d.counts {
		if n > 0 && hit >= 0 {
			return d.stuckConnection()
		}
		if n > 0 {
			hit = i
		}
	}
	n := d.draws()
	return hit, n, hit >= 0 && spread.StuckShares(d.most, float64(n)) <= d.alpha
}

func (d *digest) stuckConnection() (who, calls int, ok bool) {
	if len(d.proof().Pods) > 1 {
		return 0, 0, false
	}
	for _, conn := range slices.Sorted(maps.Keys(d.conns)) {
		if d.mixed[conn] || len(d.conns[conn]) != 1 {
			continue
		}
		for i, n := range d.conns[conn] {
			if n > calls {
				who, calls = i, n
			}
		}
	}
	return who, calls, calls > 0 && spread.StuckShares(d.most, float64(calls))*float64(len(d.conns)) <= d.alpha
}
