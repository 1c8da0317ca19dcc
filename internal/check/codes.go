package check

// The codes of Findings. They are stable: a code is never reused.
const (
	codeNoAnswer    = "GM201"
	codeNoRoute     = "GM202"
	codeNoMatch     = "GM203"
	codeNoHealthy   = "GM204"
	codeConnect     = "GM205"
	codeTerminated  = "GM206"
	codeNoCluster   = "GM207"
	codeOverflow    = "GM208"
	codeProtocol    = "GM209"
	codeTimeout     = "GM210"
	codeOtherFlag   = "GM211"
	codeRBAC        = "GM212"
	codeMTLS        = "GM213"
	codeGateway     = "GM214"
	codeNotGRPC     = "GM215"
	codeMisread     = "GM216"
	codeAppFails    = "GM217"
	codeStuck       = "GM220"
	codeUnseen      = "GM221"
	codeDominance   = "GM222"
	codeUnknown     = "GM223"
	codeLost        = "GM224"
	codeNameless    = "GM225"
	codeLoadFails   = "GM226"
	codeFew         = "GM230"
	codeNobody      = "GM231"
	codeTooFew      = "GM232"
	codeChanged     = "GM233"
	codeByDesign    = "GM234"
	codeNoProof     = "GM235"
	codeNoWitness   = "GM236"
	codeForeign     = "GM237"
	codeConnections = "GM238"
	codeUnstamped   = "GM239"
	codeEvidence    = "GM241"
	codePrefers     = "GM242"
	codeUncounted   = "GM243"
	codeNoRollout   = "GM244"
	codeNoLoad      = "GM245"
	codeTimedOut    = "GM246"
	codeTransient   = "GM250"
	codeReconciled  = "GM251"
	codeUneven      = "GM252"
	codeAppError    = "GM253"
	codeProbeRBAC   = "GM254"
	codeRenewed     = "GM255"
	codePartial     = "GM256"
	codeNoControl   = "GM257"
	codeControl     = "GM258"
	codeEjects      = "GM259"
	codeUnverified  = "GM260"
	codeUnnumbered  = "GM261"
	codeStandby     = "GM262"
	codeLoadErrors  = "GM263"
	codeCutShort    = "GM264"
)

// Code describes one code: what it does to the verdict (Pass: nothing), the
// severity of its Findings, and what it means.
type Code struct {
	Code     string   `json:"code"`
	Verdict  Verdict  `json:"verdict"`
	Severity Severity `json:"severity"`
	Meaning  string   `json:"meaning"`
}

