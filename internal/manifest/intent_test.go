package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"grpcmesh/internal/manifest"
)

// intent is one that is valid in every field, to be spoilt in one.
func intent() manifest.Intent {
	return manifest.Intent{
		Namespace: "test", Workload: "deployment/server", Port: 8000, TargetPort: 50051,
		Host: "greeter.example.com", MatchService: "helloworld.Greeter", GatewayPort: 80,
		GatewaySelector: map[string]string{"istio": "ingressgateway"}, Revision: "canary",
	}
}

func TestIntentValidate(t *testing.T) {
	label63, label64 := strings.Repeat("a", 63), strings.Repeat("a", 64)
	long254 := strings.Repeat(label63+".", 3) + label63[:62]
	for _, tc := range []struct {
		name  string
		set   func(*manifest.Intent)
		field string // of the error; empty: valid
	}{
		{"as it is", func(*manifest.Intent) {}, ""},
		{"least that can be said", func(i *manifest.Intent) {
			*i = manifest.Intent{Namespace: "test", Port: manifest.DefaultPort, Host: "*"}
		}, ""},

		{"no namespace", func(i *manifest.Intent) { i.Namespace = "" }, "--namespace"},
		{"namespace up and away", func(i *manifest.Intent) { i.Namespace = "../kube-system" }, "--namespace"},
		{"namespace of 63", func(i *manifest.Intent) { i.Namespace = label63 }, ""},
		{"namespace of 64", func(i *manifest.Intent) { i.Namespace = label64 }, "--namespace"},
		{"namespace in capitals", func(i *manifest.Intent) { i.Namespace = "Test" }, "--namespace"},
		{"namespace with a dot", func(i *manifest.Intent) { i.Namespace = "a.b" }, "--namespace"},
		{"namespace in Unicode", func(i *manifest.Intent) { i.Namespace = "tëst" }, "--namespace"},
		{"namespace with a control byte", func(i *manifest.Intent) { i.Namespace = "te\x1bst" }, "--namespace"},
		{"namespace with a newline", func(i *manifest.Intent) { i.Namespace = "test\n" }, "--namespace"},

		{"no workload", func(i *manifest.Intent) { i.Workload = "" }, ""},
		{"workload up and away", func(i *manifest.Intent) { i.Workload = "../server" }, "WORKLOAD"},
		{"workload below a kind up and away", func(i *manifest.Intent) { i.Workload = "deployment/../server" }, "WORKLOAD"},
		{"workload in Unicode", func(i *manifest.Intent) { i.Workload = "sérver" }, "WORKLOAD"},
		{"workload of a Cyrillic look-alike", func(i *manifest.Intent) { i.Workload = "sеrver" }, "WORKLOAD"},
		{"workload of 64, as a Deployment may have it", func(i *manifest.Intent) { i.Workload = label64 }, ""},
		{"workload of 254", func(i *manifest.Intent) { i.Workload = long254 }, "WORKLOAD"},
		{"workload of another kind", func(i *manifest.Intent) { i.Workload = "pod/server" }, "WORKLOAD"},

		{"port 0", func(i *manifest.Intent) { i.Port = 0 }, "--port"},
		{"port -1", func(i *manifest.Intent) { i.Port = -1 }, "--port"},
		{"port 1", func(i *manifest.Intent) { i.Port = 1 }, ""},
		{"port 65535", func(i *manifest.Intent) { i.Port = 65535 }, ""},
		{"port 65536", func(i *manifest.Intent) { i.Port = 65536 }, "--port"},
		{"target port 0: find it", func(i *manifest.Intent) { i.TargetPort = 0 }, ""},
		{"target port -1", func(i *manifest.Intent) { i.TargetPort = -1 }, "--target-port"},
		{"target port 65536", func(i *manifest.Intent) { i.TargetPort = 65536 }, "--target-port"},
		{"gateway port 0: choose one", func(i *manifest.Intent) { i.GatewayPort = 0 }, ""},
		{"gateway port -80", func(i *manifest.Intent) { i.GatewayPort = -80 }, "--gateway-port"},
		{"gateway port 65536", func(i *manifest.Intent) { i.GatewayPort = 65536 }, "--gateway-port"},

		{"any host", func(i *manifest.Intent) { i.Host = "*" }, ""},
		{"wildcard", func(i *manifest.Intent) { i.Host = "*.example.com" }, ""},
		{"wildcard without its dot", func(i *manifest.Intent) { i.Host = "*example.com" }, "--host"},
		{"wildcard in the middle", func(i *manifest.Intent) { i.Host = "a.*.com" }, "--host"},
		{"wildcard at the end", func(i *manifest.Intent) { i.Host = "example.*" }, "--host"},
		{"two wildcards", func(i *manifest.Intent) { i.Host = "*.*.com" }, "--host"},
		{"wildcard with a port", func(i *manifest.Intent) { i.Host = "*:80" }, "--host"},
		{"no host", func(i *manifest.Intent) { i.Host = "" }, "--host"},
		{"host and port", func(i *manifest.Intent) { i.Host = "greeter.example.com:8000" }, "--host"},
		{"address and port", func(i *manifest.Intent) { i.Host = "203.0.113.10:8000" }, "--host"},
		{"URL", func(i *manifest.Intent) { i.Host = "http://greeter.example.com" }, "--host"},
		{"IPv4", func(i *manifest.Intent) { i.Host = "203.0.113.10" }, ""},
		{"IPv6", func(i *manifest.Intent) { i.Host = "2001:db8::1" }, "--host"},
		{"IPv6 in brackets", func(i *manifest.Intent) { i.Host = "[2001:db8::1]" }, "--host"},
		{"IPv6 and port", func(i *manifest.Intent) { i.Host = "[2001:db8::1]:8000" }, "--host"},
		{"IPv6 with a zone", func(i *manifest.Intent) { i.Host = "fe80::1%eth0" }, "--host"},
		{"host label of 63", func(i *manifest.Intent) { i.Host = label63 + ".com" }, ""},
		{"host of 254", func(i *manifest.Intent) { i.Host = long254 }, "--host"},
		{"host in capitals", func(i *manifest.Intent) { i.Host = "Greeter.example.com" }, "--host"},
		{"host in Unicode", func(i *manifest.Intent) { i.Host = "grüße.example.com" }, "--host"},
		{"host up and away", func(i *manifest.Intent) { i.Host = "../x" }, "--host"},
		{"host with a space", func(i *manifest.Intent) { i.Host = "a b" }, "--host"},
		{"host with a trailing dot", func(i *manifest.Intent) { i.Host = "example.com." }, "--host"},
		{"host with namespace", func(i *manifest.Intent) { i.Host = "test/example.com" }, "--host"},

		{"every call", func(i *manifest.Intent) { i.MatchService = "" }, ""},
		{"service without a package", func(i *manifest.Intent) { i.MatchService = "Greeter" }, ""},
		{"service with underscore", func(i *manifest.Intent) { i.MatchService = "a_1.b._C" }, ""},
		{"service as a path", func(i *manifest.Intent) { i.MatchService = "/helloworld.Greeter" }, "--match-service"},
		{"service with a method", func(i *manifest.Intent) { i.MatchService = "helloworld.Greeter/SayHello" }, "--match-service"},
		{"service with an empty part", func(i *manifest.Intent) { i.MatchService = "a..B" }, "--match-service"},
		{"service that begins with a digit", func(i *manifest.Intent) { i.MatchService = "a.1B" }, "--match-service"},
		{"service in Unicode", func(i *manifest.Intent) { i.MatchService = "grüße.Greeter" }, "--match-service"},
		{"service with a second line", func(i *manifest.Intent) { i.MatchService = "a.B\nc" }, "--match-service"},
		{"service with a newline at its end", func(i *manifest.Intent) { i.MatchService = "a.B\n" }, "--match-service"},

		{"revision unsaid", func(i *manifest.Intent) { i.Revision = "" }, ""},
		{"revision in Tencent's way", func(i *manifest.Intent) { i.Revision = "1-8-1" }, ""},
		{"revision with dots", func(i *manifest.Intent) { i.Revision = "1.8.1" }, "--revision"},
		{"revision of 64", func(i *manifest.Intent) { i.Revision = label64 }, "--revision"},
		{"revision up and away", func(i *manifest.Intent) { i.Revision = "../x" }, "--revision"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := intent()
			tc.set(&i)
			err := i.Validate()
			if tc.field == "" {
				if err != nil {
					t.Fatalf("Validate: %v; want it accepted", err)
				}
				return
			}
			var invalid *manifest.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("Validate: %v; want an InvalidError of %s", err, tc.field)
			}
			if invalid.Field != tc.field || invalid.Reason == "" {
				t.Errorf("Validate: field %q, reason %q; want field %q and a reason", invalid.Field, invalid.Reason, tc.field)
			}
			if line := invalid.Error(); strings.ContainsAny(line, "\n\x1b") || !strings.HasPrefix(line, tc.field+" ") {
				t.Errorf("Error() = %q; want one printable line that begins with %s", line, tc.field)
			}
		})
	}
}

