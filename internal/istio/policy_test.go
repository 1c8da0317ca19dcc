package istio

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// rule is a DestinationRule that is as old as its name says: a letter, a dash,
// and its seconds.
func rule(t testing.TB, namespace, name, spec string) *clientnet.DestinationRule {
	t.Helper()
	dr := &clientnet.DestinationRule{}
	if err := yaml.Unmarshal([]byte("spec: {"+spec+"}"), dr); err != nil {
		t.Fatal(err)
	}
	dr.Namespace, dr.Name = namespace, name
	_, age, _ := strings.Cut(name, "-")
	dr.CreationTimestamp = metav1.NewTime(time.Unix(1_800_000_000-int64(len(age)), 0))
	return dr
}

// TestRuleFor: the lookup is istiod's. The Service is server in namespace shop,
// the gateway runs in edge, and mesh is the root namespace.
func TestRuleFor(t *testing.T) {
	const full = "host: server.shop.svc.cluster.local"
	type rules []*clientnet.DestinationRule
	for _, tc := range []struct {
		name  string
		rules rules
		want  string
	}{
		{"none", nil, ""},
		{"a short name is of the rule's own namespace", rules{rule(t, "shop", "a", "host: server")}, "shop/a"},
		{"a short name elsewhere is another Service", rules{rule(t, "edge", "a", "host: server"), rule(t, "mesh", "b", "host: server")}, ""},
		{"in full", rules{rule(t, "shop", "a", full)}, "shop/a"},
		{"in a cluster of another domain", rules{rule(t, "shop", "a", "host: server.shop.svc.corp.example")}, "shop/a"},
		{"of a set of clusters, that is another host", rules{rule(t, "shop", "a", "host: server.shop.svc.clusterset.local")}, ""},
		{"half a name is no Service's", rules{rule(t, "shop", "a", "host: server.shop"), rule(t, "shop", "b", "host: server.shop.svc")}, ""},
		{"another Service", rules{rule(t, "shop", "a", "host: servers"), rule(t, "shop", "b", "host: server.other.svc.cluster.local")}, ""},
		{"a third namespace is not looked into", rules{rule(t, "other", "a", full)}, ""},

		// Where it is looked for.
		{"the gateway's namespace first", rules{rule(t, "shop", "a", "host: server"), rule(t, "mesh", "b", full), rule(t, "edge", "c", full)}, "edge/c"},
		{"a wildcard there goes before a name elsewhere", rules{rule(t, "shop", "a", "host: server"), rule(t, "edge", "c", "host: '*'")}, "edge/c"},
		{"the Service's before the root", rules{rule(t, "mesh", "b", full), rule(t, "shop", "a", "host: server")}, "shop/a"},
		{"the root last", rules{rule(t, "mesh", "b", full)}, "mesh/b"},

		// Wildcards.
		{"all of a namespace", rules{rule(t, "shop", "a", "host: '*.shop.svc.cluster.local'")}, "shop/a"},
		{"all of another", rules{rule(t, "shop", "a", "host: '*.other.svc.cluster.local'")}, ""},
		{"the name goes before wildcards", rules{rule(t, "shop", "a", "host: '*.shop.svc.cluster.local'"), rule(t, "shop", "b", "host: server"), rule(t, "shop", "c", "host: '*'")}, "shop/b"},
		{"the longest wildcard", rules{rule(t, "shop", "a", "host: '*'"), rule(t, "shop", "b", "host: '*.shop.svc.cluster.local'"), rule(t, "shop", "c", "host: '*.local'")}, "shop/b"},

		// exportTo.
		{"to all", rules{rule(t, "shop", "a", "host: server, exportTo: ['*']")}, "shop/a"},
		{"to the gateway's namespace", rules{rule(t, "shop", "a", "host: server, exportTo: [edge]")}, "shop/a"},
		{"to its own alone", rules{rule(t, "shop", "a", "host: server, exportTo: ['.']"), rule(t, "mesh", "b", full)}, "mesh/b"},
		{"to its own by name", rules{rule(t, "shop", "a", "host: server, exportTo: [shop]"), rule(t, "mesh", "b", full)}, "mesh/b"},
		{"to another, and the search goes on", rules{rule(t, "shop", "a", "host: server, exportTo: [other]"), rule(t, "mesh", "b", full)}, "mesh/b"},
		{"to another, and it hides the wildcard beside it", rules{rule(t, "shop", "a", "host: server, exportTo: [other]"), rule(t, "shop", "b", "host: '*'")}, ""},
		{"the gateway's own, kept to itself", rules{rule(t, "edge", "a", full+", exportTo: ['.']")}, "edge/a"},
		{"the gateway's own, for others", rules{rule(t, "edge", "a", full+", exportTo: [other]"), rule(t, "shop", "b", "host: server")}, "shop/b"},

		// Several of one host.
		{"they are merged", rules{rule(t, "shop", "b", "host: server"), rule(t, "shop", "a-older", "host: server.shop.svc.cluster.local")}, "shop/a-older, shop/b"},
		{"unless for others", rules{rule(t, "shop", "b", "host: server"), rule(t, "shop", "a-older", "host: server, exportTo: [edge, other]")}, "shop/b"},
		{"of several audiences the last", rules{rule(t, "shop", "a-old", "host: server"), rule(t, "shop", "b", "host: server, exportTo: ['*']")}, "shop/b"},
		{"and istiod adds an equal of the first once more", rules{rule(t, "shop", "a-older", "host: server"), rule(t, "shop", "b-old", "host: server, exportTo: ['*']"), rule(t, "shop", "c", "host: server")}, "shop/c"},
		{"a wider audience joins", rules{rule(t, "shop", "a-old", "host: server, exportTo: [edge]"), rule(t, "shop", "b", "host: server, exportTo: [edge, other]")}, "shop/a-old, shop/b"},
		{"one for these pods goes first", rules{rule(t, "edge", "a-older", full), rule(t, "edge", "b", full+", workloadSelector: {matchLabels: {istio: ingressgateway}}")}, "edge/b"},
		{"one for other pods doesn't", rules{rule(t, "edge", "a", full), rule(t, "edge", "b", full+", workloadSelector: {matchLabels: {app: other}}")}, "edge/a"},
		{"one for other pods alone ends the search", rules{rule(t, "shop", "a", "host: server"), rule(t, "edge", "b", full+", workloadSelector: {matchLabels: {app: other}}")}, ""},
		{"two for different pods", rules{rule(t, "edge", "a-old", full+", workloadSelector: {matchLabels: {app: other}}"), rule(t, "edge", "b", full+", workloadSelector: {matchLabels: {istio: ingressgateway}}")}, "edge/b"},
		{"one for pods is for its own namespace", rules{rule(t, "shop", "b", "host: server, workloadSelector: {matchLabels: {istio: ingressgateway}}")}, ""},
	} {
		_, names := ruleFor(tc.rules, meshConfig{RootNamespace: "mesh"}, Client{"edge", map[string]string{"istio": "ingressgateway"}}, "server", "shop")
		if got := strings.Join(names, ", "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}

	// A gateway in the root namespace, as istioctl installs it.
	all := rules{rule(t, "mesh", "for-all", full), rule(t, "shop", "a", "host: server")}
	inRoot := Client{Namespace: "mesh"}
	if _, names := ruleFor(all, meshConfig{RootNamespace: "mesh"}, inRoot, "server", "shop"); !cmp.Equal(names, []string{"shop/a"}) {
		t.Errorf("the root's rules for all come last, for its own gateways too: %v", names)
	}
	all = append(all, rule(t, "mesh", "own", full+", exportTo: ['.']"))
	if _, names := ruleFor(all, meshConfig{RootNamespace: "mesh"}, inRoot, "server", "shop"); !cmp.Equal(names, []string{"mesh/own"}) {
		t.Errorf("what the root keeps to itself is for its own gateways: %v", names)
	}
	byDefault := meshConfig{RootNamespace: "mesh", DefaultDestinationRuleExportTo: []string{"."}}
	if _, names := ruleFor(all[1:2], byDefault, inRoot, "server", "shop"); names != nil {
		t.Errorf("private by the mesh's default: %v", names)
	}
}

func TestMergedRules(t *testing.T) {
	got, _ := ruleFor([]*clientnet.DestinationRule{
		rule(t, "shop", "newer", "host: server, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {v: newer}}, {name: v2, labels: {v: newer}}]"),
		rule(t, "shop", "a-old", "host: server, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}"),
		rule(t, "shop", "a-oldest", "host: server, subsets: [{name: v1, labels: {v: oldest}}]"),
	}, parseMeshConfig(""), Client{Namespace: "edge"}, "server", "shop")
	p := policyOf(got, parseMeshConfig(""), &corev1.Service{}, 80, Destination{})
	if diff := cmp.Diff(map[string]map[string]string{"v1": {"v": "oldest"}, "v2": {"v": "newer"}}, p.Subsets); diff != "" || !strings.Contains(p.Sticky, "PASSTHROUGH") {
		t.Errorf("%q, subsets (-want +got):\n%s", p.Sticky, diff)
	}
}

func TestSticky(t *testing.T) {
	const header = "loadBalancer: {consistentHash: {httpHeaderName: x-user}}"
	onPort := func(port, policy string) string {
		return "portLevelSettings: [{port: {number: " + port + "}, " + policy + "}]"
	}
	for _, tc := range []struct {
		policy, subset string
		named          int // the port that the route names
		want           string
	}{
		{"", "", 0, ""},
		{"connectionPool: {http: {http2MaxRequests: 1}}", "", 0, ""},
		{"loadBalancer: {simple: LEAST_REQUEST}", "", 0, ""},
		{"loadBalancer: {simple: PASSTHROUGH}", "", 0, "load balancing is off (PASSTHROUGH)"},
		{header, "", 0, "consistent hashing on header x-user"},
		{"loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 0s}}}", "", 0, "consistent hashing on cookie session"},
		{"loadBalancer: {consistentHash: {useSourceIp: true}}", "", 0, "consistent hashing on the client's address"},
		{"loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 2048}}", "", 0, "consistent hashing on the client's address"},
		{"loadBalancer: {consistentHash: {httpQueryParameterName: q, maglev: {}}}", "", 0, "consistent hashing on query parameter q"},
		{"loadBalancer: {consistentHash: {useSourceIp: false}}", "", 0, ""},
		{"loadBalancer: {consistentHash: {maglev: {tableSize: 11}}}", "", 0, ""},
		{"loadBalancer: {consistentHash: {ringHash: {}}}", "", 0, ""},

		// One port's settings.
		{onPort("8000", header), "", 8000, "consistent hashing on header x-user"},
		{onPort("8000", header), "", 0, ""}, // the route hashes by nothing
		{onPort("9000", header), "", 8000, ""},
		{header + ", " + onPort("8000", "loadBalancer: {simple: RANDOM}"), "", 8000, ""},
		{header + ", " + onPort("8000", "connectionPool: {}"), "", 8000, ""}, // nothing is inherited
		{header + ", " + onPort("9000", "loadBalancer: {simple: RANDOM}"), "", 8000, "consistent hashing on header x-user"},

		// A subset's.
		{"", header, 0, "consistent hashing on header x-user"},
		{header, "loadBalancer: {simple: RANDOM}", 0, ""},
		{header, "connectionPool: {}", 0, "consistent hashing on header x-user"},
		{"", onPort("8000", header), 8000, "consistent hashing on header x-user"},
		{header, onPort("8000", "connectionPool: {}"), 8000, ""},
		{onPort("8000", header), "loadBalancer: {consistentHash: {useSourceIp: true}}", 8000, "consistent hashing on the client's address"},
	} {
		dr := rule(t, "shop", "a", "host: server, trafficPolicy: {"+tc.policy+"}, subsets: [{name: v1, trafficPolicy: {"+tc.subset+"}}]")
		d := Destination{Port: tc.named, Subset: "v1"}
		if got := policyOf(&dr.Spec, parseMeshConfig(""), &corev1.Service{}, 8000, d); got.Sticky != tc.want {
			t.Errorf("%s, subset %s, port %d: %q, want %q", tc.policy, tc.subset, tc.named, got.Sticky, tc.want)
		}
	}
	if got := policyOf(nil, parseMeshConfig(""), &corev1.Service{}, 8000, Destination{}); got.Sticky != "" || got.Prefers != "" || got.Warmup != 0 {
		t.Errorf("no rule: %+v", got)
	}
}

func TestPrefers(t *testing.T) {
	const outlier = "outlierDetection: {consecutive5xxErrors: 3}"
	locality := func(s string) string { return "loadBalancer: {localityLbSetting: {" + s + "}}" }
	for _, tc := range []struct {
		policy, service, mesh string
		want                  string
		within                Scope
	}{
		{"", "", "", "", ""},
		{outlier, "", "", "outlierDetection", Zone},
		{outlier, "", "localityLbSetting: {enabled: false}", "", ""},
		{outlier + ", " + locality("enabled: true"), "", "localityLbSetting: {enabled: false}", "outlierDetection", Zone},
		{outlier + ", " + locality("enabled: false"), "", "", "", ""},
		{locality("enabled: true"), "", "", "", ""},
		{locality("failover: [{from: a, to: b}]"), "", "", "", ""}, // not without outlier detection
		{locality("distribute: [{from: a/*, to: {'a/*': 100}}]"), "", "", "localityLbSetting.distribute", Zone},
		{outlier + ", " + locality("failoverPriority: [version]"), "", "", "localityLbSetting.failoverPriority", Anything},
		{"", "", "localityLbSetting: {distribute: [{from: a/*, to: {'a/*': 100}}]}", "localityLbSetting.distribute", Zone},
		{"", "", "localityLbSetting: {failover: [{from: a, to: b}]}", "", ""},
		{"", "spec: {trafficDistribution: PreferClose}", "", "PreferClose of Service shop/server", Zone},
		{"", "spec: {trafficDistribution: PreferSameNode}", "", "PreferSameNode of Service shop/server", Node},
		{"", "metadata: {annotations: {networking.istio.io/traffic-distribution: PreferClose}}", "", "PreferClose", Zone},
		{locality("enabled: false"), "spec: {trafficDistribution: PreferClose}", "", "", ""},
		{"loadBalancer: {zoneAwareLbSetting: {}}", "", "", "zoneAwareLbSetting", Zone},
		{"loadBalancer: {zoneAwareLbSetting: {enabled: false}}, " + outlier, "", "", "", ""},
		{"", "", "zoneAwareLbSetting: {enabled: true}", "zoneAwareLbSetting", Zone},
		{"portLevelSettings: [{port: {number: 8000}, " + outlier + "}]", "", "", "outlierDetection", Zone},
		{"portLevelSettings: [{port: {number: 9000}, " + outlier + "}]", "", "", "", ""},
	} {
		svc := &corev1.Service{}
		if err := yaml.Unmarshal([]byte(tc.service), svc); err != nil {
			t.Fatal(err)
		}
		svc.Namespace, svc.Name = "shop", "server"
		dr := rule(t, "shop", "a", "host: server, trafficPolicy: {"+tc.policy+"}")
		got := policyOf(&dr.Spec, parseMeshConfig(tc.mesh), svc, 8000, Destination{})
		if (tc.want == "") != (got.Prefers == "") || !strings.Contains(got.Prefers, tc.want) || got.Within != tc.within {
			t.Errorf("%s, Service %s, mesh %s: %q within %q, want %q within %q", tc.policy, tc.service, tc.mesh, got.Prefers, got.Within, tc.want, tc.within)
		}
	}
}

func TestWarmup(t *testing.T) {
	for policy, want := range map[string]time.Duration{
		"loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 90s}}": 90 * time.Second,
		"loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 30s}": 30 * time.Second,
		"loadBalancer: {simple: ROUND_ROBIN}":                          0,
	} {
		dr := rule(t, "shop", "a", "host: server, trafficPolicy: {"+policy+"}")
		if got := policyOf(&dr.Spec, parseMeshConfig(""), &corev1.Service{}, 8000, Destination{}).Warmup; got != want {
			t.Errorf("%s: %s, want %s", policy, got, want)
		}
	}
}

func TestParseMeshConfig(t *testing.T) {
	for text, root := range map[string]string{
		"":                               "istio-system",
		"rootNamespace: mesh-root":       "mesh-root",
		"enableTracing: true\ntrust: {}": "istio-system",
		"no: [yaml":                      "istio-system",
		"rootNamespace: [1]":             "istio-system",
	} {
		if got := parseMeshConfig(text); got.RootNamespace != root || got.LocalityLbSetting == nil {
			t.Errorf("%q: %+v, want the root %s, and locality on", text, got, root)
		}
	}
	if got := parseMeshConfig("defaultDestinationRuleExportTo: ['.']\nlocalityLbSetting: {enabled: false}"); !cmp.Equal(got.DefaultDestinationRuleExportTo, []string{"."}) || got.LocalityLbSetting.Enabled.Value {
		t.Errorf("%+v", got)
	}
}

// What a port is called plays no part where calls are told to keep to HTTP/2.
func TestKeepsHTTP2(t *testing.T) {
	for _, tc := range []struct {
		name, rule, mesh string
		want             bool
	}{
		{"nothing is said", "host: server", "", false},
		{"the rule upgrades", "host: server, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", "", true},
		{"the rule keeps the client's", "host: server, trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}", "", true},
		{"for another port", "host: server, trafficPolicy: {portLevelSettings: [{port: {number: 9}, connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}]}", "", false},
		{"for this port", "host: server, trafficPolicy: {portLevelSettings: [{port: {number: 8000}, connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}]}", "", true},
		{"for this subset", "host: server, subsets: [{name: v1, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}]", "", true},
		{"for another subset", "host: server, subsets: [{name: v2, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}}]", "", false},
		{"the mesh upgrades", "host: server", "h2UpgradePolicy: UPGRADE", true},
		{"the rule says otherwise", "host: server, trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}}", "h2UpgradePolicy: UPGRADE", false},
	} {
		p := policyOf(&rule(t, "test", "a", tc.rule).Spec, parseMeshConfig(tc.mesh), &corev1.Service{}, 8000, Destination{Subset: "v1"})
		if p.HTTP2 != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, p.HTTP2, tc.want)
		}
	}
}
