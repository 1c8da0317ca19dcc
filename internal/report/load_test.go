package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"grpcmesh/internal/check"
	"grpcmesh/internal/spread"
)

// loaded is a report with a load: two pods, one of them known, the other one
// failing now and then; in the second half the first gets it all.
func loaded() *Verify {
	t := spread.NewTally()
	for i := range 1000 {
		backend, code, failed := "10.0.0.1:50051", uint32(12), false
		if i%2 == 1 && i < 500 {
			backend = "10.0.0.9:50051"
			if i%100 == 1 {
				code, failed = 14, true
			}
		}
		t.Add(time.Duration(i)*time.Millisecond, time.Duration(i%100+1)*time.Millisecond, backend, code, failed)
	}
	t.Add(0, 10*time.Second, "", 4, true)
	v := documents()[check.Pass]
	v.Load = &Load{Rate: 1000, Connections: 2, InFlight: 10, Dials: 3}
	v.Load.Fill(t, time.Second, []check.Endpoint{{Address: "10.0.0.1:50051", Pod: "pod-1 " + hostile, Namespace: "ns"}})
	return v
}

func TestLoad(t *testing.T) {
	v := loaded()
	text := written(t, v, "text")
	for _, want := range []string{
		"load            1001 calls in 1 s, 1000 a second asked for, 2 connections with 10 at once: 6 failed; connected 3 times\n",
		"statuses        Unimplemented 995, Unavailable 5, DeadlineExceeded 1; 1 answer came from no known pod\n",
		"latency         p50 51 ms, p90 91 ms, p95 96 ms, p99 100 ms, p99.9 100 ms, max 10.0", // within a thousandth
		", from when each call was due\n",
		"balance         ▅▅▅▅▅█████ the busiest pod got 50 to 100 % of each 0.1 s\n",
		"10.0.0.9:50051", "  250  25.0%       5  ", "  Unimplemented 245, Unavailable 5\n",
		plain(),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if tables := strings.Count(text, "\nPOD "); tables != 1 {
		t.Errorf("%d tables beside the first:\n%s", tables, text)
	}
	for _, format := range []string{"markdown", "html"} {
		out := written(t, v, format)
		for _, want := range []string{"Unavailable 5", "75", "P99"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", format, want, out)
			}
		}
	}
	if page := written(t, v, "html"); !strings.Contains(page, `points="0.00,5.00 11.11,5.00`) {
		t.Errorf("no curve:\n%s", page)
	}
	v.Load.PerPod[0].Endpoint.Pod = "pod-1" // JSON has no bytes that are no text
	latency := func(at string) string {
		return strings.ReplaceAll("@Ms @Ms.mean @Ms.p50 @Ms.p90 @Ms.p95 @Ms.p99 @Ms.p99.9 @Ms.max @Curve @Curve.percent @Curve.ms ", "@", at+"latency")
	}
	roundTrip(t, v.Load, latency("")+latency("perPod.")+`calls failed unidentified seconds rate connections inFlight dials codes codes.Unimplemented codes.Unavailable codes.DeadlineExceeded
		perPod perPod.endpoint perPod.endpoint.address perPod.endpoint.namespace perPod.endpoint.pod perPod.endpoint.share perPod.calls perPod.share perPod.failed
		perPod.codes perPod.codes.Unimplemented perPod.codes.Unavailable balance balance.at balance.seconds balance.calls balance.pods balance.busiest`)
}

func TestLoadPrometheus(t *testing.T) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(written(t, loaded(), "prometheus")))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			sums[name] += m.GetGauge().GetValue()
		}
	}
	if sums["grpcmesh_verify_load_calls"] != 1001 || sums["grpcmesh_verify_load_pod_calls"] != 1000 || sums["grpcmesh_verify_load_failed_calls"] != 6 {
		t.Error(sums)
	}
	if n := len(families["grpcmesh_verify_load_pod_latency_seconds"].GetMetric()); n != 12 {
		t.Errorf("%d quantiles of two pods", n)
	}
}

// TestNoLoad: where there was none nothing but that is told.
func TestNoLoad(t *testing.T) {
	v := documents()[check.Pass]
	v.Load = &Load{NotMade: "no pod had answered before it"}
	if text := written(t, v, "text"); !strings.Contains(text, "load            not made: no pod had answered before it\n") {
		t.Error(text)
	}
	if text := written(t, v, "prometheus"); strings.Contains(text, "load") {
		t.Error(text)
	}
	var empty Load
	empty.Fill(spread.NewTally(), time.Second, nil)
	if lines := empty.lines(); len(lines) != 2 || strings.Contains(fmt.Sprint(lines), "NaN") {
		t.Errorf("of no call at all: %q", lines)
	}
}

// TestRollout: what a load lost, phase by phase, and when new pods answered.
func TestRollout(t *testing.T) {
	v := loaded()
	v.Load.Rollout = &LoadRollout{Workload: "Deployment/" + hostile, MaxLost: 1,
		Phases:  []LoadPhase{{"before", 2, 200, 0}, {"during", 30.04, 3000, 1}, {"after", 3, 300, 0}},
		NewPods: []NewPod{{check.Endpoint{Address: "10.0.0.7:1", Pod: "new-1"}, 6.5}, {check.Endpoint{Address: "10.0.0.8:1"}, 7}}}
	for _, format := range []string{"text", "html"} {
		text := written(t, v, format)
		for _, want := range []string{"calls lost: before 0 of 200 calls in 2 s, during 1 of 3000 calls in 30 s, after 0 of 300 calls in 3 s",
			"first answers of new-1 after 6.5 s, 10.0.0.8:1 after 7 s"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", format, want, text)
			}
		}
	}
	v.Load.Rollout.Workload = "Deployment/app"
	roundTrip(t, v.Load.Rollout, `workload restarted maxLost phases phases.phase phases.seconds phases.calls phases.lost newPods newPods.endpoint newPods.endpoint.address
		newPods.endpoint.pod newPods.endpoint.share newPods.seconds`)
}
