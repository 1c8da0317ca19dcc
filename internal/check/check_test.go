package check

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// faults: 47, 48
func TestMutations(t *testing.T) {
	seen := map[string]bool{}
	for rung, rows := range map[string][]row{RungRoute: routeRows(), RungSidecars: sidecarRows(), RungAdmin: sidecarRows(), RungApp: appRows()} {
		for _, r := range rows {
			t.Run(rung+"/"+r.name, func(t *testing.T) {
				e := route()
				switch rung {
				case RungAdmin, RungSidecars:
					e = sidecars()
					e.Rung = rung
				case RungApp:
					e = app()
				}
				r.change(&e)
				result := Judge(e)
				var got []string
				for _, f := range result.Findings {
					got = append(got, f.Code)
					seen[f.Code] = true
					if f.Subject == "" || f.Message == "" || f.Hint == "" || strings.ContainsAny(f.Message+f.Subject+f.Hint, "\x1b\n") {
						t.Errorf("a finding that lacks something or holds control bytes: %+q", f)
					}
					if !runnable(f.Hint) || strings.Contains(f.Hint, "--identify="+rung) {
						t.Errorf("%s: a hint that can't be followed: %s", f.Code, f.Hint)
					}
				}
				if diff := cmp.Diff(r.codes, got); result.Verdict != r.want || diff != "" {
					t.Errorf("%s, want %s, codes %s\n%+v", result.Verdict, r.want, diff, result.Findings)
				}
			})
		}
	}
	for _, c := range Codes() {
		if !seen[c.Code] {
			t.Errorf("%s (%s) is untested", c.Code, c.Meaning)
		}
		delete(seen, c.Code)
	}
	for code := range seen {
		t.Errorf("%s is unlisted", code)
	}
}

// runnable says whether the commands in a hint have what they need.
func runnable(hint string) bool {
	for _, part := range strings.Split(hint, "grpcmesh verify")[1:] {
		if !strings.HasPrefix(part, " --addr ") {
			return false
		}
	}
	for _, kind := range []string{"get service ", "logs ", "get endpointslices"} {
		if strings.Contains(hint, "kubectl "+kind) {
			return false // its namespace is missing
		}
	}
	return !strings.Contains(hint, "logs of")
}

// The next step goes by the reason.
func TestNextSteps(t *testing.T) {
	dead := func(e *Evidence) { // few enough of its calls fail to be forgiven
		manyAnd(func(s *probe.Sample) { s.Code, s.Message = codes.Unavailable, noApp })(e)
		e.Samples = repeat(20, e.Samples...)
		e.Samples = slices.DeleteFunc(e.Samples, func(s probe.Sample) bool { return s.Code == codes.Unavailable && s.Seq > 800 })
	}
	suppressed := witnessed()
	suppressed.Upstream, suppressed.Code = false, codes.OK
	for name, tc := range map[string]struct {
		change func(*Evidence)
		want   string
	}{
		"no reflection": {func(e *Evidence) { e.Witness, e.WitnessWhy = nil, "the app does not answer reflection" }, "grpcmesh verify --addr 127.0.0.1:8080 --path /"},
		"a header's match": {func(e *Evidence) {
			e.Witness, e.WitnessWhy = nil, "the rule takes calls to /a.B/C only with header x-user"
		}, "which verify can't"},
		"no service time":     {witness(suppressed), "does one remove x-envoy-upstream-service-time"},
		"a limit too low":     {both(calls(repeat(4, stamped(podA), stamped(podB))), func(e *Evidence) { e.Limit = 8 }), "--requests 23"},
		"time too short":      {both(calls(repeat(4, stamped(podA), stamped(podB))), func(e *Evidence) { e.Limit = 0 }), "--timeout 5m"},
		"TLS to a plain port": {calls(repeat(9, flagged("UF", "upstream connect error"))), "does a tls mode ask for TLS"},
		"a silent pod":        {calls(repeat(12, stamped(podA), stamped(podB))), "is " + podC + " listed and healthy; if not, kubectl -n demo logs app-7d9c-c"},
		"a dead pod":          {dead, "kubectl -n demo logs app-7d9c-h --all-containers --tail=50: why does it not answer"},
	} {
		e := route()
		tc.change(&e)
		if f := Judge(e).Findings[0]; !strings.Contains(f.Hint, tc.want) {
			t.Errorf("%s: %+v, want %q", name, f, tc.want)
		}
	}
	e := sidecars()
	e.Counts = map[string]int{podA: 0, podB: 0, podC: 0}
	if f := Judge(e).Findings[0]; !strings.Contains(f.Message, "no sidecar counted") || !strings.Contains(f.Hint, "--identify=route") {
		t.Errorf("%+v", f)
	}
}

