package istio

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLocalityOf(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "z1", "topology.istio.io/subzone": "s1"}}}
	labelled := func(key, value string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{key: value}}}
	}
	for want, got := range map[Locality]Locality{
		{"r1", "z1", "s1"}: LocalityOf(&corev1.Pod{}, node),
		{}:                 LocalityOf(&corev1.Pod{}, nil),
		{"r2", "z2"}:       LocalityOf(labelled("istio-locality", "r2.z2"), node),
		{"r3"}:             LocalityOf(labelled("topology.istio.io/locality", "r3"), node),
	} {
		if got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// TestGroups: who gets calls, and how many, is what istiod tells Envoy.
func TestGroups(t *testing.T) {
	gateway := Locality{"r1", "z1", "s1"}
	same, zone, region, other, third := gateway, Locality{"r1", "z1", "s2"}, Locality{"r1", "z2"}, Locality{"r2", "z1"}, Locality{"r3"}
	const outlier = "outlierDetection: {interval: 5s}, "
	lb := func(setting string) string {
		return outlier + "loadBalancer: {localityLbSetting: {enabled: true, " + setting + "}}"
	}
	for name, tc := range map[string]struct {
		policy string
		pods   []Locality
		want   []Group // nil: localities play no part
	}{
		"no outlier detection":             {"loadBalancer: {simple: ROUND_ROBIN}", []Locality{same, other}, nil},
		"the same place":                   {outlier, []Locality{same, other, same}, []Group{{[]int{0, 2}, 1}, {[]int{1}, 0}}},
		"the same zone":                    {outlier, []Locality{other, zone, region}, []Group{{[]int{1}, 1}, {[]int{0, 2}, 0}}},
		"the same region":                  {outlier, []Locality{other, region}, []Group{{[]int{1}, 1}, {[]int{0}, 0}}},
		"all elsewhere are alike":          {outlier, []Locality{other, third}, []Group{{[]int{0, 1}, 1}}},
		"unless one is to stand in":        {lb("failover: [{from: r1, to: r3}]"), []Locality{other, third}, []Group{{[]int{1}, 1}, {[]int{0}, 0}}},
		"by other labels":                  {lb("failoverPriority: [version]"), []Locality{same, other}, nil},
		"turned off":                       {outlier + "loadBalancer: {localityLbSetting: {enabled: false}}", []Locality{same, other}, nil},
		"by weight":                        {lb("distribute: [{from: r1/*, to: {r1/z1/*: 80, r2/*: 20}}]"), []Locality{same, zone, other}, []Group{{[]int{0}, .4}, {[]int{1}, .4}, {[]int{2}, .2}}},
		"by weight, and a place with none": {lb("distribute: [{from: r1/*, to: {r1/z1/*: 80, r2/*: 20}}]"), []Locality{same, region, other, third}, []Group{{[]int{0}, .8}, {[]int{1, 3}, 0}, {[]int{2}, .2}}},
		"by weight, one place empty":       {lb("distribute: [{from: r1/*, to: {r1/z1/*: 80, r2/*: 20}}]"), []Locality{other, other}, []Group{{[]int{0, 1}, 1}}},
		"weights for others":               {lb("distribute: [{from: r9/*, to: {r1/*: 100}}]"), []Locality{same, other}, nil},
		"a place that two patterns take":   {lb("distribute: [{from: '*', to: {r1/*: 50, r1/z1/*: 50}}]"), []Locality{same, other}, nil},
		"nothing is left of it":            {lb("distribute: [{from: '*', to: {r9/*: 100}}]"), []Locality{same, other}, nil},
	} {
		p := policyOf(&rule(t, "shop", "a", "host: server, trafficPolicy: {"+tc.policy+"}").Spec, parseMeshConfig(""), &corev1.Service{}, 80, Destination{})
		got, ok := p.Groups(gateway, tc.pods)
		if diff := cmp.Diff(tc.want, got); diff != "" || ok != (tc.want != nil) {
			t.Errorf("%s: %v (-want +got)\n%s", name, ok, diff)
		}
	}
}
