package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// Reason is why calls of a load were not well.
type Reason struct {
	// Flags are the gateway's response flags, where it answered by itself.
	Flags string `json:"flags,omitempty"`
	// NoAnswer: no status came from a server.
	NoAnswer bool       `json:"noAnswer,omitempty"`
	Code     codes.Code `json:"code"`
	Calls    int        `json:"calls"`
}

func (r Reason) String() string {
	switch {
	case r.NoAnswer:
		return "no answer"
	case r.Flags != "":
		return fmt.Sprintf("flags %.50q, status %d (%s)", r.Flags, r.Code, r.Code)
	}
	return fmt.Sprintf("status %d (%s)", r.Code, r.Code)
}

// loadFailed judges the calls of a load that were not well, and a load that was
// not made. Those of one that was held over a rollout are judged as its losses.
func (d *digest) loadFailed(found []Finding) []Finding {
	if d.NoLoad != "" && d.Rollout == nil {
		return []Finding{d.noLoad()}
	}
	if d.Load == nil || d.Load.Failed == 0 || d.Rollout != nil {
		return nil
	}
	code, what, why := codeLoadFails, "most calls of the load failed", ""
	hint := "see the statuses and the pods in the report's load; then what gateway and pods say: kubectl logs, and fewer calls at once: " + d.verify("--in-flight 5")
	if reasons := d.Load.Reasons; len(reasons) > 0 {
		most := reasons[0]
		why = fmt.Sprintf(", most often with %s: %d", most, most.Calls)
		if most.NoAnswer {
			code = codeNoAnswer
		} else if most.Flags != "" {
			code = d.flagCode(probe.Sample{Stamp: probe.Stamp{Flags: most.Flags}})
		}
		if code != codeLoadFails {
			what, hint = d.advice(code)
		}
	}
	of := fmt.Sprintf("%d of the load's %d calls failed%s", d.Load.Failed, d.Load.Calls, why)
	if 2*d.Load.Failed <= d.Load.Calls {
		return []Finding{d.of(codeLoadErrors, of, hint)}
	}
	told := func(f Finding) bool { return f.Code == code || code == codeLoadFails && f.Code == codeAppFails }
	if slices.ContainsFunc(found, told) { // one culprit is named once
		return nil
	}
	return []Finding{d.of(code, what+": "+of, hint)}
}

func (d *digest) of(code, message, hint string) Finding { return found(code, d.where(), message, hint) }

// noLoad is the Finding of a load that was asked for, with the way out.
func (d *digest) noLoad() Finding {
	namespace, _, _ := d.names()
	hint := "mend what the other findings name, then run it again"
	switch {
	case strings.Contains(d.NoLoad, "leave out --call"):
		hint = "leave out --call: the load then calls a method that the app does not have, which shows the balance as well"
	case strings.HasSuffix(d.NoLoad, "with --call"):
		hint = d.realCall()
	case strings.Contains(d.NoLoad, "may not"):
		hint = fmt.Sprintf("kubectl -n %s auth can-i create virtualservices.networking.istio.io: a role with the rights of docs/rbac.yaml has it", namespace)
	case len(d.Expected) == 1:
		hint = fmt.Sprintf("run more pods, then run it again: kubectl -n %s scale deployment DEPLOYMENT --replicas=3", namespace)
	case d.TimedOut != "":
		hint = d.longer()
	}
	return d.of(codeNoLoad, "the load that was asked for was not made: "+d.NoLoad, hint)
}

// timedOut says that the run's own --timeout is why too little is known, where
// nothing is known to be wrong.
func (d *digest) timedOut(findings []Finding) []Finding {
	if d.TimedOut == "" || has(findings, Fail) {
		return findings
	}
	kept := slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool {
		return f.Code == codeNobody || f.Code == codeTooFew || f.Code == codeNoProof || f.Code == codeNoWitness && len(d.Witness) == 0
	})
	made := fmt.Sprintf("%d calls were made to tell pods apart", d.calls)
	if d.WitnessOf > 0 {
		made += fmt.Sprintf(", and %d of %d on the users' own route", len(d.Witness), d.WitnessOf)
	}
	switch {
	case len(kept) < len(findings):
		return append(kept, d.of(codeTimedOut, fmt.Sprintf("--timeout %s ran out: by then %s", d.TimedOut, made), d.longer()))
	case d.WitnessOf > 0:
		return append(kept, d.of(codeCutShort, fmt.Sprintf("--timeout %s ran out: by then %s", d.TimedOut, made), d.longer()))
	}
	return findings
}

// longer is the command with more time.
func (d *digest) longer() string {
	given, _ := time.ParseDuration(d.TimedOut)
	return d.verify(fmt.Sprintf("--timeout %.0fs", max(5*time.Minute, 4*given).Seconds()))
}
