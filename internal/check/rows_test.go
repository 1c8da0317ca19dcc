package check

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// row is one mutation of evidence that passes, and the codes it must get, the
// culprit first.
type row struct {
	name   string
	change func(e *Evidence)
	want   Verdict
	codes  []string
}

// routeRows mutate route(), each in one thing.
func routeRows() []row {
	unfinished := stamped(podA)
	unfinished.Err = "the answer began but did not finish"
	rbac := probe.Sample{Path: "/app.Echo/Say", Code: codes.PermissionDenied, Message: "RBAC: access denied", Upstream: true}
	dead := probe.Sample{NoAnswer: true, Code: codes.Unavailable, Err: "the connection ended: EOF"}
	html := probe.Sample{NotGRPC: true, Code: codes.Unimplemented, Message: "unexpected HTTP status code received from server: 404"}
	upstream := func(code codes.Code, message string) probe.Sample {
		return probe.Sample{Path: "/app.Echo/Say", Code: code, Message: message, Upstream: true}
	}
	return []row{
		{"as recorded", func(*Evidence) {}, Pass, nil},
		{"one unfinished reply", func(e *Evidence) { e.Samples[0] = unfinished }, Pass, []string{"GM250"}},
		{"unfinished replies", each(func(_ int, s *probe.Sample) { s.Err = unfinished.Err }), Fail, []string{"GM206"}},
		{"replies too large for the client", each(func(_ int, s *probe.Sample) { s.Code, s.Err = codes.ResourceExhausted, unfinished.Err }), Pass, nil},
		{"sidecars without an app", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Unavailable, noApp }), Fail, []string{"GM205"}},
		{"one pod without an app", each(func(_ int, s *probe.Sample) {
			if s.Stamp.Backend == podB {
				s.Code, s.Message = codes.Unavailable, noApp
			}
		}), Fail, []string{"GM205"}},
		{"a pod without an app among a hundred", manyAnd(func(s *probe.Sample) { s.Code, s.Message = codes.Unavailable, noApp }), Inconclusive, []string{"GM232", "GM250"}},
		{"an app that hangs", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.DeadlineExceeded, "upstream request timeout" }), Fail, []string{"GM210"}},
		{"an app that crashes", each(func(_ int, s *probe.Sample) {
			s.Code, s.Message = codes.Unavailable, "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
		}), Fail, []string{"GM206"}},
		// Harmless: the stamp alone says whose answer it is.
		{"no service time", each(func(_ int, s *probe.Sample) { s.Upstream = false }), Pass, nil},
		{"another code of the app's", each(func(_ int, s *probe.Sample) { s.Code = codes.Internal }), Pass, nil},
		{"an error of the app's own backend", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Unavailable, "asking the shop: "+noApp }), Pass, nil},
		{"another cluster", each(func(_ int, s *probe.Sample) { s.Stamp.Cluster = "" }), Pass, nil},

		// Identification.
		{"a stamp dropped", func(e *Evidence) { e.Samples[4].Stamped, e.Samples[4].Stamp = false, probe.Stamp{} }, Inconclusive, []string{"GM239"}},
		{"a backend dropped", func(e *Evidence) { e.Samples[4].Stamp.Backend = "" }, Inconclusive, []string{"GM239"}},
		{"flags dropped", func(e *Evidence) { e.Samples[4].Stamp.Flags = "" }, Inconclusive, []string{"GM239"}},
		{"all stamps dropped", each(func(_ int, s *probe.Sample) { s.Stamped, s.Stamp = false, probe.Stamp{} }), Inconclusive, []string{"GM231"}},
		{"no calls", calls(nil), Inconclusive, []string{"GM231"}},
		{"unknown backend", func(e *Evidence) { e.Samples[4].Stamp.Backend = nobod }, Fail, []string{"GM223"}},
		{"a backend whose address begins alike", func(e *Evidence) {
			e.Samples[4].Stamp.Backend = podA + "0"
		}, Fail, []string{"GM223"}},
		{"a thousand names", each(func(i int, s *probe.Sample) { s.Stamp.Backend = fmt.Sprint("\x1b]52;", i) }), Fail, []string{"GM223"}},

		// One connection.
		{"connection ids differ", each(func(i int, s *probe.Sample) { s.Stamp.Connection = fmt.Sprint(i) }), Inconclusive, []string{"GM235"}},
		{"connection ids missing", each(func(_ int, s *probe.Sample) { s.Stamp.Connection = "" }), Inconclusive, []string{"GM235"}},
		{"gateways differ", each(func(i int, s *probe.Sample) { s.Stamp.Gateway = fmt.Sprint("gw-", i) }), Inconclusive, []string{"GM235"}},
		{"gateways missing", each(func(_ int, s *probe.Sample) { s.Stamp.Gateway = "" }), Inconclusive, []string{"GM235"}},
		{"dials differ", each(func(i int, s *probe.Sample) { s.Conn = i }), Inconclusive, []string{"GM235"}},
		{"GOAWAY at once", each(func(_ int, s *probe.Sample) { s.GoAway = true }), Inconclusive, []string{"GM235"}},
		{"GOAWAY after one call", each(func(i int, s *probe.Sample) { s.GoAway = i > 0 }), Inconclusive, []string{"GM235"}},
		{"GOAWAY once the claim is proved", each(func(i int, s *probe.Sample) { s.GoAway = i > 5 }), Pass, []string{"GM255"}},
		{"two gateways, one of which balances", each(func(i int, s *probe.Sample) {
			if i >= 6 {
				s.Conn, s.Stamp.Connection, s.Stamp.Gateway = 2, "9", "gw-2"
			}
		}), Pass, nil},

		// Spread.
		{"one pod for all", calls(repeat(12, stamped(podA))), Fail, []string{"GM220"}},
		{"one pod per connection", each(func(i int, s *probe.Sample) {
			*s = stamped([]string{podA, podB, podC}[i%3])
			s.Conn, s.Stamp.Connection = i%3, fmt.Sprint(i%3)
		}), Inconclusive, []string{"GM235"}},
		{"one pod per connection, at length", both(func(e *Evidence) { e.Samples = repeat(12, e.Samples[:3]...) }, each(func(i int, s *probe.Sample) {
			s.Conn, s.Stamp.Connection = i%3, fmt.Sprint(i%3)
		})), Fail, []string{"GM220"}},
		{"one pod per connection, just not enough", both(func(e *Evidence) { e.Samples = repeat(9, e.Samples[:3]...) }, each(func(i int, s *probe.Sample) {
			s.Conn, s.Stamp.Connection = i%3, fmt.Sprint(i%3)
		})), Inconclusive, []string{"GM235"}},
		{"one pod per dial, but something in between redials", both(func(e *Evidence) { e.Samples = repeat(12, e.Samples[:3]...) }, each(func(i int, s *probe.Sample) {
			s.Conn, s.Stamp.Connection = i%3, fmt.Sprint(i)
		})), Inconclusive, []string{"GM235"}},
		{"one expected pod, and one that came", both(calls(slices.Concat(repeat(12, stamped(podA)), repeat(3, stamped(nobod)))), func(e *Evidence) {
			e.Changed = []string{nobod + " came"}
		}), Inconclusive, []string{"GM232", "GM251"}},
		{"few calls on one pod", calls(repeat(4, stamped(podA))), Inconclusive, []string{"GM232"}},
		{"an endpoint missing", calls(repeat(12, stamped(podA), stamped(podB))), Fail, []string{"GM221"}},
		{"an endpoint missing, limit too low", both(calls(repeat(4, stamped(podA), stamped(podB))), func(e *Evidence) { e.Limit = 8 }), Inconclusive, []string{"GM232"}},
		{"skew", calls(slices.Concat(repeat(10, stamped(podA), stamped(podA), stamped(podA), stamped(podA)), repeat(2, stamped(podB), stamped(podC)))), Fail, []string{"GM222"}},
		{"mild skew", calls(repeat(5, stamped(podA), stamped(podB), stamped(podA), stamped(podB), stamped(podA), stamped(podB), stamped(podC))), Pass, []string{"GM252"}},
		{"mean by weight", both(calls(repeat(20, stamped(podA), stamped(podA), stamped(podA), stamped(podA), stamped(podA), stamped(podA), stamped(podA), stamped(podB), stamped(podC))), func(e *Evidence) {
			e.Expected[0].Share, e.Expected[1].Share, e.Expected[2].Share = 0.8, 0.1, 0.1
		}), Pass, nil},
		{"one replica", both(calls(repeat(12, stamped(podA))), func(e *Evidence) { e.Expected = pods(podA) }), Inconclusive, []string{"GM230"}},
		{"no replica", both(calls(nil), func(e *Evidence) { e.Expected = nil }), Inconclusive, []string{"GM230"}},
		{"by design", both(calls(repeat(12, stamped(podA))), func(e *Evidence) { e.ByDesign = "consistent hashing on header x" }), Inconclusive, []string{"GM234"}},

		// Some pods are preferred: nothing uneven is a fault then, and nothing
		// even is less of a pass.
		{"preferred, and even", prefer, Pass, nil},
		{"preferred, and one gets all", both(prefer, calls(repeat(12, stamped(podA)))), Inconclusive, []string{"GM242"}},
		{"preferred, and one gets none", both(prefer, calls(repeat(12, stamped(podA), stamped(podB)))), Inconclusive, []string{"GM242"}},
		{"preferred, and one dominates", both(prefer, calls(slices.Concat(repeat(50, stamped(podA)), repeat(2, stamped(podB), stamped(podC))))), Inconclusive, []string{"GM242", "GM252"}},
		{"preferred, and too few calls", both(prefer, calls(repeat(2, stamped(podA), stamped(podB)))), Inconclusive, []string{"GM232"}},
		{"preferred, and the hop fails", both(prefer, calls(repeat(9, flagged("UH", "")))), Fail, []string{"GM204"}},

		// Pods that are kept for when others fail.
		{"pods elsewhere stand by", standby, Pass, []string{"GM262"}},
		{"pods elsewhere stand by, and one of those near gets none", both(standby, calls(repeat(40, stamped(podA), stamped(podB)))), Fail, []string{"GM221", "GM262"}},
		{"one that stands by answers", both(standby, func(e *Evidence) { e.Samples[4].Stamp.Backend = nobod }), Inconclusive, []string{"GM242"}},

		// Outlier detection that counts the check's own calls as errors.
		{"own calls put pods out, and all is well", ejects, Pass, []string{"GM259"}},
		{"own calls put pods out, and one gets none", both(ejects, calls(repeat(12, stamped(podA), stamped(podB)))), Inconclusive, []string{"GM242", "GM259"}},
		{"own calls put pods out, and the hop fails", both(ejects, calls(repeat(9, flagged("UH", "")))), Fail, []string{"GM204", "GM259"}},

		// Endpoints that change.
		{"a change that is explained", func(e *Evidence) {
			e.Changed = []string{"app-7d9c-z at " + nobod + ": became ready"}
			e.Samples[4].Stamp.Backend = nobod
		}, Pass, []string{"GM251"}},
		{"a change that does not explain", func(e *Evidence) {
			e.Changed = []string{"app-7d9c-z (10.42.9.98:50051) became ready"}
			e.Samples[4].Stamp.Backend = nobod
		}, Inconclusive, []string{"GM233"}},
		{"a change beside a silent endpoint", both(calls(repeat(12, stamped(podA), stamped(podB))), func(e *Evidence) {
			e.Changed = []string{"app-7d9c-z (" + nobod + ") went"}
		}), Inconclusive, []string{"GM233"}},
		{"a change beside a dominant endpoint", both(calls(slices.Concat(repeat(50, stamped(podA)), repeat(2, stamped(podB), stamped(podC)))), func(e *Evidence) {
			e.Changed = []string{"app-7d9c-z (" + nobod + ") went"}
		}), Inconclusive, []string{"GM233", "GM252"}},
		{"changes that leave one", func(e *Evidence) {
			e.Expected = pods(podA)
			e.Changed = []string{"b (" + podB + ") went", "c (" + podC + ") went"}
		}, Inconclusive, []string{"GM233"}},

		// The users' own route.
		{"no witness", func(e *Evidence) { e.Witness, e.WitnessWhy = nil, "no reflection" }, Inconclusive, []string{"GM236"}},
		{"no witness, and stuck", both(witness(), calls(repeat(12, stamped(podA)))), Fail, []string{"GM220", "GM236"}},
		{"a witness by the probe route", witness(stamped(podA)), Inconclusive, []string{"GM236"}},
		{"a witness without upstream", witness(local(codes.OK, "")), Inconclusive, []string{"GM236"}},
		{"Envoy answers the witness", witness(local(codes.Unimplemented, "")), Fail, []string{"GM203"}},
		{"Envoy answers one witness", witness(witnessed(), local(codes.Unimplemented, ""), witnessed()), Fail, []string{"GM203"}},
		{"Envoy answers for another service", witness(witnessed(), elsewhere(local(codes.Unimplemented, ""))), Pass, []string{"GM256"}},
		{"the app answers before the request ends", witness(local(codes.Unimplemented, "unknown method")), Inconclusive, []string{"GM236"}},
		{"Envoy answers everything", both(witness(local(codes.Unimplemented, "")), calls(repeat(9, local(codes.Unimplemented, "")))), Fail, []string{"GM202"}},
		{"RBAC refuses the witness", witness(rbac), Fail, []string{"GM212"}},
		{"RBAC refuses one witness", witness(rbac, witnessed()), Pass, []string{"GM250"}},
		{"RBAC refuses the probe only", each(func(_ int, s *probe.Sample) { s.Code, s.Message = rbac.Code, rbac.Message }), Pass, []string{"GM254"}},
		{"the gateway refuses the witness", witness(local(codes.PermissionDenied, "RBAC: access denied")), Fail, []string{"GM214"}},
		{"no token at the gateway", witness(local(codes.Unauthenticated, "Jwt is missing")), Fail, []string{"GM214"}},
		{"no endpoint for the witness", witness(local(codes.Unavailable, "no healthy upstream")), Fail, []string{"GM204"}},
		{"no TLS for the witness", witness(local(codes.Unavailable, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS_error:|268435703")), Fail, []string{"GM213"}},
		{"no connection for the witness", witness(local(codes.Unavailable, "upstream connect error or disconnect/reset before headers. reset reason: connection timeout")), Fail, []string{"GM205"}},
		{"a witness cut off", witness(local(codes.Unavailable, "upstream connect error or disconnect/reset before headers. reset reason: connection termination")), Fail, []string{"GM206"}},
		{"an overflow for the witness", witness(local(codes.Unavailable, "upstream request overflow")), Fail, []string{"GM208"}},
		{"a protocol error for the witness", witness(local(codes.Unavailable, "reset reason: protocol error")), Fail, []string{"GM209"}},
		{"a part of the weight leads to nobody", func(e *Evidence) { e.Nowhere = []string{"Service demo/v2 (10 % of the calls)"} }, Fail, []string{"GM204"}},
		{"a part of the weight leads to no subset", func(e *Evidence) { e.Undefined = []string{"subset v9 of Service demo/app (10 % of the calls)"} }, Fail, []string{"GM207"}},
		{"a part leads to nobody, and calls met that", both(calls(repeat(9, flagged("UH", ""), stamped(podA))), func(e *Evidence) { e.Nowhere = []string{"Service demo/v2 (50 % of the calls)"} }), Fail, []string{"GM204"}},
		{"nobody anywhere, and nothing shows", func(e *Evidence) { e.Expected, e.Nowhere = nil, []string{"Service demo/app"} }, Inconclusive, []string{"GM230"}},
		{"a timeout for the witness", witness(local(codes.DeadlineExceeded, "upstream request timeout")), Fail, []string{"GM210"}},
		{"no gRPC for the witness", witness(html), Fail, []string{"GM215"}},
		{"no answer for the witness", witness(dead), Fail, []string{"GM201"}},
		{"a sidecar without an app for the witness", witness(upstream(codes.Unavailable, noApp)), Fail, []string{"GM205"}},
		{"a sidecar without a cluster for the witness", witness(upstream(codes.Unavailable, "no healthy upstream")), Fail, []string{"GM204"}},
		{"no token at the sidecar", witness(upstream(codes.Unauthenticated, "Jwt is missing")), Fail, []string{"GM212"}},
		{"no trailers for the witness", witness(upstream(codes.Internal, "server closed the stream without sending trailers")), Fail, []string{"GM209"}},
		{"no trailers, and no service time", witness(local(codes.Internal, "server closed the stream without sending trailers")), Fail, []string{"GM209"}},
		{"the app can't read the witness, in Go", witness(upstream(codes.Internal, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data")), Pass, nil},
		{"the app can't read the witness, in Python", witness(upstream(codes.Internal, "Exception deserializing request!")), Pass, nil},
		{"the app errs", witness(probe.Sample{Upstream: true, Code: codes.Internal, Message: "boom"}), Pass, []string{"GM253"}},
		{"the app can't read the message", both(witness(probe.Sample{Upstream: true, Code: codes.Internal, Message: "cannot parse"}), func(e *Evidence) { e.Unreadable = true }), Pass, nil},
		{"a real call comes through", both(witness(upstream(codes.OK, "")), realCall), Pass, nil},
		{"a real call, and the app has no such user", both(witness(upstream(codes.NotFound, "no jane")), realCall), Fail, []string{"GM217"}},
		{"real calls that all but one are denied by the app", both(witness(append(repeat(23, upstream(codes.PermissionDenied, "no")), upstream(codes.OK, ""))...), realCall), Fail, []string{"GM217"}},
		{"real calls of a service that is rewritten", both(witness(upstream(codes.Unimplemented, "unknown service foo.Bar")), realCall), Fail, []string{"GM217"}},
		{"real calls that all fail", both(witness(upstream(codes.Unavailable, "no database"), upstream(codes.Internal, "boom")), realCall), Fail, []string{"GM217"}},
		{"real calls of which one fails", both(witness(upstream(codes.Unavailable, "no database"), upstream(codes.OK, "")), realCall), Pass, []string{"GM253"}},
		{"a real call that the app can't read", both(witness(upstream(codes.Internal, "cannot parse")), realCall), Fail, []string{"GM217"}},
		{"the app is away, whatever the message", both(witness(probe.Sample{Upstream: true, Code: codes.Unavailable, Message: "boom"}), func(e *Evidence) { e.Unreadable = true }), Pass, []string{"GM253"}},

		// TLS that anyone could have spoken: said, and no verdict is another for it.
		{"a certificate verified", func(e *Evidence) { e.TLS = &TLS{Version: "TLS 1.3", ServerName: "a.example"} }, Pass, nil},
		{"a certificate not verified", unverified(""), Pass, []string{"GM260"}},
		{"a certificate not verified, and a hop fails", both(unverified("expired"), calls(repeat(9, flagged("UH", "")))), Fail, []string{"GM204", "GM260"}},
		{"a certificate not verified, and evidence that can't be", both(unverified(""), func(e *Evidence) { e.Alpha = 2 }), Inconclusive, []string{"GM241", "GM260"}},

		// A port that Istio takes for something else.
		{"a misread port", misread, Fail, []string{"GM216"}},
		{"a misread port, and the hop fails", both(misread, calls(repeat(9, flagged("UPE", "protocol error")))), Fail, []string{"GM209", "GM216"}},

		// Calls that fail.
		{"UH", calls(repeat(9, flagged("UH", "no healthy upstream"))), Fail, []string{"GM204"}},
		{"UF", calls(repeat(9, flagged("UF", "upstream connect error"))), Fail, []string{"GM205"}},
		{"UF and URX", calls(repeat(9, flagged("URX,UF", "upstream connect error"))), Fail, []string{"GM205"}},
		{"UC", calls(repeat(9, flagged("UC", "reset reason: connection termination"))), Fail, []string{"GM206"}},
		{"NR", calls(repeat(9, flagged("NR", ""))), Fail, []string{"GM207"}},
		{"NC", calls(repeat(9, flagged("NC", ""))), Fail, []string{"GM207"}},
		{"NC on both ways is one culprit", both(calls(repeat(9, flagged("NC", ""))), witness(local(codes.Unavailable, ""))), Fail, []string{"GM207"}},
		{"NC, and no endpoint", both(calls(repeat(5, flagged("NC", ""))), func(e *Evidence) { e.Expected = nil }), Fail, []string{"GM207"}},
		{"no cluster for the witness", witness(local(codes.Unavailable, "")), Fail, []string{"GM207"}},
		{"no endpoint, and somebody answers", func(e *Evidence) { e.Expected = nil }, Inconclusive, []string{"GM230"}},
		{"UO", calls(repeat(9, flagged("UO", "overflow"))), Fail, []string{"GM208"}},
		{"UPE", calls(repeat(9, flagged("UPE", "protocol error"))), Fail, []string{"GM209"}},
		{"UT", calls(repeat(9, flagged("UT", "timeout"))), Fail, []string{"GM210"}},
		{"a flag of tomorrow", calls(repeat(9, flagged("XYZ", ""))), Fail, []string{"GM211"}},
		{"TLS", calls(repeat(9, flagged("UF", "transport failure reason: TLS_error:|268435703"))), Fail, []string{"GM213"}},
		{"UC, and the mTLS modes disagree", both(calls(repeat(9, flagged("UC", "reset reason: connection termination"))), disagree), Fail, []string{"GM213"}},
		{"UF, and the mTLS modes disagree", both(calls(repeat(9, flagged("UF", "remote connection failure"))), disagree), Fail, []string{"GM213"}},
		{"UH, and the mTLS modes disagree", both(calls(repeat(9, flagged("UH", ""))), disagree), Fail, []string{"GM204"}},
		{"a pod breaks off, and the mTLS modes disagree", both(each(func(_ int, s *probe.Sample) {
			s.Code, s.Message = codes.Unavailable, "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
		}), disagree), Fail, []string{"GM206"}},
		{"all is well, though the mTLS modes disagree", disagree, Pass, nil},
		{"the witness is cut off, and the mTLS modes disagree", both(witness(local(codes.Unavailable, "reset reason: connection termination")), disagree), Fail, []string{"GM213"}},
		{"external authorization", calls(repeat(9, flagged("UAEX", ""))), Fail, []string{"GM214"}},
		{"flags with a backend", each(func(_ int, s *probe.Sample) { s.Stamp.Flags = "UC" }), Fail, []string{"GM206"}},
		{"no answer", calls(repeat(9, dead)), Fail, []string{"GM201"}},
		{"no gRPC", calls(repeat(9, html)), Fail, []string{"GM215"}},
		{"one UF, then calm", func(e *Evidence) { e.Samples[0] = flagged("UF", "") }, Pass, []string{"GM250"}},
		{"one UF, just now", func(e *Evidence) { e.Samples[11] = flagged("UF", "") }, Inconclusive, []string{"GM232", "GM250"}},
		{"two UF", func(e *Evidence) { e.Samples[0], e.Samples[5] = flagged("UF", ""), flagged("UF", "") }, Fail, []string{"GM205"}},
		{"two UF in sixty", both(calls(repeat(20, stamped(podA), stamped(podC), stamped(podB))), func(e *Evidence) {
			e.Samples[0], e.Samples[5] = flagged("UF", ""), flagged("UF", "")
		}), Fail, []string{"GM205"}},
		{"two UF in two hundred", both(calls(repeat(70, stamped(podA), stamped(podC), stamped(podB))), func(e *Evidence) {
			e.Samples[0], e.Samples[5] = flagged("UF", ""), flagged("UF", "")
		}), Pass, []string{"GM250"}},

		// The control beside it changes no verdict.
		{"a control that sticks", control(Control{Calls: 20, Landed: []Count{{Calls: 20}}}), Pass, nil},
		{"a load that was not made", func(e *Evidence) { e.NoLoad = "this user may not create it" }, Inconclusive, []string{"GM245"}},
		{"a load of which most fails by itself", failing(60, Reason{Code: codes.Internal}), Fail, []string{"GM226"}},
		{"a load of which most overflows", failing(60, Reason{Flags: "UO", Code: codes.Unavailable}), Fail, []string{"GM208"}},
		{"a load without answers", failing(60, Reason{NoAnswer: true, Code: codes.Unavailable}), Fail, []string{"GM201"}},
		{"a load of which some overflows", failing(40, Reason{Flags: "UO", Code: codes.Unavailable}), Pass, []string{"GM263"}},
		{"a load over a rollout, whose losses are counted there", both(failing(60, Reason{Flags: "UO"}), rollout(Rollout{Calls: 100, Lost: 4, MaxLost: 3})), Fail, []string{"GM224"}},
		{"losses before the rollout", rollout(Rollout{Calls: 100, CallsBefore: 50, LostBefore: 50}), Pass, []string{"GM263"}},
		{"a load that fails as real calls do", both(witness(upstream(codes.Internal, "boom")), realCall, failing(60, Reason{Code: codes.Internal})), Fail, []string{"GM217"}},
		{"--timeout ran out at once", func(e *Evidence) { e.Samples, e.Witness, e.TimedOut, e.WitnessOf = nil, nil, "5s", 24 }, Inconclusive, []string{"GM246"}},
		{"--timeout ran out before all pods were seen", both(calls(repeat(2, stamped(podA))), func(e *Evidence) { e.TimedOut = "5s" }), Inconclusive, []string{"GM246"}},
		{"--timeout ran out, and a hop fails", both(calls(repeat(9, flagged("UH", ""))), func(e *Evidence) { e.TimedOut = "5s" }), Fail, []string{"GM204"}},
		{"--timeout ran out on the users' route", func(e *Evidence) { e.TimedOut, e.WitnessOf = "5s", 24 }, Pass, []string{"GM264"}},
		{"--timeout ran out once all was done", func(e *Evidence) { e.TimedOut = "5s" }, Pass, nil},
		{"a part leads to nobody, and one call met that", both(calls(slices.Concat(repeat(1, flagged("UH", "")), repeat(12, stamped(podA), stamped(podB), stamped(podC)))), func(e *Evidence) { e.Nowhere = []string{"Service demo/v2 (10 % of the calls)"} }), Fail, []string{"GM204"}},
		{"a part leads to nobody, and one of the users' calls met that", both(witness(witnessed(), local(codes.Unavailable, "no healthy upstream")), func(e *Evidence) { e.Nowhere = []string{"Service demo/v2 (10 % of the calls)"} }), Fail, []string{"GM204"}},
		{"a rollout that lost nothing", rollout(Rollout{Calls: 100}), Pass, nil},
		{"one that lost what it may", rollout(Rollout{Calls: 100, Lost: 3, MaxLost: 3}), Pass, nil},
		{"one that lost more", rollout(Rollout{Calls: 100, Lost: 4, MaxLost: 3}), Fail, []string{"GM224"}},
		{"one that was not seen to its end", rollout(Rollout{Calls: 100, Unfinished: "it took too long"}), Inconclusive, []string{"GM244"}},
		{"neither", rollout(Rollout{Calls: 100, Lost: 1, Unfinished: "it took too long"}), Fail, []string{"GM224", "GM244"}},
		{"a control that spreads", control(Control{Calls: 20, Landed: []Count{{Calls: 11}, {Calls: 9}}}), Pass, []string{"GM258"}},
		{"a control that could not be made", control(Control{Why: "refused"}), Pass, []string{"GM257"}},

		// Evidence that can't be.
		{"bounds beside the share", func(e *Evidence) { e.Expected[0].Least = 0.9 }, Inconclusive, []string{"GM241"}},
		{"a bound that is no share", func(e *Evidence) { e.Expected[0].Most = 7 }, Inconclusive, []string{"GM241"}},
		{"no such rung", func(e *Evidence) { e.Rung = "guess" }, Inconclusive, []string{"GM241"}},
		{"no alpha", func(e *Evidence) { e.Alpha = 0 }, Inconclusive, []string{"GM241"}},
		{"shares over 1", func(e *Evidence) { e.Expected[0].Share = 0.9 }, Inconclusive, []string{"GM241"}},
		{"no share", func(e *Evidence) { e.Expected[0].Share = 0 }, Inconclusive, []string{"GM241"}},
		{"an endpoint twice", func(e *Evidence) { e.Expected[0].Address = podB }, Inconclusive, []string{"GM241"}},
	}
}

// sidecarRows mutate sidecars().
func sidecarRows() []row {
	count := func(a, b, c int) func(*Evidence) {
		return func(e *Evidence) {
			e.Counts = map[string]int{podA: a, podB: b, podC: c}
			e.Foreign = max(a+b+c-e.Own, 0)
		}
	}
	return []row{
		{"as recorded", func(*Evidence) {}, Pass, nil},
		{"a witness more or less", func(e *Evidence) { e.Witness = []probe.Sample{local(codes.Unimplemented, "")} }, Pass, nil},
		{"a misread port", misread, Fail, []string{"GM216"}},
		{"two connections", func(e *Evidence) { e.ConnectionsUsed = 2 }, Inconclusive, []string{"GM238"}},
		{"two connections that nobody told", each(func(i int, s *probe.Sample) { s.Conn = i % 2 }), Inconclusive, []string{"GM238"}},
		{"foreign calls", count(25, 25, 25), Inconclusive, []string{"GM237"}},
		{"foreign calls may be all that one saw", count(30, 31, 2), Inconclusive, []string{"GM237", "GM252"}},
		{"foreign calls beside a stuck one", count(60, 1, 1), Fail, []string{"GM222"}},
		{"stuck", count(60, 0, 0), Fail, []string{"GM220"}},
		{"one silent", count(30, 30, 0), Fail, []string{"GM221"}},
		{"skew", count(50, 5, 5), Fail, []string{"GM222"}},
		{"skew that others' calls may explain", count(40, 13, 13), Pass, nil},
		{"one silent, but others made up the number", both(func(e *Evidence) { e.Own = 22 }, count(12, 12, 0)), Inconclusive, []string{"GM232"}},
		{"calls that nobody counted", count(15, 15, 15), Inconclusive, []string{"GM239"}},
		{"a stranger counted", func(e *Evidence) { e.Counts[nobod] = 3 }, Fail, []string{"GM223"}},
		{"nothing counted", count(0, 0, 0), Inconclusive, []string{"GM231"}},

		// Pods that could not be counted.
		{"no pod has a sidecar", func(e *Evidence) { e.Counts = nil }, Inconclusive, []string{"GM243"}},
		{"one pod has no sidecar", func(e *Evidence) { delete(e.Counts, podC) }, Inconclusive, []string{"GM243"}},
		{"one has none, and the others look stuck", both(count(60, 0, 0), func(e *Evidence) { delete(e.Counts, podC) }), Inconclusive, []string{"GM243"}},
		{"no sidecar, and no call gets through", both(func(e *Evidence) { e.Counts = nil }, each(func(_ int, s *probe.Sample) {
			*s = local(codes.Unavailable, "no healthy upstream")
		})), Fail, []string{"GM204"}},
		{"no sidecar at layer 4", func(e *Evidence) { e.Counts, e.Layer4 = nil, true }, Inconclusive, []string{"GM243"}},
		{"a pod went, and its calls with it", both(count(24, 24, 0), gone), Pass, []string{"GM251"}},
		{"a pod came, and took calls", both(count(24, 24, 0), gone, func(e *Evidence) { e.Changed = []string{"d (" + nobod + ") came"} }), Pass, []string{"GM251"}},
		{"a pod went, but after it was counted", both(count(24, 24, 0), func(e *Evidence) {
			e.Expected, e.Changed = pods(podA, podB), []string{"c (" + podC + ") went"}
		}), Inconclusive, []string{"GM239", "GM251"}},
		{"a pod went, and one of the others got nothing", both(count(48, 0, 0), gone), Inconclusive, []string{"GM233", "GM252"}},
		{"a pod went, and one remained", both(count(24, 0, 0), gone, func(e *Evidence) { e.Expected = pods(podA) }), Inconclusive, []string{"GM233"}},
		{"a pod went, and another has no sidecar", both(count(24, 24, 0), gone, func(e *Evidence) { delete(e.Counts, podB) }), Inconclusive, []string{"GM243", "GM251"}},
		{"no calls shown", calls(nil), Inconclusive, []string{"GM236"}},
		{"Envoy answers", each(func(_ int, s *probe.Sample) { *s = local(codes.Unimplemented, "") }), Fail, []string{"GM202"}},
		{"Envoy answers, but real calls go elsewhere", both(func(e *Evidence) { e.WitnessWhy = "no reflection, and the route takes some paths only" },
			each(func(_ int, s *probe.Sample) { *s = local(codes.Unimplemented, "") })), Inconclusive, []string{"GM236"}},
		{"no endpoint, wherever real calls go", both(func(e *Evidence) { e.WitnessWhy = "no reflection, and the route takes some paths only" },
			each(func(_ int, s *probe.Sample) { *s = local(codes.Unavailable, "no healthy upstream") })), Fail, []string{"GM204", "GM236"}},
		{"one answer before its request ends", func(e *Evidence) { s := local(codes.Unimplemented, "unknown method"); e.Samples[3] = s }, Pass, nil},
		{"no sign of an upstream", each(func(_ int, s *probe.Sample) { *s = local(codes.OK, "") }), Inconclusive, []string{"GM236"}},
		{"RBAC", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.PermissionDenied, "RBAC: access denied" }), Fail, []string{"GM212"}},
		{"sidecars without an app", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Unavailable, noApp }), Fail, []string{"GM205"}},
		{"a pod that only ever failed", both(count(32, 27, 1), each(func(i int, s *probe.Sample) {
			if i == 7 {
				s.Code, s.Message = codes.Unavailable, noApp
			}
		})), Inconclusive, []string{"GM232", "GM250", "GM252"}},
		{"a connection that was over from the start", each(func(_ int, s *probe.Sample) { s.GoAway = true }), Inconclusive, []string{"GM235"}},
		{"UNAVAILABLE, in the app's words", each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Unavailable, "warming up" }), Pass, []string{"GM253"}},
		{"the app errs", each(func(_ int, s *probe.Sample) { s.Code = codes.Unknown }), Pass, []string{"GM253"}},
		{"layer 4", both(count(0, 60, 0), each(func(_ int, s *probe.Sample) { s.Upstream = false }), func(e *Evidence) { e.Layer4 = true }), Fail, []string{"GM220"}},
		{"layer 4 that spreads", both(each(func(_ int, s *probe.Sample) { s.Upstream = false }), func(e *Evidence) { e.Layer4 = true }), Pass, nil},
	}
}

