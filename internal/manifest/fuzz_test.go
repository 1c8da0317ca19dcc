package manifest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// FuzzNames: an Intent that is found valid makes objects whose names and labels
// the API server takes; one that isn't says so in an error of one line.
func FuzzNames(f *testing.F) {
	for _, s := range [][4]string{
		{"test", "server", "*", "helloworld.Greeter"}, {"test", "sts/db", "*.example.com", ""}, {"kube-system", "a.b", "203.0.113.1", "A"},
		{"", "../x", "::1", "/"}, {strings.Repeat("n", 64), "deploy/" + strings.Repeat("w", 253), "a..b", "a.b."}, {"tëst", "A", "EXAMPLE.com", "ü"},
		{"test", "daemonset/" + strings.Repeat("a-", 40) + "b", "{workload}.example.com", "_"}, {"test", "a/b/c", "[::1]", "a b"}, {"test", "a\x1b[0m", "a:80", "a\x00"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, namespace, workload, host, service string) {
		i := Intent{Namespace: namespace, Workload: workload, Port: DefaultPort, Host: host, MatchService: service}
		if i.Validate() != nil || workload == "" {
			return
		}
		kind, name, err := ParseWorkload(workload)
		if err != nil {
			t.Fatalf("%q is valid, and can't be parsed: %v", workload, err)
		}
		if kind == "" {
			kind = "Deployment"
		}
		host = HostFor(host, name, namespace)
		filled := i
		if filled.Host = host; filled.Validate() != nil {
			return // what fills the pattern may be too long for a host
		}
		e := Exposure{Namespace: namespace, WorkloadKind: kind, WorkloadName: name, Selector: map[string]string{"app": "a"},
			Port: DefaultPort, TargetPort: 50051, GatewayPort: 80, Host: host, Servers: MergeServers(nil, 80, TLS{}, host)}
		if e.Validate() != nil {
			return
		}
		for _, obj := range e.Objects() {
			bad := validation.IsDNS1123Subdomain(obj.Name)
			for k, v := range labelsOf(obj) {
				bad = slices.Concat(bad, validation.IsQualifiedName(k), validation.IsValidLabelValue(v))
			}
			if len(bad) > 0 {
				t.Fatalf("%s of %q in %q: %v", obj.ID, workload, namespace, bad)
			}
		}
		if !OwnedBy(e.labels(), kind, name) || OwnedBy(e.labels(), kind+"x", name) && len(kind+name) < 60 {
			t.Fatalf("the labels %v don't say whose they are", e.labels())
		}
	})
}

func labelsOf(obj Object) map[string]string {
	return obj.Apply.Metadata.Labels
}

// FuzzHosts: what a Gateway's server takes after another host was added is
// that host and all that it took before, once, whatever the order.
func FuzzHosts(f *testing.F) {
	f.Add("a.example.com,b.example.com", "*.example.com")
	f.Add("*", "a.example.com")
	f.Add("shop/a.example.com,./b.example.com", "*")
	f.Add("*.Example.com", "a.eXample.com")
	f.Add("", "*.com")
	f.Fuzz(func(t *testing.T, list, host string) {
		hosts := strings.Split(list, ",")
		if (Intent{Namespace: "test", Port: 1, Host: host}).Validate() != nil || strings.Contains(host, "{") || list == "" {
			return
		}
		for _, h := range hosts {
			_, bare, ok := strings.Cut(h, "/")
			if !ok {
				bare = h
			}
			if (Intent{Namespace: "test", Port: 1, Host: bare}).Validate() != nil || strings.Contains(bare, "{") {
				return
			}
		}
		have := []Server{{Port: 80, Hosts: slices.Clone(hosts)}, {Port: 81, Hosts: []string{"x.example.com"}}}
		merged := MergeServers(have, 80, TLS{}, host)
		if !slices.Equal(have[0].Hosts, hosts) {
			t.Fatal("what was given was changed")
		}
		if len(merged) != 2 || !reflect.DeepEqual(merged[1], have[1]) || merged[0].Port != 80 {
			t.Fatalf("another port was touched: %v", merged)
		}
		for _, h := range append(slices.Clone(hosts), host) {
			if _, bare, limited := strings.Cut(h, "/"); limited && host == "*" {
				h = bare
			}
			if !slices.ContainsFunc(merged[0].Hosts, func(m string) bool { return Covers(m, h) }) {
				t.Fatalf("%v and %q came to %v, which does not take %q", hosts, host, merged[0].Hosts, h)
			}
		}
		if again := MergeServers(merged, 80, TLS{}, host); !reflect.DeepEqual(again, merged) {
			t.Fatalf("once more came to %v, after %v", again, merged)
		}
		sorted := slices.Sorted(slices.Values(merged[0].Hosts))
		if was := slices.Sorted(slices.Values(hosts)); len(slices.Compact(was)) == len(hosts) && len(slices.Compact(sorted)) != len(merged[0].Hosts) {
			t.Fatalf("%v has one host twice", merged[0].Hosts)
		}
	})
}
