package check

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

// anew is on how many connections, at most, calls are made to find a second name
// where nothing says how many there should be.
const anew = 5

// uncertain says whether nothing tells how many pods there should be.
func (d *digest) uncertain() bool { return d.Rung == RungApp && d.NoCluster && d.Expect == 0 }

// settled is after how many calls one name more than those known, with an equal
// share, would have shown. Without a cluster nothing but that tells names of pods from names that
// are new each time.
func (d *digest) settled() int { return spread.Needed(spread.Equal(len(d.Expected)+1), d.alpha) }

// appointed are the endpoints where no cluster tells them: by the names in the
// samples, in the order in which they came, as many as there should be, or else
// as many as can be told apart. Those expected that no name was heard of yet are
// in it under a name of their own. Which name is which makes no difference to the
// tests: they treat all endpoints alike.
//
// Nor is it known how calls are balanced. Istio's default is that the busier of
// two pods drawn does not get the call, which bounds the shares as it does where a
// cluster tells: the busiest of k gets 1/k^2 of the calls, the idlest (2-1/k)/k.
func (e *Evidence) appointed() []Endpoint {
	most := e.Expect
	if most == 0 {
		most = spread.MaxPods
	}
	known := map[string]bool{}
	var all []Endpoint
	for _, s := range e.Samples {
		if s.Said != "" && !known[s.Said] && len(all) < most {
			known[s.Said] = true
			all = append(all, Endpoint{Address: s.Said})
		}
	}
	for i := len(all); i < e.Expect; i++ {
		name := fmt.Sprintf("not seen (%d)", i+1)
		for known[name] {
			name += "'"
		}
		known[name] = true
		all = append(all, Endpoint{Address: name})
	}
	for i := range all {
		k := float64(len(all))
		all[i].Share, all[i].Least, all[i].Most = 1/k, 1/k/k, (2-1/k)/k
	}
	return all
}

// byName finds an endpoint by what an app may call its pod: the pod's name, that
// with the namespace, the address, or the address without a port.
func byName(all []Endpoint) map[string]int {
	names, twice := map[string]int{}, map[string]bool{}
	for i, e := range all {
		own := map[string]bool{e.Address: true}
		if host, _, err := net.SplitHostPort(e.Address); err == nil {
			own[host] = true
		}
		if e.Pod != "" {
			own[e.Pod], own[e.Namespace+"/"+e.Pod] = true, true
		}
		for name := range own {
			_, taken := names[name]
			names[name], twice[name] = i, twice[name] || taken
		}
	}
	for name := range twice {
		if twice[name] { // of two pods: it tells neither
			delete(names, name)
		}
	}
	return names
}

// hear takes one call of the rung app: it went the users' own way, and the app
// says whose answer it is.
func (d *digest) hear(s probe.Sample) {
	code := NotTheApps(s)
	switch {
	case s.NoAnswer:
		code = codeNoAnswer
	case s.NotGRPC:
		code = codeNotGRPC
	case s.Said == "" && code == "" && !s.Upstream && s.Code == codes.Unimplemented && s.Message == "":
		code = codeNoRoute // Envoy's words where it has no route: none
	}
	if code != "" {
		d.fail(code, s)
		return
	}
	d.good++
	d.streak++
	if s.Said == "" {
		d.unnamed++
		return
	}
	i, known := d.said[s.Said]
	if !known {
		d.strange(s.Said, 1)
		return
	}
	d.counts[i]++
	d.named++
	d.dominance.Observe(i)
	l := line{conn: s.Conn}
	d.first[s.Conn] = l
	add(d.conns, s.Conn, i)
	if !s.GoAway {
		add(d.lines, l, i)
	}
}

// OneName says whether all that answered in a run of the rung app have one name,
// and no cluster tells whether that is a pod's.
func OneName(e Evidence) bool { return fold(e).oneName() }

func (d *digest) oneName() bool {
	named := 0
	for _, n := range d.counts {
		if n > 0 {
			named++
		}
	}
	return d.NoCluster && d.named > 0 && d.named == d.good && named == 1
}

