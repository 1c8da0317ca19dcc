package e2e

import (
	"encoding/json"
	"sync"
	"testing"

	"grpcmesh/internal/check"
	"grpcmesh/internal/report"
	"grpcmesh/internal/spread"
)

// TestRates runs verify many times against a healthy service behind the real
// Envoy, beside each other, and holds what internal/check's simulation says of
// it: false FAILs at most at the stated rate, and no more calls to a PASS than
// the collector's mean allows.
//
// At a rate of 0.1, 4 of 100 have a one-sided 95 % upper bound of 0.09 (Clopper
// and Pearson). By the simulation the true rate is below 0.01: 5 or more then
// have a chance of 3 in 1,000.
func TestRates(t *testing.T) {
	const runs, atOnce, alpha, mostFails = 100, 5, "0.1", 4
	p := newPlace(t)
	p.deploy("three", "", 3)
	lab := root(".lab/kubeconfig")
	grpcmesh(t, lab, nil, "expose", "three", "-n", p.ns, "--host", p.host, "--gateway-selector", "app=istio-ingressgateway,istio=ingressgateway").wants(t, 0)
	verdicts, calls := map[check.Verdict]int{}, 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range runs / atOnce {
				r := grpcmesh(t, lab, nil, "verify", "--addr", "127.0.0.1:8000", "--authority", p.host, "--alpha", alpha, "--control=never", "-o", "json")
				var doc report.Verify
				if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
					t.Errorf("%v: %s", err, r)
					return
				}
				mu.Lock()
				verdicts[doc.Verdict]++
				if doc.Verdict == check.Pass {
					calls += doc.Calls
				} else {
					t.Logf("%s", r)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	mean, collector := float64(calls)/float64(max(verdicts[check.Pass], 1)), spread.CollectorMean(spread.Equal(3))
	t.Logf("%v; %.2f calls to a PASS, the collector takes %.2f", verdicts, mean, collector)
	if verdicts[check.Fail] > mostFails || verdicts[check.Inconclusive] > mostFails {
		t.Errorf("of %d healthy runs: %v", runs, verdicts)
	}
	// The mean of 100 has a standard error of 0.26 calls: three of them.
	if mean > 1.1*collector+0.8 {
		t.Errorf("%.2f calls to a PASS, the collector takes %.2f", mean, collector)
	}
}