// Codes are all codes, sorted. The order is the order of blame too: of several
// findings of one weight the first one here is the culprit.
func Codes() []Code {
	return []Code{
		{codeNoAnswer, Fail, Error, "calls get no answer: the connection breaks or the time runs out"},
		{codeNoRoute, Fail, Error, "the gateway has no route for the host"},
		{codeNoMatch, Fail, Error, "the route is there, but its match is not met by real calls"},
		{codeNoHealthy, Fail, Error, "UH: the route, or a part of its weight, leads to a cluster without a healthy endpoint"},
		{codeConnect, Fail, Error, "UF: the gateway cannot connect to the pod, or the pod's sidecar to the app"},
		{codeTerminated, Fail, Error, "UC, UR: the pod or its sidecar breaks the connection, or an answer, off"},
		{codeNoCluster, Fail, Error, "NR, NC: the route, or a part of its weight, leads to no cluster"},
		{codeOverflow, Fail, Error, "UO: a circuit breaker is open"},
		{codeProtocol, Fail, Error, "UPE: the pod does not speak HTTP/2 to the gateway, or what it speaks is no gRPC"},
		{codeTimeout, Fail, Error, "UT, SI, DT: the pod did not answer the gateway in time"},
		{codeOtherFlag, Fail, Error, "another response flag of Envoy: the answer is not the pod's"},
		{codeRBAC, Fail, Error, "a policy at the pod's sidecar refuses, or asks for a token"},
		{codeMTLS, Fail, Error, "TLS between gateway and sidecar fails"},
		{codeGateway, Fail, Error, "the gateway refuses or answers by itself"},
		{codeNotGRPC, Fail, Error, "what answers is HTTP, but not gRPC"},
		{codeMisread, Fail, Error, "the Service's port is not taken for HTTP/2: replies lose their trailers"},
		{codeAppFails, Fail, Error, "the app answers most real calls with an error of its own"},
		{codeStuck, Fail, Error, "stuck on one pod"},
		{codeUnseen, Fail, Error, "an endpoint never answers"},
		{codeDominance, Fail, Error, "one pod gets far more than its share"},
		{codeUnknown, Fail, Error, "answers of addresses that are no endpoint: unidentifiable"},
		{codeLost, Fail, Error, "more calls were lost during a rollout than may be"},
		{codeNameless, Fail, Error, "what the app says of itself names no pods: there is no end to its names"},
		{codeLoadFails, Fail, Error, "most calls of the load failed"},
		{codeFew, Inconclusive, Warning, "fewer than two endpoints: nothing to balance over"},
		{codeNobody, Inconclusive, Warning, "not one answer could be identified"},
		{codeTooFew, Inconclusive, Warning, "too few calls"},
		{codeChanged, Inconclusive, Warning, "endpoints changed during the run"},
		{codeByDesign, Inconclusive, Warning, "calls stick by design"},
		{codeNoProof, Inconclusive, Warning, "no single connection saw two pods: that is what layer 4 does too"},
		{codeNoWitness, Inconclusive, Warning, "no call on the users' own route was answered by the upstream"},
		{codeForeign, Inconclusive, Warning, "others' calls blur the counts"},
		{codeConnections, Inconclusive, Warning, "the counted calls did not share one connection"},
		{codeUnstamped, Inconclusive, Warning, "some answers could not be identified"},
		{codeEvidence, Inconclusive, Warning, "the evidence contradicts itself"},
		{codePrefers, Inconclusive, Warning, "uneven, and some pods are preferred by design"},
		{codeUncounted, Inconclusive, Warning, "pods whose calls could not be counted, most often for want of a sidecar"},
		{codeNoRollout, Inconclusive, Warning, "no whole rollout was seen under load"},
		{codeNoLoad, Inconclusive, Warning, "the load that was asked for could not be made"},
		{codeTimedOut, Inconclusive, Warning, "--timeout ran out before enough calls were made"},
		{codeTransient, Pass, Warning, "a few calls failed and it was over soon"},
		{codeReconciled, Pass, Info, "endpoints changed, and the claim holds for those that stayed"},
		{codeUneven, Pass, Info, "uneven, but not beyond what fails"},
		{codeAppError, Pass, Warning, "the app itself answers with errors"},
		{codeProbeRBAC, Pass, Warning, "a policy refuses the probe's path, but not the users'"},
		{codeRenewed, Pass, Info, "the connection was renewed during the run"},
		{codePartial, Pass, Info, "the route takes some of the app's services only"},
		{codeNoControl, Pass, Warning, "the control at the Service itself could not be made"},
		{codeControl, Pass, Info, "the Service's own address spreads calls over pods too: something before it balances"},
		{codeEjects, Pass, Warning, "outlier detection counts this check's own calls as errors, and may put pods out for them"},
		{codeUnverified, Pass, Warning, "the server's certificate was not verified: whoever answered may be anyone"},
		{codeUnnumbered, Pass, Warning, "how many pods there should be is not known, so that coverage was not judged"},
		{codeStandby, Pass, Info, "some pods get calls only when those nearer to the gateway fail"},
		{codeLoadErrors, Pass, Warning, "some calls of the load failed, or many did before the restart that was watched"},
		{codeCutShort, Pass, Warning, "--timeout ran out before all calls on the users' own route were made"},
	}
}

// found makes a Finding, with the severity that its code has.
func found(code, subject, message, hint string) Finding {
	for _, c := range Codes() {
		if c.Code == code {
			return Finding{Code: code, Severity: c.Severity, Subject: subject, Message: message, Hint: hint}
		}
	}
	// A test holds that this can't happen; if it does, it can't pass unseen.
	return Finding{Code: code, Severity: Error, Subject: subject, Message: message, Hint: hint}
}

// effect is what a code does to the verdict; of an unlisted code, Fail.
func effect(code string) Verdict {
	for _, c := range Codes() {
		if c.Code == code {
			return c.Verdict
		}
	}
	return Fail
}
