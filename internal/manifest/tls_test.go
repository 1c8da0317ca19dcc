package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"grpcmesh/internal/manifest"
)

func TestIntentTLS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, secret, mode, field string }{
		{"plaintext", "", "", ""},
		{"a secret", "greeter-cert", "", ""},
		{"a secret with dots", "greeter.example.com", "simple", ""},
		{"mutual", "greeter-cert", "mutual", ""},
		{"a mode without a secret", "", "mutual", "--tls-mode"},
		{"another mode", "greeter-cert", "MUTUAL", "--tls-mode"},
		{"a secret of another namespace", "team/greeter-cert", "", "--tls-secret"},
		{"a secret up and away", "../x", "", "--tls-secret"},
		{"a secret of 254", strings.Repeat("a", 254), "", "--tls-secret"},
		{"a CA's secret", "greeter-cert-cacert", "", "--tls-secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			i := manifest.Intent{Namespace: "test", Workload: "server", Port: 8000, Host: "*", TLSSecret: tc.secret, TLSMode: tc.mode}
			err := i.Validate()
			var invalid *manifest.InvalidError
			if (err == nil) != (tc.field == "") || err != nil && (!errors.As(err, &invalid) || invalid.Field != tc.field) {
				t.Errorf("%v, want an error of %q", err, tc.field)
			}
			if tls := i.TLS(); err == nil && (tls.On() != (tc.secret != "") || tls.Mutual != (tc.mode == "mutual")) {
				t.Errorf("%+v", tls)
			}
		})
	}
}

// TestPortNames: each server of a Gateway has a port name of its own that Istio
// takes; that of TLS begins with https.
func TestPortNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	long := strings.Repeat("a", 60)
	for _, tls := range []manifest.TLS{{}, {Secret: "a"}, {Secret: "a", Mutual: true}, {Secret: "mutual-a"}, {Secret: "mutual-443-a"}, {Secret: "a.b"}, {Secret: "a-b"}, {Secret: long}, {Secret: long + "b"}, {Secret: long, Mutual: true}} {
		for _, port := range []int{443, 8443} {
			name := manifest.Server{Port: port, TLS: tls}.Spec().Port.Name
			if seen[name] || len(name) > 63 || strings.Contains(name, ".") || strings.HasPrefix(name, "https-") != tls.On() {
				t.Errorf("%+v on %d: %s", tls, port, name)
			}
			seen[name] = true
		}
	}
}

func TestMixedAndTwoCertificates(t *testing.T) {
	t.Parallel()
	a, b := manifest.TLS{Secret: "a"}, manifest.TLS{Secret: "b"}
	for _, tc := range []struct {
		name  string
		with  []manifest.Server
		mixed int
		twice string
	}{
		{"one of each, on ports of their own", []manifest.Server{{Port: 443, TLS: a, Hosts: []string{"x"}}, {Port: 80, Hosts: []string{"x"}}}, 0, ""},
		{"both on one port", []manifest.Server{{Port: 80, TLS: a, Hosts: []string{"x"}}, {Port: 80, Hosts: []string{"y"}}}, 80, ""},
		{"two certificates for two hosts", []manifest.Server{{Port: 443, TLS: a, Hosts: []string{"x"}}, {Port: 443, TLS: b, Hosts: []string{"y"}}}, 0, ""},
		{"two certificates for one host", []manifest.Server{{Port: 443, TLS: a, Hosts: []string{"x", "y"}}, {Port: 443, TLS: b, Hosts: []string{"Y"}}}, 0, "Y"},
		{"two on two ports", []manifest.Server{{Port: 443, TLS: a, Hosts: []string{"x"}}, {Port: 8443, TLS: b, Hosts: []string{"x"}}}, 0, ""},
	} {
		if got := manifest.Mixed(tc.with); got != tc.mixed {
			t.Errorf("%s: mixed on %d", tc.name, got)
		}
		if got := manifest.TwoCertificates(tc.with); !strings.EqualFold(got, tc.twice) {
			t.Errorf("%s: %q has two certificates", tc.name, got)
		}
	}
	// The same host secured otherwise is another server; secured alike, the same.
	servers := manifest.MergeServers(nil, 443, a, "x")
	servers = manifest.MergeServers(servers, 443, b, "y")
	servers = manifest.MergeServers(servers, 443, a, "z")
	if len(servers) != 2 || strings.Join(servers[0].Hosts, " ") != "x z" || servers[0].TLS != a || servers[1].TLS != b {
		t.Errorf("%+v", servers)
	}
}
