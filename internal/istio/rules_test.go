package istio

import (
	"strings"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/manifest"
)

func destinationRule(t *testing.T, namespace, name, text string) *clientnet.DestinationRule {
	t.Helper()
	dr := &clientnet.DestinationRule{}
	if err := yaml.Unmarshal([]byte(text), dr); err != nil {
		t.Fatal(err)
	}
	dr.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: dr.Labels}
	return dr
}

// TestOtherRule: whose DestinationRule governs the calls is asked as istiod
// would answer, and one's own is no other's.
func TestOtherRule(t *testing.T) {
	const ours = "metadata: {labels: {app.kubernetes.io/managed-by: grpcmesh, grpcmesh.dev/workload: deployment.server}}\n"
	const random = "trafficPolicy: {loadBalancer: {simple: RANDOM}}"
	lb := manifest.Route{LB: "RANDOM"}
	canary := manifest.Route{Canary: map[string]int{"v2": 10}}
	for _, tc := range []struct {
		name, namespace, dr, text string
		route                     manifest.Route
		want                      string // whose rule governs; empty: nobody's
		says                      bool
	}{
		{"nobody's", "shop", "x", "spec: {host: server}", lb, "", false},
		{"our own", "test", "server", ours + "spec: {host: server}", lb, "", false},
		{"of our name, and not ours", "test", "server", "spec: {host: server}", lb, "test/server", false},
		{"that of a workload of our name", "test", "server", strings.Replace(ours, "deployment", "statefulset", 1) + "spec: {host: server}", lb, "test/server", false},
		{"for the Service", "test", "x", "spec: {host: server}", lb, "test/x", false},
		{"for the Service, as wanted", "test", "x", "spec: {host: server, " + random + "}", lb, "test/x", true},
		{"for the Service's port, otherwise", "test", "x", "spec: {host: server, trafficPolicy: {loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 8000}, loadBalancer: {simple: ROUND_ROBIN}}]}}", lb, "test/x", false},
		{"for all of the namespace", "test", "x", "spec: {host: '*.test.svc.cluster.local', " + random + "}", lb, "test/x", true},
		{"for all of the mesh", "istio-system", "x", "spec: {host: '*.local'}", lb, "istio-system/x", false},
		{"for another Service", "test", "x", "spec: {host: web}", lb, "", false},
		{"for its own namespace alone", "test", "x", "spec: {host: server, exportTo: ['.']}", lb, "", false},
		{"with the subsets", "test", "x", "spec: {host: server, subsets: [{name: v2, labels: {version: v2}}, {name: v1, labels: {version: v1}}]}", canary, "test/x", true},
		{"with one of the subsets", "test", "x", "spec: {host: server, subsets: [{name: v1, labels: {version: v1}}]}", canary, "test/x", false},
		{"with subsets of other labels", "test", "x", "spec: {host: server, subsets: [{name: v2, labels: {v: v2}}, {name: v1, labels: {v: v1}}]}", canary, "test/x", false},
	} {
		e := exposure()
		e.Port, e.Route = 8000, tc.route
		e.Subsets, _ = tc.route.Split(map[string]string{"version": "v1"})
		all := []*clientnet.DestinationRule{destinationRule(t, tc.namespace, tc.dr, tc.text)}
		rule, names, err := otherRule(all, parseMeshConfig(""), Client{Namespace: "istio-system"}, e)
		if err != nil || names != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.name, names, err, tc.want)
		}
		if names != "" && Says(rule, e) != tc.says {
			t.Errorf("%s: it says what is wanted: %v, want %v", tc.name, !tc.says, tc.says)
		}
	}
	e := exposure()
	e.Route = lb
	if _, _, err := otherRule(nil, parseMeshConfig("defaultDestinationRuleExportTo: ['.']"), Client{Namespace: "istio-system"}, e); err == nil || !strings.Contains(err.Error(), "defaultDestinationRuleExportTo") {
		t.Errorf("a mesh that keeps rules to their namespace: %v", err)
	}
}
