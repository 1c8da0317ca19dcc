package cmd

import (
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"
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
