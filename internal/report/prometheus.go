package report

import (
	"io"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"grpcmesh/internal/check"
)

// prometheus writes reports in Prometheus' text format, as the textfile
// collector and the push gateway take it.
func prometheus(w io.Writer, d Document) error {
	m := newMetrics()
	for _, v := range d.Reports() {
		m.take(v)
	}
	for _, family := range m.families {
		if len(family.Metric) == 0 {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

// metrics are the families, in the order in which they are written.
type metrics struct {
	families []*dto.MetricFamily
	byName   map[string]*dto.MetricFamily
}

func newMetrics() *metrics {
	m := &metrics{byName: map[string]*dto.MetricFamily{}}
	for _, f := range []struct{ name, help string }{
		{"verdict", "1 for the verdict of the last check, 0 for the others."},
		{"pod_calls", "Calls that the pod answered."},
		{"pod_share", "Share of the identified calls that the pod answered, 0 to 1."},
		{"pod_expected_share", "Share that the pod should get, 0 to 1."},
		{"finding", "1 for each code that was found."},
		{"calls", "Calls made for telling pods apart."},
		{"told_apart", "1 for the way in which pods were told apart, route, admin, sidecars or app, by requests or streams."},
		{"endpoints_seen", "Ready endpoints that answered."},
		{"endpoints_expected", "Ready endpoints."},
		{"unidentified_calls", "Answers that no endpoint could be found for."},
		{"load_calls", "Calls of the load, by gRPC status."},
		{"load_failed_calls", "Calls of the load that no pod answered as it had before."},
		{"load_seconds", "How long the load took."},
		{"load_latency_seconds", "Quantiles of the load's latency; 1 is the longest."},
		{"load_pod_calls", "Calls of the load that the pod answered, by gRPC status."},
		{"load_pod_latency_seconds", "The same quantiles of the pod's answers."},
	} {
		m.byName[f.name] = gauge("grpcmesh_verify_"+f.name, f.help)
		m.families = append(m.families, m.byName[f.name])
	}
	return m
}

// take adds what one report says.
func (m *metrics) take(v *Verify) {
	which := []*dto.LabelPair{label("address", v.Address), label("authority", v.Authority)}
	namespace, name, _ := strings.Cut(v.route(), "/")
	if name != "" {
		which = append(which, label("namespace", namespace), label("virtual_service", name))
	}
	add := func(name string, n float64, labels ...*dto.LabelPair) {
		add(m.byName[name], n, slices.Concat(which, labels)...)
	}
	for _, each := range []check.Verdict{check.Pass, check.Fail, check.Inconclusive} {
		n := 0.0
		if each == v.Verdict {
			n = 1
		}
		add("verdict", n, label("verdict", string(each)))
	}
	for _, c := range v.PerEndpoint {
		pod := []*dto.LabelPair{label("endpoint", c.Endpoint.Address), label("pod", c.Endpoint.Pod)}
		add("pod_calls", float64(c.Calls), pod...)
		add("pod_share", c.Share, pod...)
		if c.Endpoint.Share > 0 { // else it is not known
			add("pod_expected_share", c.Endpoint.Share, pod...)
		}
	}
	seen := map[string]bool{}
	for _, f := range v.Findings {
		if !seen[f.Code] {
			add("finding", 1, label("code", f.Code), label("severity", string(f.Severity)))
		}
		seen[f.Code] = true
	}
	add("calls", float64(v.Calls))
	if v.Identified != "" {
		add("told_apart", 1, label("by", v.Identified), label("of", v.units()))
	}
	add("endpoints_seen", float64(v.Coverage.Seen))
	add("endpoints_expected", float64(v.Coverage.Of))
	add("unidentified_calls", float64(v.Unidentified))
	m.load(v.Load, func(name string, n float64, pairs ...[2]string) {
		var labels []*dto.LabelPair
		for _, p := range pairs {
			labels = append(labels, label(p[0], p[1]))
		}
		add(name, n, labels...)
	})
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
