package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"grpcmesh/internal/spread"
)

// maxForeign is the ratio of others' calls to own ones above which the counts
// of the sidecars rung are not judged.
const maxForeign = 0.1

// proof finds the one connection on which the most pods answered.
func (d *digest) proof() Proof {
	if d.counting() {
		proof := Proof{Calls: d.Own}
		for i := range d.Expected {
			if d.seen(i) && d.dials() == 1 {
				proof.Pods = append(proof.Pods, d.name(i))
			}
		}
		return proof
	}
	var best Proof
	for _, l := range slices.SortedFunc(maps.Keys(d.lines), func(a, b line) int {
		return cmp.Or(cmp.Compare(a.conn, b.conn), cmp.Compare(a.connection, b.connection), cmp.Compare(a.gateway, b.gateway))
	}) {
		proof := Proof{Connection: l.connection, Gateway: l.gateway}
		for _, i := range slices.Sorted(maps.Keys(d.lines[l])) {
			proof.Pods = append(proof.Pods, d.name(i))
			proof.Calls += d.lines[l][i]
		}
		if cmp.Or(cmp.Compare(len(proof.Pods), len(best.Pods)), cmp.Compare(proof.Calls, best.Calls)) > 0 {
			best = proof
		}
	}
	return best
}

// dials are the connections that the counted calls were made on, as told and
// as the samples show.
func (d *digest) dials() int {
	conns := map[int]bool{}
	for _, s := range d.Samples {
		conns[s.Conn] = true
	}
	return max(d.ConnectionsUsed, len(conns))
}

// strangers are answers of addresses that no endpoint has.
func (d *digest) strangers() []Finding {
	if d.Rung == RungApp {
		return d.unidentifiable()
	}
	if d.stranger.Total() == 0 || len(d.Expected) == 0 {
		return nil // of a service without a ready endpoint nothing is known
	}
	namespace, service, route := d.names()
	which := fmt.Sprintf("%.100q", d.stranger.Counts()[0].Key)
	if n := len(d.stranger.Counts()); n > 1 {
		which += fmt.Sprintf(" and %d more", n-1)
	}
	if d.stranger.Overflowed() > 0 {
		which += ", and the names go on without end"
	}
	if len(d.Changed) > 0 {
		return []Finding{found(codeChanged, d.where(), "endpoints changed during the run, and "+which+" answered, which none of the changes explains",
			fmt.Sprintf("kubectl -n %s rollout status deployment, then run it again", namespace))}
	}
	return []Finding{found(codeUnknown, d.where(),
		fmt.Sprintf("%d of %d answers are unidentifiable: they came from %s, no endpoint of the service", d.stranger.Total(), d.calls, which),
		fmt.Sprintf("kubectl -n %s get virtualservice %s -o yaml: does a destination other than %s get calls", namespace, route, service))}
}

// open says why the spread can't be judged at all; at most one reason.
func (d *digest) open() []Finding {
	namespace, _, _ := d.names()
	one := func(code, message, hint string) []Finding { return []Finding{found(code, d.where(), message, hint)} }
	again := fmt.Sprintf("kubectl -n %s rollout status deployment, then run it again", namespace)
	switch {
	case d.Unasked != "":
		return []Finding{d.unasked()}
	case d.NoCluster && d.Rung == RungApp:
		return d.openNamed()
	case len(d.Expected) < 2 && len(d.Changed) > 0:
		return one(codeChanged, fmt.Sprintf("only %d endpoints were ready during the whole run: %s", len(d.Expected), d.changes()), again)
	case len(d.Expected) < 2:
		return one(codeFew, fmt.Sprintf("%s ready, and balancing needs two", are(len(d.Expected), "endpoint")),
			d.moreReplicas())
	case d.ByDesign != "":
		return one(codeByDesign, "calls are meant to stick: "+d.ByDesign, "kubectl get destinationrule -A -o yaml: see trafficPolicy.loadBalancer of the one named here, if that is not meant")
	case d.Rung == RungApp:
		return d.openNamed()
	case d.spilled > 0:
		return one(codePrefers, fmt.Sprintf("%d calls were answered by pods that get calls only when nearer ones fail: the gateway takes some of those for unhealthy, or their places have changed", d.spilled),
			"istioctl -n istio-system proxy-config endpoints deploy/istio-ingressgateway: which are unhealthy, or ejected")
	case len(d.uncounted()) > 0:
		return []Finding{d.blind()}
	case d.named == 0:
		message := fmt.Sprintf("none of %d calls was identified", d.calls)
		if len(d.Samples) > 0 {
			message += " (" + describe(d.Samples[0]) + ")"
		}
		if d.counting() {
			return one(codeNobody, message+", and no "+d.counter()+" counted one", d.otherWay()+"; or see whether the address leads to these pods: kubectl get virtualservice -A")
		}
		return one(codeNobody, message, d.otherWay()+"; or look at the probe route: kubectl get virtualservice -A")
	case d.unnamed > 0 && d.counting():
		return one(codeUnstamped, fmt.Sprintf("%d of %d calls were counted by no %s: others may have answered them", d.unnamed, d.calls, d.counter()),
			d.otherWay())
	case d.unnamed > 0:
		return one(codeUnstamped, fmt.Sprintf("%d of %d answers don't tell which pod they came from: the users' own route may match the probe's path first", d.unnamed, d.calls),
			d.otherWay())
	case d.counting() && float64(d.Foreign) > maxForeign*float64(d.Own):
		return one(codeForeign, fmt.Sprintf("%d calls more were counted than the %d that were made, and one in ten is the most that may be: others call too, or the gateway tried calls again that had failed at a pod, which counts as well", d.Foreign, d.Own), d.otherWay()+"; or run it in a quiet hour")
	}
	return nil
}

