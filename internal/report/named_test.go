package report

import (
	"strings"
	"testing"

	"grpcmesh/internal/check"
)

// named is a report of the rung app without a cluster, where nobody knows how
// many pods there should be, and the app's names are hostile.
func named() *Verify {
	v := documents()[check.Pass]
	v.Identified, v.BackendFrom = check.RungApp, "header x-pod "+hostile
	v.Proof.Connection, v.Proof.Gateway, v.Coverage.Of, v.Coverage.Needed, v.Witness = "", "", 0, 20, nil
	for i := range v.PerEndpoint {
		v.PerEndpoint[i].Endpoint = check.Endpoint{Address: hostile + string(rune('a'+i))}
	}
	return v
}

// Each format says how pods were told apart, and none that it knows what share
// each should have.
func TestNamed(t *testing.T) {
	v := named()
	for _, format := range Formats() {
		got := written(t, v, format)
		if format != "json" && strings.Contains(got, " 0.0") || strings.Contains(got, ">0.0") || strings.Contains(got, "of 0 ") || strings.Contains(got, "pod_expected_share{") {
			t.Errorf("%s tells a share that nobody knows:\n%s", format, got)
		}
		want := "what the app says of itself"
		switch format {
		case "json":
			want = `"identified": "app"`
		case "prometheus":
			want = `,by="app",of="requests"} 1`
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", format, want, got)
		}
	}
	if got := written(t, v, "text"); !strings.Contains(got, "coverage        not tested, for how many pods there should be is not known; in 5 calls 2 pods answered, and one more with an equal share would have shown after 20") {
		t.Error(got)
	}
}

// Of streams each format says that they are what is spread.
func TestStreams(t *testing.T) {
	v := documents()[check.Pass]
	v.Streams = true
	for _, format := range Formats() {
		want := "streams on one connection, not messages, are spread over 2 pods"
		switch format {
		case "json":
			want = `"streams": true`
		case "prometheus":
			want = `,by="route",of="streams"} 1`
		}
		if got := written(t, v, format); !strings.Contains(got, want) || strings.Contains(got, "requests on one") {
			t.Errorf("%s: no %q in\n%s", format, want, got)
		}
	}
}
