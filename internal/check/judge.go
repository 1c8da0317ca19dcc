package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Judge decides. It does not know why the run ended: what it is given is all
// there is.
//
// Order of blame: a hop that fails explains everything after it, so the
// spread is judged only if calls get through; and what can't be known is said
// only where nothing is known to be wrong.
func Judge(e Evidence) Result {
	d := fold(e)
	result := d.summary()
	findings := d.invalid()
	if len(findings) == 0 {
		findings = d.judge(result.Proof)
	}
	findings = append(findings, slices.Concat(d.unverified(), d.rollout(), d.loadFailed(findings))...)
	findings = d.timedOut(findings)
	for i := range findings {
		findings[i].Hint = d.reached(findings[i].Hint)
	}
	result.Findings = order(findings)
	if result.Findings == nil {
		result.Findings = []Finding{} // "none" in JSON is an empty list
	}
	result.Verdict = Pass
	if has(findings, Inconclusive) {
		result.Verdict = Inconclusive
	}
	if has(findings, Fail) {
		result.Verdict = Fail
	}
	return result
}

func (d *digest) judge(proof Proof) []Finding {
	hops := d.hops()
	findings := slices.Clone(hops)
	for _, more := range [][]Finding{d.nowhere(), slices.Concat(d.witness(), d.strangers(), d.protocol(), d.appFails())} {
		before := slices.Clone(findings)
		for _, f := range more {
			if !slices.ContainsFunc(before, func(b Finding) bool { return b.Code == f.Code }) { // one culprit is named once
				findings = append(findings, f)
			}
		}
	}
	if len(hops) == 0 && !has(findings, Fail) {
		reasons := d.open()
		if len(reasons) == 0 {
			reasons = d.spread()
		}
		if len(reasons) == 0 {
			reasons = d.unproven(proof)
		}
		findings = append(findings, reasons...)
	}
	return append(findings, d.notes(findings)...)
}

// Enough is the stopping rule: more calls would not change the verdict, or
// Limit is reached. The witness plays no part, it is called for separately.
//
// A healthy run ends when every endpoint was seen and one connection saw two.
// By then, few calls can show that one endpoint gets more than its share: to go
// on until they could would cost dozens of calls for each endpoint. Which lead
// they could have shown is stated instead (Coverage.Skew).
// Failing calls end it once they are more than the allowed share of at least
// 20 calls, or all of at least 5; a single failure prolongs it until 10 good
// calls followed. Where no endpoint is ready, 5 calls tell at which hop it
// shows; where one is, none is needed.
//
// To be asked after every call. Above 100 calls it looks at the evidence only
// once in a hundredth of them, and else says no, so that a run of n calls
// costs about n*n/200 looks at a call, not n*n/2.
func Enough(e Evidence) bool {
	if n := len(e.Samples); (e.Rung == RungRoute || e.Rung == RungApp) && n > 100 && n%(n/100) != 0 && (e.Limit <= 0 || n < e.Limit) {
		return false
	}
	d := fold(e)
	const surely, hopeless = 20, 5
	switch {
	case e.Limit > 0 && d.calls >= e.Limit, len(e.Expected) == 1, len(d.invalid()) > 0, d.nameless():
		return true
	case len(e.Expected) == 0 && !e.NoCluster: // nothing to balance over, but the calls tell why
		return d.calls >= hopeless
	case d.persistent():
		return d.calls >= surely || d.failures >= d.calls && d.calls >= hopeless
	case d.failures > 0 && d.streak < calm:
		return false
	case d.Rung == RungApp && d.unnamed == 0 && d.stranger.Total() > 0: // they may go on without end
		return d.calls > mostNames(len(d.Expected)) && d.calls >= d.needed()
	case d.unnamed+d.stranger.Total() > 0 && d.calls >= calm:
		return true
	case d.uncertain():
		return d.named >= max(d.settled(), d.stuckNeeded())
	case d.oneName() && d.Expect > 1:
		return d.named >= d.stuckNeeded()
	case d.NoCluster && d.named < d.settled():
		return has(d.spread(), Fail)
	case has(d.spread(), Fail), d.named >= d.needed():
		return true
	case e.ByDesign != "":
		return d.named >= d.stuckNeeded()
	}
	silent, unsure := d.missing()
	return len(silent)+len(unsure) == 0 && len(d.proof().Pods) > 1
}