// blind says which pods' calls could not be counted, and why.
func (d *digest) blind() Finding {
	namespace, _, _ := d.names()
	none := d.uncounted()
	names := make([]string, 0, len(none))
	for _, i := range none {
		names = append(names, d.name(i))
	}
	why := cmp.Or(d.Uncounted[d.Expected[none[0]].Address], "its counter was not read")
	message := fmt.Sprintf("the calls of %d of %d pods could not be counted: %s; of the first: %.300q", len(none), len(d.Expected), some(names), why)
	if d.Rung == RungAdmin {
		return found(codeUncounted, d.where(), message, d.verify("--identify=sidecars")+"; or "+d.otherWay())
	}
	sidecar := fmt.Sprintf("give the pods a sidecar: grpcmesh expose -n %s", cmp.Or(d.Expected[none[0]].Namespace, namespace))
	if d.Layer4 {
		return found(codeUncounted, d.where(), message, sidecar)
	}
	return found(codeUncounted, d.where(), message, d.otherWay()+", which needs no sidecar; or "+sidecar)
}

// draws is how many independent draws the counts are.
func (d *digest) draws() int {
	if d.counting() {
		return min(d.named, d.Own)
	}
	return d.named
}

func (d *digest) stuckNeeded() int {
	if d.uncertain() { // there may be two pods, of which each connection gets to one
		return spread.StuckNeededShares([]float64{.75, .75}, d.alpha/anew)
	}
	if d.NoCluster { // as many connections are made where one shows one name alone
		return spread.StuckNeededShares(d.most, d.alpha/anew)
	}
	return spread.StuckNeededShares(d.most, d.alpha)
}

// spread makes the tests. What they find is no fault where some endpoints are
// preferred by design: which ones, and how much, is not known here.
func (d *digest) spread() []Finding {
	findings := d.tests()
	if d.Ejects != "" && has(findings, Fail) {
		return []Finding{found(codePrefers, findings[0].Subject, findings[0].Message+"; but the calls of this check, or of one before it, may be why: "+d.Ejects, d.realCall())}
	}
	if d.Prefers == "" || !has(findings, Fail) {
		return findings
	}
	return []Finding{found(codePrefers, findings[0].Subject, findings[0].Message+"; but that may be by design, for "+d.Prefers,
		"kubectl get nodes -L topology.kubernetes.io/zone: compare the zones of pods and gateway; where pods are new, run it again later")}
}

// tests makes the three tests; the first that fails explains the others.
func (d *digest) tests() []Finding {
	if d.ByDesign != "" || d.unnamed > 0 || len(d.Expected) < 2 || d.Rung == RungApp && d.stranger.Total() > 0 {
		return nil
	}
	namespace, service, route := d.names()
	if who, calls, ok := d.stuck(); ok {
		message := fmt.Sprintf("all of %d calls landed on %s, of %d endpoints", calls, d.name(who), len(d.Expected))
		if d.NoCluster {
			return []Finding{d.pinned(who, calls)}
		}
		if d.Layer4 {
			return []Finding{found(codeStuck, d.name(who), message+": this address is a Service's own, where layer 4 picks a pod once per connection and never again",
				fmt.Sprintf("grpcmesh expose -n %s, and dial the gateway instead of service %s", namespace, service))}
		}
		return []Finding{found(codeStuck, d.name(who), message,
			fmt.Sprintf("kubectl -n %s get service %s -o yaml: does the port have appProtocol grpc; then the subsets of virtualservice %s", namespace, service, route))}
	}
	if silent, _ := d.missing(); len(silent) > 0 && d.draws() >= d.needed() {
		if d.NoCluster {
			return []Finding{d.silentNames(silent)}
		}
		names := make([]string, 0, len(silent))
		for _, i := range silent {
			names = append(names, d.name(i))
		}
		message := fmt.Sprintf("%d of %d endpoints got none of %d calls (%d are enough to tell): %s", len(silent), len(d.Expected), d.draws(), d.needed(), some(names))
		if len(d.Changed) > 0 {
			return []Finding{found(codeChanged, d.name(silent[0]), message+"; but endpoints changed meanwhile: "+d.changes(), "wait until the rollout is over, then run it again")}
		}
		return []Finding{d.unseen(silent[0], message)}
	}
	if i, logLR, alarm := d.dominance.Alarm(); alarm && !d.uncertain() {
		message := fmt.Sprintf("%s got %d of %d calls against an expected share of %.3g%s (log likelihood ratio %.1f)", d.name(i), d.counts[i], d.named, d.shares[i], d.atMost(i), logLR)
		if len(d.Changed) > 0 { // the shares changed with them
			return []Finding{found(codeChanged, d.name(i), message+"; but endpoints changed meanwhile: "+d.changes(), "wait until the rollout is over, then run it again")}
		}
		return []Finding{found(codeDominance, d.name(i), message, d.favouring())}
	}
	return d.underLoad()
}

