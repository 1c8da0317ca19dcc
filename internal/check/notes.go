package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// notes are what the user should hear beside the verdict.
func (d *digest) notes(findings []Finding) []Finding {
	var notes []Finding
	note := func(code, message, hint string) { notes = append(notes, found(code, d.where(), message, hint)) }
	namespace, _, _ := d.names()
	coded := func(code string) bool { return hasCode(findings, code) }
	if d.failures > 0 && !d.persistent() {
		for _, code := range slices.Sorted(maps.Keys(d.failed)) {
			if !coded(code) { // one culprit is named once
				notes = append(notes, d.transient(code, d.failed[code], d.calls))
			}
		}
	}
	if d.refused > 0 && !coded(codeRBAC) {
		note(codeProbeRBAC, fmt.Sprintf("sidecars refused %d probe calls by an authorization policy; they show which pod, but no app has seen them", d.refused),
			fmt.Sprintf("kubectl -n %s get authorizationpolicy -o yaml: is the users' path allowed on every pod", namespace))
	}
	if n, text := d.appErrors(); n > 0 && !coded(codeAppFails) {
		note(codeAppError, fmt.Sprintf("the app answered %d of %d calls with an error of its own (%s)", n, len(d.users()), text), d.toLogs())
	}
	if len(d.Changed) > 0 && !coded(codeChanged) {
		message := "endpoints changed during the run: " + d.changes()
		if d.lost > 0 {
			message += fmt.Sprintf("; %d calls that no counter shows were theirs", d.lost)
		}
		note(codeReconciled, message, "run it again when the rollout is over, to cover the new ones too")
	}
	if len(d.Standby) > 0 && d.spilled == 0 {
		var names []string
		for _, e := range d.Standby {
			names = append(names, e.Name(d.Standby)+" ("+e.Address+")")
		}
		note(codeStandby, "only when the pods nearer to the gateway fail, or their weights say so, are calls led to "+some(names)+": not tested",
			"kubectl get destinationrule -A -o yaml: see localityLbSetting and outlierDetection, if that is not meant")
	}
	if d.Ejects != "" {
		note(codeEjects, d.Ejects+": pods may be out for a while after it", d.realCall())
	}
	if d.goAway && !coded(codeNoProof) {
		note(codeRenewed, "the gateway ended a connection by GOAWAY during the run", "clients see that too: check that they reconnect")
	}
	if c := d.Control; c != nil && c.Why != "" {
		note(codeNoControl, "the control at Service "+c.Service+" shows nothing: "+c.Why, "run verify in a pod of the cluster, or without --control")
	} else if c != nil && len(c.Landed) > 1 {
		note(codeControl, fmt.Sprintf("%d calls on one connection to Service %s itself were answered by %d pods", c.Calls, c.Service, len(c.Landed)),
			"where verify runs with a sidecar of its own that one balances, and the gateway is not what makes the difference")
	}
	notes = append(notes, d.unnumbered()...)
	if i, ok := d.uneven(); ok && !d.uncertain() && !d.oneName() && !coded(codeDominance) && !coded(codeStuck) && !coded(codeUnseen) {
		note(codeUneven, fmt.Sprintf("%s got %d of %d calls against an expected share of %.3g", d.name(i), d.counts[i], d.named, d.shares[i]),
			"several gateway workers or replicas each take their own turns: make more calls to see whether it lasts")
	}
	if i, ok := d.unevenLoad(); ok && !coded(codeUneven) && !coded(codeDominance) && !coded(codeStuck) && !coded(codeUnseen) {
		note(codeUneven, fmt.Sprintf("%s got %d of the load's %d answers against an expected share of %.3g", d.name(i), d.Load.Counts[d.Expected[i].Address], d.answeredLoad(), d.shares[i]),
			"where the gateway prefers idle pods (LEAST_REQUEST) a slow one rightly gets less: compare the latency of the pods in the report")
	}
	return notes
}

// appFails blames an app that answers more than half of the calls that the user
// gave with anything but OK.
func (d *digest) appFails() []Finding {
	n, text := d.appErrors()
	if all := len(d.users()); d.Real && 2*n > all {
		return []Finding{found(codeAppFails, d.where(), fmt.Sprintf("the app answered %d of %d real calls with an error of its own (%s)", n, all, text), d.toLogs())}
	}
	return nil
}

// toLogs is where an app's errors are explained.
func (d *digest) toLogs() string {
	namespace, _, route := d.names()
	logs := d.logs()
	if !d.NoCluster && slices.ContainsFunc(d.users(), func(s probe.Sample) bool { return s.Code == codes.Unimplemented }) {
		return logs + fmt.Sprintf("; and does the route rewrite the path: kubectl -n %s get virtualservice %s -o yaml", namespace, route)
	}
	return logs
}

