package check

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// TestContradictions: a hint's command is one that is taken.
func TestContradictions(t *testing.T) {
	for _, tc := range []struct{ words, flags, want string }{
		{"--read-only", "--identify=route", "--identify=route"},
		{"--read-only=true --service s", "--identify=route", "--service s --identify=route"},
		{"--duration 2s --rate 100 --in-flight 9 --connections 2", "--identify=sidecars", "--identify=sidecars"},
		{"--during-rollout --restart --max-lost 3", "--identify=admin", "--identify=admin"},
		{"--duration 2s --rate 100", "--identify=route", "--duration 2s --rate 100 --identify=route"},
		{"--call a.B/C --backend-from header:x --expect 3", "--identify=sidecars", "--call a.B/C --identify=sidecars"},
		{"--namespace n --identify admin --rate 3", "--expect 3", "--expect 3"},
		{"--path /a.B/C", "--call a.B/D --data {}", "--call a.B/D --data {}"},
		{"--metadata a=b --metadata c=d --timeout 1m --timeout=2m", "--timeout 5m", "--metadata a=b --metadata c=d --timeout 5m"},
	} {
		d := &digest{Evidence: Evidence{Command: strings.Fields("grpcmesh verify --addr a:1 " + tc.words)}}
		if got := d.verify(tc.flags); got != "grpcmesh verify --addr a:1 "+tc.want {
			t.Errorf("%q with %s: %q, want %q", tc.words, tc.flags, got, tc.want)
		}
	}
}

// TestReached: the commands of a hint ask the cluster that the check asked.
func TestReached(t *testing.T) {
	d := &digest{Evidence: Evidence{Connection: strings.Fields("--context x --as jane --insecure-skip-tls-verify --server https://h")}}
	for hint, want := range map[string]string{
		"kubectl -n a scale d": "kubectl --context x --as jane --insecure-skip-tls-verify --server https://h -n a scale d",
		"istioctl proxy-config endpoints p: or kubectl get pods": "istioctl --context x --as jane proxy-config endpoints p: or " +
			"kubectl --context x --as jane --insecure-skip-tls-verify --server https://h get pods",
		"grpcmesh expose -n a":                   "grpcmesh expose --context x --as jane --insecure-skip-tls-verify --server https://h -n a",
		"kubectl grpcmesh verify --addr a:1":     "kubectl grpcmesh verify --addr a:1",
		"grpcmesh verify --addr a:1 --context x": "grpcmesh verify --addr a:1 --context x",
	} {
		if got := d.reached(hint); got != want {
			t.Errorf("%q: %q, want %q", hint, got, want)
		}
	}
	few := route()
	few.Expected, few.Samples, few.Connection, few.Workload = pods(podA), repeat(12, stamped(podA)), []string{"--context", "x"}, "deployment/app"
	if got := Judge(few).Findings[0]; got.Hint != "kubectl --context x -n demo scale deployment/app --replicas=3" {
		t.Errorf("%+v", got)
	}
}

// TestCountersWords: a finding names who counted, and its next step can help.
func TestCountersWords(t *testing.T) {
	for _, rung := range []string{RungAdmin, RungSidecars} {
		e := sidecars()
		e.Rung, e.Samples = rung, nil
		told := false
		for _, f := range Judge(e).Findings {
			told = told || f.Code == codeNoWitness
			if f.Code == codeNoWitness && (strings.Contains(f.Message, "sidecar") != (rung == RungSidecars) || !strings.Contains(f.Hint, "--call")) {
				t.Errorf("%s: %+v", rung, f)
			}
		}
		if !told {
			t.Errorf("%s: no word of a missing answer", rung)
		}
		e = sidecars()
		e.Rung, e.Foreign, e.Command = rung, 30, strings.Fields("grpcmesh verify --addr a:1 --read-only")
		f := Judge(e).Findings[0]
		if f.Code != codeForeign || !strings.Contains(f.Message, "tried calls again") || !strings.Contains(f.Hint, ": grpcmesh verify --addr a:1 --identify=route;") {
			t.Errorf("%s: %+v", rung, f)
		}
	}
	e := route()
	e.Witness, e.Real = repeat(9, probe.Sample{Upstream: true, Code: codes.Internal, Message: "oh"}), true
	if f := Judge(e).Findings[0]; f.Code != codeAppFails || !strings.HasPrefix(f.Hint, "kubectl -n demo logs app-7d9c-a --all") {
		t.Errorf("%+v", f)
	}
}