// A subset that nothing defines is named, and so is why a pod was not counted.
func TestWords(t *testing.T) {
	e := route()
	calls(repeat(5, flagged("NC", "")))(&e)
	e.Expected, e.Undefined = nil, []string{"subset v9 of Service demo/app"}
	f := Judge(e).Findings[0]
	if !strings.Contains(f.Message, "leads to subset v9 of Service demo/app, which no DestinationRule") || !strings.Contains(f.Hint, "demo/app") {
		t.Errorf("%+v", f)
	}
	e.Undefined, e.Missing = nil, []string{"Service demo/app, which does not exist"}
	if f = Judge(e).Findings[0]; !strings.Contains(f.Message, "leads to Service demo/app, which does not exist: 5 of 5 calls") {
		t.Errorf("%+v", f)
	}
	e = route()
	calls(repeat(5, flagged("UH", "no healthy upstream")))(&e)
	e.ByDesign = "load balancing is off (PASSTHROUGH)"
	if f = Judge(e).Findings[0]; !strings.Contains(f.Message, "though 3 are ready, and load balancing is off") || !strings.Contains(f.Hint, "loadBalancer") {
		t.Errorf("%+v", f)
	}
	e = sidecars()
	e.WitnessWhy = "no reflection"
	each(func(_ int, s *probe.Sample) { *s = local(codes.Unimplemented, "") })(&e)
	if f = Judge(e).Findings[0]; !strings.Contains(f.Message, "no reflection") || !strings.Contains(f.Hint, "--path") {
		t.Errorf("%+v", f)
	}
	e = sidecars()
	delete(e.Counts, podB)
	e.Uncounted = map[string]string{podB: "pod demo/app-7d9c-b has no sidecar\x1b"}
	f = Judge(e).Findings[0]
	if !strings.Contains(f.Message, "1 of 3 pods") || !strings.Contains(f.Message, `"pod demo/app-7d9c-b has no sidecar\x1b"`) || !strings.Contains(f.Hint, "--identify=route") {
		t.Errorf("%+v", f)
	}
	if n := len(Judge(e).PerEndpoint); n != 2 {
		t.Errorf("%d pods are given a count; one was not counted", n)
	}
	// Answers that nobody counted stay unidentified, also if another pod went.
	gone(&e)
	delete(e.Counts, podB)
	if n := Judge(e).Unidentified; n != 40 {
		t.Errorf("%d unidentified, want 40 of 60", n)
	}
	e.Layer4 = true
	if f = Judge(e).Findings[0]; strings.Contains(f.Hint, "--identify=route") {
		t.Errorf("at layer 4 there is no route: %+v", f)
	}
}

// Of a pod whose sidecar answers for a dead app the pod is named, and nobody
// says that the app answered.
func TestWordsOfSidecars(t *testing.T) {
	e := route()
	each(func(_ int, s *probe.Sample) {
		if s.Stamp.Backend == podB {
			s.Code, s.Message = codes.Unavailable, noApp
		}
	})(&e)
	f := Judge(e).Findings[0]
	if !strings.Contains(f.Message, "could not reach the app: 4 of 12 calls, all to app-7d9c-b ("+podB+")") ||
		!strings.Contains(f.Hint, "kubectl -n demo get service app") || !strings.Contains(f.Hint, "does the app in app-7d9c-b ("+podB+") listen on the Service's targetPort") {
		t.Errorf("%+v", f)
	}
	e = sidecars()
	each(func(_ int, s *probe.Sample) { s.Code, s.Message = codes.Unavailable, noApp })(&e)
	if f = Judge(e).Findings[0]; !strings.Contains(f.Message, "could not reach the app: 60 of 60 calls (") || strings.Contains(f.Message, "answered") {
		t.Errorf("%+v", f)
	}
}

