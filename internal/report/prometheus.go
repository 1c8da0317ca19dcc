package report

import (
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"grpcmesh/internal/check"
)

// prometheus writes the report in Prometheus' text format, as the textfile
// collector and the push gateway take it.
func prometheus(w io.Writer, v *Verify) error {
	address := label("address", v.Address)
	verdict := gauge("grpcmesh_verify_verdict", "1 for the verdict of the last check, 0 for the others.")
	for _, each := range []check.Verdict{check.Pass, check.Fail, check.Inconclusive} {
		n := 0.0
		if each == v.Verdict {
			n = 1
		}
		add(verdict, n, address, label("verdict", string(each)))
	}
	calls := gauge("grpcmesh_verify_pod_calls", "Calls that the pod answered.")
	share := gauge("grpcmesh_verify_pod_share", "Share of the identified calls that the pod answered, 0 to 1.")
	expected := gauge("grpcmesh_verify_pod_expected_share", "Share that the pod should get, 0 to 1.")
	for _, c := range v.PerEndpoint {
		pod := []*dto.LabelPair{address, label("endpoint", c.Endpoint.Address), label("pod", c.Endpoint.Pod)}
		add(calls, float64(c.Calls), pod...)
		add(share, c.Share, pod...)
		add(expected, c.Endpoint.Share, pod...)
	}
	findings := gauge("grpcmesh_verify_finding", "1 for each code that was found.")
	seen := map[string]bool{}
	for _, f := range v.Findings {
		if !seen[f.Code] {
			add(findings, 1, address, label("code", f.Code), label("severity", string(f.Severity)))
		}
		seen[f.Code] = true
	}
	single := func(name, help string, n int) *dto.MetricFamily {
		f := gauge(name, help)
		add(f, float64(n), address)
		return f
	}
	for _, family := range []*dto.MetricFamily{
		verdict, calls, share, expected, findings,
		single("grpcmesh_verify_calls", "Calls made for telling pods apart.", v.Calls),
		single("grpcmesh_verify_endpoints_seen", "Ready endpoints that answered.", v.Coverage.Seen),
		single("grpcmesh_verify_endpoints_expected", "Ready endpoints.", v.Coverage.Of),
		single("grpcmesh_verify_unidentified_calls", "Answers that no endpoint could be found for.", v.Unidentified),
	} {
		if len(family.Metric) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

func gauge(name, help string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()}
}

func add(f *dto.MetricFamily, n float64, labels ...*dto.LabelPair) {
	f.Metric = append(f.Metric, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &n}})
}

func label(name, value string) *dto.LabelPair {
	value = Clean(value)
	return &dto.LabelPair{Name: &name, Value: &value}
}