// favouring is where to look for what favours a pod.
func (d *digest) favouring() string {
	namespace, _, _ := d.names()
	return fmt.Sprintf("kubectl -n %s get destinationrule -o yaml: see loadBalancer, localityLbSetting and warmup", namespace)
}

// atMost says what share an endpoint can rightly have, where that is more than
// the expected.
func (d *digest) atMost(i int) string {
	if d.most[i] > d.shares[i] {
		return fmt.Sprintf(", and of %.3g even if all others were busier", d.most[i])
	}
	return ""
}

// unseen is the Finding of a pod that never answers: the gateway's calls to it
// may have failed, or it may have made none.
func (d *digest) unseen(i int, message string) Finding {
	e := d.Expected[i]
	namespace, _, _ := d.names()
	pod := fmt.Sprintf("kubectl -n %s logs %s --all-containers --tail=50", cmp.Or(e.Namespace, namespace), cmp.Or(e.Pod, "POD"))
	if n := d.failedAt(i); n > 0 {
		return found(codeUnseen, d.name(i), fmt.Sprintf("%s; %d calls to %s failed", message, n, d.name(i)), pod+": why does it not answer")
	}
	return found(codeUnseen, d.name(i), message,
		fmt.Sprintf("istioctl -n istio-system proxy-config endpoints deploy/istio-ingressgateway: is %s listed and healthy; if not, %s; if so, see subsets and locality in %s", e.Address, pod, namespace))
}

// failedAt is how many failed calls were for endpoint i.
func (d *digest) failedAt(i int) int {
	n := 0
	for _, samples := range d.failed {
		for _, s := range samples {
			if s.Stamp.Backend == d.Expected[i].Address {
				n++
			}
		}
	}
	return n
}

// unproven says what a PASS lacks; at most one reason.
func (d *digest) unproven(proof Proof) []Finding {
	one := func(code, message, hint string) []Finding { return []Finding{found(code, d.where(), message, hint)} }
	silent, unsure := d.missing()
	more := d.more()
	switch {
	case len(silent) == 0 && d.NoCluster && d.draws() < d.settled():
		return one(codeTooFew, fmt.Sprintf("the app gave %d names in %d calls, and only after %d would one more, with an equal share, have shown", len(d.Expected), d.draws(), d.settled()), more)
	case len(silent) > 0:
		return one(codeTooFew, fmt.Sprintf("%d of %d endpoints answered in %d calls, and only %d calls could tell a silent one from bad luck",
			len(d.Expected)-len(silent), len(d.Expected), d.draws(), d.needed()), more)
	case len(unsure) > 0 && d.atSidecar > 0:
		return one(codeTooFew, fmt.Sprintf("the calls that the sidecar of %s counted may all be those that got no further: %d calls of the run did not", d.name(unsure[0]), d.atSidecar), more)
	case len(unsure) > 0:
		return one(codeForeign, fmt.Sprintf("the calls counted for %s may all be others', or such as the gateway tried again elsewhere: %d more were counted than made", d.name(unsure[0]), d.Foreign), d.otherWay()+"; or run it in a quiet hour")
	case d.failures > 0 && d.streak < calm:
		return one(codeTooFew, fmt.Sprintf("only %d good calls followed a failed one, and it takes %d to call it over", d.streak, calm), more)
	case d.counting() && d.good == 0:
		return one(codeNoWitness, "each "+d.counter()+" counted calls, but no call of this run shows that it was answered", d.answerable())
	case d.counting() && d.dials() != 1:
		return one(codeConnections, fmt.Sprintf("%d connections were made, and several spread by layer 4 too", d.dials()), "run it again; if it comes back, look for a maximum connection age at the gateway or a load balancer in front")
	case len(proof.Pods) < 2, d.counting() && d.quiet == 0:
		return one(codeNoProof, "every endpoint answered, but no single connection without a GOAWAY saw two of them: layer 4 does that too", "look for a maximum connection age at the gateway or a load balancer in front: istioctl proxy-config listener deploy/istio-ingressgateway -n istio-system")
	}
	return nil
}