// A destination that leads nowhere is named, with its share.
func TestWordsOfNowhere(t *testing.T) {
	e := route()
	e.Nowhere = []string{"Service demo/v2 (10 % of the calls)"}
	f := Judge(e).Findings[0]
	if !strings.Contains(f.Message, "leads to Service demo/v2 (10 % of the calls), without a ready endpoint") || !strings.Contains(f.Hint, "-n demo get virtualservice app") {
		t.Errorf("%+v", f)
	}
}

// Pods are told apart by namespace where they are of several.
func TestNames(t *testing.T) {
	two := pods(podA, podB)
	two[0].Namespace, two[1].Namespace = "blue", "blue"
	if got := two[0].Name(two); got != "app-7d9c-a" {
		t.Error(got)
	}
	two[1].Namespace = "green"
	if got := two[0].Name(two) + " " + two[1].Name(two); got != "blue/app-7d9c-a green/app-7d9c-b" {
		t.Error(got)
	}
	two[1].Pod = ""
	if got := two[0].Name(two) + " " + two[1].Name(two); got != "app-7d9c-a "+podB {
		t.Error(got)
	}
}

func TestResult(t *testing.T) {
	e := route()
	e.Samples = append(e.Samples, stamped(nobod))
	e.Changed = []string{nobod + " came"}
	got := Judge(e)
	if diff := cmp.Diff(Proof{Connection: "4711", Gateway: "istio-ingressgateway-6b7-x2x", Calls: 12, Pods: []string{
		"app-7d9c-a (" + podA + ")", "app-7d9c-b (" + podB + ")", "app-7d9c-c (" + podC + ")",
	}}, got.Proof); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Coverage{Seen: 3, Of: 3, Calls: 13, Needed: 23, Alpha: 0.001}, got.Coverage); diff != "" {
		t.Error(diff)
	}
	if n := len(got.PerEndpoint); n != 4 || got.PerEndpoint[3].Endpoint.Address != nobod || got.PerEndpoint[3].Calls != 1 || got.PerEndpoint[0].Share != 4.0/13 || got.Unidentified != 0 {
		t.Errorf("%+v", got.PerEndpoint)
	}
	several := sidecars()
	several.ConnectionsUsed = 2
	if proof := Judge(several).Proof; len(proof.Pods) != 0 {
		t.Errorf("two connections prove nothing: %+v", proof)
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"verdict":"pass"`, `"perEndpoint"`, `"unidentified":0`, `"code":"GM251","severity":"info"`} {
		if !strings.Contains(string(data), key) {
			t.Errorf("no %s in %s", key, data)
		}
	}
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var saved Evidence
	if err := json.Unmarshal(again, &saved); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, Judge(saved)); diff != "" {
		t.Error("saved evidence is judged differently:", diff)
	}
}

// TestNextCommand: what is to be run next is the check as it was made, with
// other values of the flags that are to change.
func TestNextCommand(t *testing.T) {
	for _, tc := range []struct{ words, flags, want string }{
		{"", "--requests 78", "grpcmesh verify --addr a:1 --requests 78"},
		{"grpcmesh verify --addr a:1 --authority b --requests 3 --read-only", "--requests 78", "grpcmesh verify --addr a:1 --authority b --read-only --requests 78"},
		{"grpcmesh verify --addr a:1 --identify admin", "--identify=route", "grpcmesh verify --addr a:1 --identify=route"},
		{"grpcmesh verify --addr a:1 --during-rollout --rate 5", "--during-rollout --timeout 5m", "grpcmesh verify --addr a:1 --rate 5 --during-rollout --timeout 5m"},
	} {
		d := &digest{Evidence: Evidence{Command: strings.Fields(tc.words), Where: Where{Address: "a:1"}}}
		if got := d.verify(tc.flags); got != tc.want {
			t.Errorf("%q with %s: %q, want %q", tc.words, tc.flags, got, tc.want)
		}
	}
}