func connections(n int) string {
	if n == 1 {
		return "one connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// nameless says whether there are far more names than there can be pods.
func (d *digest) nameless() bool {
	if d.Rung != RungApp {
		return false
	}
	if d.uncertain() {
		return d.stranger.Total() > 0
	}
	distinct := len(d.stranger.Counts())
	for _, n := range d.counts {
		if n > 0 {
			distinct++
		}
	}
	return distinct > mostNames(len(d.Expected))
}

// mostNames is how many names so many pods may have in a run: each may be
// replaced once.
func mostNames(pods int) int { return max(2*pods, pods+calm) }

// unidentifiable blames names that name nothing.
func (d *digest) unidentifiable() []Finding {
	if !d.nameless() {
		return nil
	}
	names := "more than " + fmt.Sprint(spread.MaxPods)
	if !d.uncertain() {
		names = fmt.Sprintf("more than %d, where %d pods should be", mostNames(len(d.Expected)), len(d.Expected))
	}
	return []Finding{found(codeNameless, d.where(), fmt.Sprintf("what the app says of itself (%s) names no pods: %s different names in %d calls, such as %.100q",
		d.BackendFrom, names, d.calls, d.Samples[len(d.Samples)-1].Said),
		"let --backend-from name what stays the same in a pod's answers: the pod's name, which is its HOSTNAME")}
}

// openNamed says why what the app says of itself can't be judged; at most one
// reason.
func (d *digest) openNamed() []Finding {
	one := func(code, message, hint string) []Finding { return []Finding{found(code, d.where(), message, hint)} }
	look := fmt.Sprintf("see whether an answer has it, by a call by hand; else name where the app says its pod's name: --backend-from header:NAME, trailer:NAME or field:PATH (it was %s)", d.BackendFrom)
	switch {
	case d.nameless():
		return nil // it has failed
	case d.named == 0 && d.stranger.Total() == 0:
		message := fmt.Sprintf("none of %d calls was identified: no answer had a name in %s", d.calls, d.BackendFrom)
		if len(d.Samples) > 0 {
			message += " (" + describe(d.Samples[0]) + ")"
		}
		return one(codeNobody, message, look)
	case d.unnamed > 0:
		return one(codeUnstamped, fmt.Sprintf("%d of %d answers have no name in %s", d.unnamed, d.calls, d.BackendFrom), look)
	case d.stranger.Total() > 0 && d.NoCluster:
		return one(codeUnstamped, fmt.Sprintf("%d of %d answers have other names than the first %d, such as %.100q", d.stranger.Total(), d.calls, d.Expect, d.stranger.Counts()[0].Key),
			"say with --expect how many pods there should be, or run it again when a rollout is over")
	case d.stranger.Total() > 0 && len(d.Changed) == 0:
		return one(codeUnstamped, fmt.Sprintf("%d of %d answers name no ready pod of the service, nor an address of one, such as %.100q", d.stranger.Total(), d.calls, d.stranger.Counts()[0].Key),
			"let the app say its pod's name, which is its HOSTNAME; or "+d.verify("--identify=route"))
	case d.stranger.Total() > 0:
		return one(codeChanged, fmt.Sprintf("endpoints changed during the run, and %.100q answered, which none of the changes explains", d.stranger.Counts()[0].Key), "wait until the rollout is over, then run it again")
	case d.NoCluster && d.Expect == 1:
		return one(codeFew, "one pod is expected, and balancing needs two", "run more pods, and say how many: "+d.verify("--expect 3"))
	case d.oneName() && d.Expect > 1 && d.draws() >= d.stuckNeeded():
		// One pod gets all, or all pods say the same: nothing here tells which.
		return one(codeFew, fmt.Sprintf("all of %d calls, on %s, were answered in the name of %s, and %d pods are expected: either one pod gets every call, or %s says the same in every pod's answers", d.calls, connections(len(d.conns)), d.name(0), d.Expect, d.BackendFrom),
			"see whether that is a pod's name, and whether so many pods are ready: kubectl get pods --all-namespaces; if it is no pod's, name what differs by pod: "+d.verify(fmt.Sprintf("--backend-from header:NAME --expect %d", d.Expect)))
	case d.NoCluster && len(d.Expected) == 1:
		return one(codeFew, fmt.Sprintf("all of %d calls, on %d connections, were answered by %s: by the only pod, or the only one that calls get to", d.calls, len(d.conns), d.name(0)),
			"say how many pods there should be: "+d.verify("--expect 3"))
	}
	return nil
}

// unnumbered is the note on a claim that is made without knowing how many pods
// there should be.
func (d *digest) unnumbered() []Finding {
	if !d.uncertain() || len(d.proof().Pods) < 2 || d.nameless() {
		return nil
	}
	return []Finding{found(codeUnnumbered, d.where(), fmt.Sprintf("how many pods there should be is not known: that %d answered shows that requests are balanced, not that each pod gets any", len(d.Expected)),
		"say how many: "+d.verify(fmt.Sprintf("--expect %d", len(d.Expected))))}
}

// silentNames is what is wrong where some of the pods expected never answered.
func (d *digest) silentNames(silent []int) Finding {
	var seen []string
	for i := range d.Expected {
		if !slices.Contains(silent, i) {
			seen = append(seen, d.name(i))
		}
	}
	return found(codeUnseen, d.where(), fmt.Sprintf("%d of the %d pods expected answered none of %d calls (%d are enough to tell); those that did: %s",
		len(silent), len(d.Expected), d.draws(), d.needed(), some(seen)), "are there so many, ready, and does each say a name of its own: kubectl get pods --all-namespaces")
}

// pinned is what is wrong where calls stick to a pod, and no cluster tells more.
func (d *digest) pinned(who, calls int) Finding {
	return found(codeStuck, d.name(who), fmt.Sprintf("all of %d calls on one connection were answered by %s, of %d pods", calls, d.name(who), len(d.Expected)),
		"what balances there does so by connection: dial a gateway that knows gRPC, as after grpcmesh expose, and see that the Service's port has appProtocol grpc")
}

// quoted is a name, in quotes where it is an app's own word.
func (d *digest) quoted(name string) string {
	if d.NoCluster && !strings.HasPrefix(name, "not seen (") {
		return fmt.Sprintf("%.100q", name)
	}
	return name
}