// logs is where the app tells of its errors: the first pod's log, for one.
func (d *digest) logs() string {
	namespace, service, _ := d.names()
	for _, e := range d.Expected {
		if e.Pod != "" {
			return fmt.Sprintf("kubectl -n %s logs %s --all-containers --tail=50: and so of each other pod behind service %s", cmp.Or(e.Namespace, namespace), e.Pod, service)
		}
	}
	if d.NoCluster {
		return "see the app's own log"
	}
	return fmt.Sprintf("kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s -o wide: then the logs of the pods in it", namespace, service)
}

// users are the calls that went the users' own way.
func (d *digest) users() []probe.Sample {
	if d.counting() || d.Rung == RungApp {
		return d.Samples
	}
	return d.Witness
}

// apps says whether a call of theirs was answered by the app.
func (d *digest) apps(s probe.Sample) bool {
	return d.witnessCode(s) == "" || s.Said != "" && NotTheApps(s) == ""
}

// appErrors counts users' calls that reached the app and met an error which
// no choice of method or argument explains: that it can't decode what verify
// sends it, to do nothing, is none. text is the most frequent of them.
func (d *digest) appErrors() (n int, text string) {
	type kind struct {
		code    codes.Code
		message string
	}
	seen, most := map[kind]int{}, 0
	for _, s := range d.users() {
		if s.Stamped || !d.apps(s) || !d.appError(s) {
			continue
		}
		n++
		k := kind{s.Code, s.Message}
		seen[k]++
		if seen[k] > most {
			most, text = seen[k], describe(s)
		}
	}
	return n, text
}

// appError says whether the app's answer counts as an error of its own.
func (d *digest) appError(s probe.Sample) bool {
	if d.Real {
		return s.Code != codes.OK
	}
	if d.Unreadable && (s.Code == codes.Unknown || s.Code == codes.Internal) {
		return false
	}
	switch s.Code {
	case codes.Unknown, codes.Internal, codes.Unavailable, codes.DataLoss:
		return !unreadable(s)
	default:
		return false
	}
}

// uneven finds an endpoint with under half or over double its share, once
// there were ten calls for each. It describes, it is no test.
func (d *digest) uneven() (int, bool) {
	if d.named < 10*len(d.Expected) || len(d.Expected) < 2 || len(d.uncounted()) > 0 {
		return 0, false
	}
	return d.offShare(d.counts, d.named)
}

// offShare finds an endpoint with under half or over double its share of all.
func (d *digest) offShare(counts []int, all int) (int, bool) {
	for i, n := range counts {
		ratio := float64(n) / (d.shares[i] * float64(all))
		if ratio < 0.5 || ratio > 2 {
			return i, true
		}
	}
	return 0, false
}

// name is the pod and its address.
func (d *digest) name(i int) string {
	if e := d.Expected[i]; e.Pod != "" {
		return e.Name(d.Expected) + " (" + e.Address + ")"
	}
	return d.quoted(d.Expected[i].Address)
}

// where is what the finding is about.
func (d *digest) where() string {
	w := d.Where
	if w.VirtualService != "" {
		return "virtualservice " + strings.TrimPrefix(w.Namespace+"/"+w.VirtualService, "/")
	}
	if w.Service != "" {
		return "service " + strings.TrimPrefix(w.Namespace+"/"+w.Service, "/")
	}
	return cmp.Or(w.Address, "the address under test")
}

func (d *digest) names() (namespace, service, route string) {
	return cmp.Or(d.Where.Namespace, "NAMESPACE"), cmp.Or(d.Where.Service, "SERVICE"), cmp.Or(d.Where.VirtualService, "VIRTUALSERVICE")
}

// realCall is the command that makes calls which the app answers.
func (d *digest) realCall() string {
	return d.verify("--call PACKAGE.SERVICE/METHOD --data JSON")
}

// more is the command that may make enough calls.
func (d *digest) more() string {
	if n := d.needed(); d.Limit > 0 && d.Limit < n {
		return d.verify(fmt.Sprintf("--requests %d", n))
	}
	return d.verify("--timeout 5m")
}

func (d *digest) changes() string { return some(d.Changed) }

// some joins the first few, and counts the rest.
func some(words []string) string {
	const most = 5
	if len(words) <= most {
		return strings.Join(words, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(words[:most], "; "), len(words)-most)
}
