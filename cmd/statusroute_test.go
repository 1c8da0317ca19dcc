package cmd

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

func TestRoutingOf(t *testing.T) {
	for rule, want := range map[string]string{
		"{route: [{destination: {host: a}}]}":                                "",
		"{match: [{headers: {x-user: {exact: a}, x-a: {}}}], timeout: 1.5s}": "header x-a, header x-user, timeout 1.5s",
		"{retries: {attempts: 0}}":                                           "retries 0",
		"{retries: {attempts: 2, perTryTimeout: 1s}, route: [{destination: {host: a, subset: v2}, weight: 100}]}":       "retries 2 of 1s, subset v2",
		"{route: [{destination: {host: a, subset: v1}, weight: 90}, {destination: {host: a, subset: v2}, weight: 10}]}": "90 % to subset v1, 10 % to subset v2",
	} {
		r := &networking.HTTPRoute{}
		b, err := yaml.YAMLToJSON([]byte(rule))
		if err == nil {
			err = r.UnmarshalJSON(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(routingOf(r), ", "); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

// TestBalancing: a DestinationRule tells of the exposure that it was made for.
func TestBalancing(t *testing.T) {
	labels := map[string]string{manifest.WorkloadLabel: "deployment.srv"}
	vs := &clientnet.VirtualService{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "srv", Labels: labels}}
	for rule, want := range map[string]string{
		"{metadata: {namespace: test, name: srv}, spec: {trafficPolicy: {loadBalancer: {simple: RANDOM}}}}":                           "lb RANDOM",
		"{metadata: {namespace: test, name: srv}, spec: {trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}}": "lb header:x-user",
		"{metadata: {namespace: test, name: srv}, spec: {subsets: [{name: v2}]}}":                                                     "",
		"{metadata: {namespace: other, name: srv}, spec: {trafficPolicy: {loadBalancer: {simple: RANDOM}}}}":                          "",
		"{metadata: {namespace: test, name: second}, spec: {trafficPolicy: {loadBalancer: {simple: RANDOM}}}}":                        "",
	} {
		state := plan.State{Labels: labels}
		if err := yaml.Unmarshal([]byte(rule), &state.Object); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join((&view{rules: []plan.State{state}}).balancing(vs), ", "); got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}