// standby is a pod that gets calls only when others fail.
func standby(e *Evidence) { e.Standby = []Endpoint{{Address: nobod, Pod: "far"}} }

// ejects says that the check's own calls may put pods out.
func ejects(e *Evidence) { e.Ejects = "outlier detection puts a pod out after 5 errors in a row" }

// disagree says that one side speaks TLS and the other does not take it.
func disagree(e *Evidence) {
	e.Disagree = "DestinationRule demo/app has tls mode DISABLE, and PeerAuthentication demo/app has mode STRICT"
}

// misread is a port of no protocol that Istio knows.
func control(c Control) func(*Evidence) {
	c.Service = "demo/app"
	return func(e *Evidence) { e.Control = &c }
}

func misread(e *Evidence) {
	e.Misread = Port{Namespace: "demo", Service: "app", Number: 8000, Words: "name foo"}
}

// prefer says that some pods are preferred.
func prefer(e *Evidence) { e.Prefers = "outlierDetection turns locality failover on" }

// gone is a pod that went before its counter was read again.
func gone(e *Evidence) {
	e.Expected = pods(podA, podB)
	e.Changed = []string{"c (" + podC + ") went"}
	e.Uncounted = map[string]string{podC: "not found"}
	delete(e.Counts, podC)
}

// elsewhere is the same answer to a call of another service.
func elsewhere(s probe.Sample) probe.Sample {
	s.Path = "/app.Other/Say"
	return s
}

// unverified is TLS whose certificate was not verified, and why it would have
// been refused.
func unverified(refusal string) func(*Evidence) {
	return func(e *Evidence) {
		e.TLS = &TLS{Version: "TLS 1.3", ServerName: "a.example", Unverified: true, Refusal: refusal}
	}
}

func realCall(e *Evidence) { e.Real = true }