func TestParseWorkload(t *testing.T) {
	for _, tc := range []struct{ arg, kind, name string }{
		{"server", "", "server"},
		{"deploy.server", "", "deploy.server"}, // a dot is part of the name
		{"deployment/server", "Deployment", "server"},
		{"deployments/server", "Deployment", "server"},
		{"deploy/server", "Deployment", "server"},
		{"Deployment/server", "Deployment", "server"},
		{"DEPLOY/server", "Deployment", "server"},
		{"deployment.apps/server", "Deployment", "server"},
		{"deployments.apps/server", "Deployment", "server"},
		{"statefulset/db-0", "StatefulSet", "db-0"},
		{"statefulsets/db", "StatefulSet", "db"},
		{"sts/db", "StatefulSet", "db"},
		{"statefulsets.apps/db", "StatefulSet", "db"},
		{"daemonset/agent", "DaemonSet", "agent"},
		{"daemonsets/agent", "DaemonSet", "agent"},
		{"ds/agent", "DaemonSet", "agent"},
		{"ds.apps/agent", "DaemonSet", "agent"},
	} {
		kind, name, err := manifest.ParseWorkload(tc.arg)
		if err != nil || kind != tc.kind || name != tc.name {
			t.Errorf("ParseWorkload(%q) = %q, %q, %v; want %q, %q", tc.arg, kind, name, err, tc.kind, tc.name)
		}
	}
	for _, arg := range []string{
		"", "/", "/server", "deployment/", "deployment/a/b", "svc/server", "service/server", "pod/server", "job/server",
		"replicaset/server", "deployment.batch/server", "apps/deployment/server", "Server", "a_b", "-a", "a-", "a..b", "a b", "server\n",
	} {
		kind, name, err := manifest.ParseWorkload(arg)
		var invalid *manifest.InvalidError
		if !errors.As(err, &invalid) || kind != "" || name != "" {
			t.Errorf("ParseWorkload(%q) = %q, %q, %v; want an InvalidError alone", arg, kind, name, err)
			continue
		}
		if invalid.Field != "WORKLOAD" || invalid.Value != arg {
			t.Errorf("ParseWorkload(%q): error of %s %q", arg, invalid.Field, invalid.Value)
		}
	}
}

func TestTargetErrorListsCandidates(t *testing.T) {
	err := &manifest.TargetError{What: "2 workloads fit", Candidates: []string{"deployment/a", "deployment/b"}, Hint: "Name one."}
	const want = "2 workloads fit\n  deployment/a\n  deployment/b\nName one."
	if err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
	if got := (&manifest.TargetError{What: "none"}).Error(); got != "none" {
		t.Errorf("Error() = %q without candidates and hint, want %q", got, "none")
	}
}
