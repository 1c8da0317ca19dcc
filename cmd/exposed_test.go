package cmd

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
)

func TestDocument(t *testing.T) {
	const (
		verify  = "grpcmesh verify --addr "
		forward = "kubectl port-forward -n istio-system service/gw "
	)
	addressed := func(addresses ...string) func(*exposer) {
		return func(x *exposer) { x.ingress.Addresses = addresses }
	}
	of := func(kind corev1.ServiceType, port, nodePort int, node string) func(*exposer) {
		return func(x *exposer) {
			x.ingress.Type, x.open, x.node = kind, istio.IngressPort{Port: port, NodePort: nodePort}, node
		}
	}
	host := func(name string) func(*exposer) { return func(x *exposer) { x.exposure.Host = name } }
	shared := func(x *exposer) { x.shared = true }
	connected := func(flags ...string) func(*exposer) {
		return func(x *exposer) { x.o.called.connection = flags }
	}
	for _, tc := range []struct {
		name            string
		sets            []func(*exposer)
		verify, forward string
		addresses       []string
	}{
		{"any host", []func(*exposer){addressed("203.0.113.10", "2001:db8::1")},
			verify + "203.0.113.10:8000", "", []string{"203.0.113.10:8000", "[2001:db8::1]:8000"}},
		{"an address that a shell would expand", []func(*exposer){addressed("2001:db8::1")},
			verify + "'[2001:db8::1]:8000'", "", []string{"[2001:db8::1]:8000"}},
		{"a host", []func(*exposer){addressed("203.0.113.10"), host("a.com")},
			verify + "203.0.113.10:8000 --authority a.com", "", []string{"203.0.113.10:8000"}},
		{"a wildcard", []func(*exposer){addressed("203.0.113.10"), host("*.a.com")},
			verify + "203.0.113.10:8000 --authority grpcmesh.a.com", "", []string{"203.0.113.10:8000"}},
		{"a host that other routes serve too", []func(*exposer){addressed("203.0.113.10"), host("a.com"), shared},
			verify + "203.0.113.10:8000 --authority a.com -n test --virtual-service server", "", []string{"203.0.113.10:8000"}},
		{"calls with metadata", []func(*exposer){addressed("203.0.113.10"), func(x *exposer) {
			x.exposure.Route.MatchHeaders = map[string]string{"x-user": "jane doe", "b": "v*"}
		}},
			verify + "203.0.113.10:8000 --metadata b=v --metadata 'x-user=jane doe'", "", []string{"203.0.113.10:8000"}},
		{"another cluster", []func(*exposer){addressed("203.0.113.10"), connected("--context", "'my lab'")},
			verify + "203.0.113.10:8000 --context 'my lab'", "", []string{"203.0.113.10:8000"}},
		{"a node port", []func(*exposer){of("NodePort", 80, 30080, "192.0.2.1")},
			verify + "192.0.2.1:30080", "", []string{"192.0.2.1:30080"}},
		{"a node port, nodes unknown", []func(*exposer){of("NodePort", 8000, 30080, "")},
			verify + "127.0.0.1:8000", forward + "8000:8000", nil},
		{"a load balancer that is pending", []func(*exposer){of("LoadBalancer", 80, 30080, "192.0.2.1")},
			verify + "192.0.2.1:30080", "", []string{"192.0.2.1:30080"}},
		{"inside the cluster alone", []func(*exposer){of("ClusterIP", 8000, 0, ""), host("a.com"), connected("--kubeconfig", "lab.conf")},
			verify + "127.0.0.1:8000 --authority a.com --kubeconfig lab.conf", forward + "8000:8000 --kubeconfig lab.conf", nil},
		{"inside the cluster alone, at a port that is root's here", []func(*exposer){of("ClusterIP", 80, 0, "")},
			verify + "127.0.0.1:8080", forward + "8080:80", nil},
	} {
		x := exposing()
		x.ingress = istio.Ingress{Namespace: "istio-system", Service: "gw", Type: corev1.ServiceTypeLoadBalancer}
		x.open = istio.IngressPort{Port: 8000}
		x.exposure = manifest.Exposure{Namespace: "test", WorkloadName: "server", Host: "*"}
		for _, set := range tc.sets {
			set(x)
		}
		doc := x.document("none")
		if doc.Verify != tc.verify || doc.Forward != tc.forward {
			t.Errorf("%s: verify by %q after %q; want %q after %q", tc.name, doc.Verify, doc.Forward, tc.verify, tc.forward)
		}
		if diff := cmp.Diff(tc.addresses, doc.Addresses); diff != "" {
			t.Errorf("%s: addresses (-want +got):\n%s", tc.name, diff)
		}
		if byNode := x.node != ""; byNode != (doc.Gateway.NodePort != 0) || doc.Gateway.Type != string(x.ingress.Type) {
			t.Errorf("%s: the gateway is %+v", tc.name, doc.Gateway)
		}
		if doc.DryRun != "" || x.document("server").DryRun != "server" {
			t.Errorf("%s: dry run %q, %q", tc.name, doc.DryRun, x.document("server").DryRun)
		}
	}
}