// summary is what can be told whatever the verdict.
func (d *digest) summary() Result {
	result := Result{Proof: d.proof(), PerEndpoint: []Count{}, Unidentified: d.unnamed + d.stranger.Total(), Control: d.Control}
	all := d.named
	for _, n := range d.explain {
		all += n
	}
	share := func(n int) float64 { return float64(n) / math.Max(float64(all), 1) }
	uncounted := d.uncounted()
	for i, endpoint := range d.Expected {
		if slices.Contains(uncounted, i) || d.nameless() {
			continue // a 0 would read as a pod that got no calls
		}
		if d.uncertain() {
			endpoint.Share, endpoint.Least, endpoint.Most = 0, 0, 0
		}
		result.PerEndpoint = append(result.PerEndpoint, Count{Endpoint: endpoint, Calls: d.counts[i], Share: share(d.counts[i])})
		if d.seen(i) {
			result.Coverage.Seen++
		}
	}
	for _, address := range slices.Sorted(maps.Keys(d.explain)) {
		n := d.explain[address]
		result.PerEndpoint = append(result.PerEndpoint, Count{Endpoint: Endpoint{Address: address}, Calls: n, Share: share(n)})
	}
	if d.nameless() {
		result.Unidentified = d.named + d.stranger.Total() + d.unnamed
	}
	if len(uncounted) < len(d.Expected) && !d.uncertain() {
		result.Coverage.Of = len(d.Expected)
	}
	result.Coverage.Calls = d.calls
	result.Coverage.Needed = d.needed()
	if !d.uncertain() {
		result.Coverage.Skew = d.skew()
	}
	result.Coverage.Alpha = d.Alpha
	return result
}

// invalid finds evidence that no formula can take.
func (d *digest) invalid() []Finding {
	say := func(format string, args ...any) []Finding {
		return []Finding{found(codeEvidence, d.where(), fmt.Sprintf(format, args...), "run the check again, and report it if this comes back")}
	}
	sum := 0.0
	for _, endpoint := range d.Expected {
		if !(endpoint.Share > 0) {
			return say("endpoint %s has the share %v", endpoint.Address, endpoint.Share)
		}
		if l, m := endpoint.Least, endpoint.Most; l != 0 && !(l > 0 && l <= endpoint.Share) || m != 0 && !(m >= endpoint.Share && m <= 1) {
			return say("endpoint %s has the share %v, of at least %v and at most %v", endpoint.Address, endpoint.Share, l, m)
		}
		sum += endpoint.Share
	}
	switch {
	case !slices.Contains([]string{RungRoute, RungAdmin, RungSidecars, RungApp}, d.Rung):
		return say("no way of identification is called %q", d.Rung)
	case !(d.Alpha > 0 && d.Alpha < 1):
		return say("alpha is %v, not between 0 and 1", d.Alpha)
	case len(d.index) != len(d.Expected):
		return say("an endpoint is listed twice")
	case len(d.Expected) > 0 && math.Abs(sum-1) > 1e-6:
		return say("the expected shares sum to %v", sum)
	}
	return nil
}

// order puts the culprit first: by weight, then by the order of Codes.
func order(findings []Finding) []Finding {
	weight := func(f Finding) int {
		switch effect(f.Code) {
		case Fail:
			return 0
		case Inconclusive:
			return 1
		}
		if f.Severity == Warning {
			return 2
		}
		return 3
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(weight(a), weight(b)), cmp.Compare(a.Code, b.Code))
	})
	return findings
}

func hasCode(findings []Finding, code string) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == code })
}

func has(findings []Finding, v Verdict) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return effect(f.Code) == v })
}