// TestCalledAs: a printed command reaches the same cluster as the same user,
// and tells no secret.
func TestCalledAs(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", ""},
		{"--host a.com -n test --timeout 3s", ""}, // of expose, and what each command means in its own way
		{"--context lab --kubeconfig ./x.conf", "--context lab --kubeconfig ./x.conf"},
		{"--as jane --as-group a --as-group b|c", "--as jane --as-group a --as-group 'b|c'"},
		{"--insecure-skip-tls-verify --request-timeout 3s", "--insecure-skip-tls-verify --request-timeout 3s"},
		{"--token secret --password secret --username jane", `--password "$PASSWORD" --token "$TOKEN" --username jane`},
	} {
		root := newRoot(IO{}, new(bool))
		expose, _, err := root.Find([]string{"expose"})
		if err != nil {
			t.Fatal(err)
		}
		if err := expose.ParseFlags(strings.Fields(tc.args)); err != nil {
			t.Fatal(err)
		}
		as := calledAs(expose)
		if got := strings.Join(as.connection, " "); got != tc.want || as.program != "grpcmesh" {
			t.Errorf("expose %s: %s, %q; want %q", tc.args, as.program, got, tc.want)
		}
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl grpcmesh"}
		if as := calledAs(expose); as.program != "kubectl grpcmesh" {
			t.Errorf("as a plug-in: %q", as.program)
		}
	}
}

// TestQuote: a shell reads every word as it was.
func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"a.com": "a.com", "203.0.113.10:8000": "203.0.113.10:8000", "./x-y_z=%+@,": "./x-y_z=%+@,",
		"": "''", "my lab": "'my lab'", "[::1]:80": "'[::1]:80'", "*": "'*'", "it's": `'it'\''s'`, "$HOME": "'$HOME'",
		"~": "'~'", "a\nb": "'a\nb'", `a"b\c`: `'a"b\c'`, "ü": "'ü'", "a;b": "'a;b'", "#x": "'#x'",
	} {
		got := quote(word)
		if got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+got).CombinedOutput()
		if err != nil || string(out) != word {
			t.Errorf("a shell reads %s as %q, %v", got, out, err)
		}
	}
}

// TestNoted: the report of a run that was cut short says why, and keeps what was
// warned of on the way.
func TestNoted(t *testing.T) {
	x := exposing()
	x.doc = x.document("none")
	x.warn("look out")
	if err := x.noted(nil); err != nil || x.doc.Error != "" {
		t.Errorf("%v, %q; want nothing noted", err, x.doc.Error)
	}
	why := errors.New("the pods crash")
	if err := x.noted(why); !errors.Is(err, why) || x.doc.Error != why.Error() || len(x.doc.Warnings) != 1 {
		t.Errorf("%v, noted %q, warnings %q", err, x.doc.Error, x.doc.Warnings)
	}
}
