package k8s_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"grpcmesh/internal/k8s"
)

const twoContexts = `apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: "https://203.0.113.1:6443"}}
users:
- {name: jane, user: {token: secret-of-jane}}
contexts:
- {name: beta, context: {cluster: c, user: jane}}
- {name: alpha, context: {cluster: c, user: jane, namespace: from-context}}
`

// flags are kubectl's, as given on a command line.
func flags(t *testing.T, args ...string) *k8s.Flags {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := k8s.NewFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// alone takes the machine's own kubeconfig and cluster out of a test's sight.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "from-environment"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
}

func TestConnectErrors(t *testing.T) {
	alone(t)
	missing := filepath.Join(t.TempDir(), "absent")
	unset := write(t, "unset", twoContexts)
	current := write(t, "current", twoContexts+"current-context: alpha\n")
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"no file", []string{"--kubeconfig", missing}, []string{"no kubeconfig: " + missing + " does not exist", "--kubeconfig", "KUBECONFIG"}},
		{"no file in the environment", nil, []string{"no kubeconfig: ", "/from-environment does not exist"}},
		{"empty file", []string{"--kubeconfig", write(t, "empty", "")}, []string{"/empty: it names no current context"}},
		{"contexts, none current", []string{"--kubeconfig", unset}, []string{"/unset: it names no current context", "--context", "The contexts there are: alpha, beta"}},
		{"unknown context", []string{"--kubeconfig", current, "--context", "gamma"}, []string{`/current: context "gamma" does not exist`, "The contexts there are: alpha, beta"}},
		{"unknown cluster", []string{"--kubeconfig", current, "--cluster", "x"}, []string{`cluster "x" does not exist`, "The contexts there are: alpha, beta"}},
		{"unknown user", []string{"--kubeconfig", current, "--user", "x"}, []string{`"x" does not exist`, "The contexts there are: alpha, beta"}},
		{"no YAML", []string{"--kubeconfig", write(t, "broken", "apiVersion: [")}, []string{"/broken: "}},
		{"another kind of YAML", []string{"--kubeconfig", write(t, "list", "- a\n- b\n")}, []string{"/list: "}},
		{"a folder", []string{"--kubeconfig", t.TempDir()}, []string{"is a directory"}},
		{"a certificate that isn't there", []string{"--kubeconfig", write(t, "ca", strings.Replace(twoContexts, `6443"`, `6443", certificate-authority: /nonexistent/ca.crt`, 1)+"current-context: alpha\n")},
			[]string{"/nonexistent/ca.crt"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cluster, err := flags(t, tc.args...).Connect("test")
			var none *k8s.NoConfigError
			if !errors.As(err, &none) || cluster != nil {
				t.Fatalf("Connect = %v, %v; want a NoConfigError", cluster, err)
			}
			for _, part := range tc.want {
				if !strings.Contains(none.Error(), part) {
					t.Errorf("%q; want %q in it", none.Error(), part)
				}
			}
			if strings.Contains(none.Error(), "secret-of-jane") {
				t.Errorf("%q shows the user's token", none.Error())
			}
		})
	}
}

func TestConnect(t *testing.T) {
	alone(t)
	current := write(t, "current", twoContexts+"current-context: alpha\n")
	for _, tc := range []struct {
		name      string
		args      []string
		namespace string
	}{
		{"the context's namespace", nil, "from-context"},
		{"the flag's", []string{"-n", "shop"}, "shop"},
		{"another context's", []string{"--context", "beta"}, "default"},
		{"the flag beside another context", []string{"--context", "beta", "--namespace", "shop"}, "shop"},
	} {
		f := flags(t, append([]string{"--kubeconfig", current}, tc.args...)...)
		cluster, err := f.Connect("grpcmesh/test")
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if cluster.Namespace != tc.namespace || f.Namespace() != tc.namespace {
			t.Errorf("%s: namespace %q, without a cluster %q; want %q", tc.name, cluster.Namespace, f.Namespace(), tc.namespace)
		}
		if cluster.Config.Host != "https://203.0.113.1:6443" || cluster.Config.UserAgent != "grpcmesh/test" || cluster.Config.QPS >= 0 {
			t.Errorf("%s: host %s, agent %s, %v queries a second", tc.name, cluster.Config.Host, cluster.Config.UserAgent, cluster.Config.QPS)
		}
	}
	// Several files in the environment are one, as kubectl has it.
	other := write(t, "other", "apiVersion: v1\nkind: Config\ncurrent-context: beta\n")
	t.Setenv("KUBECONFIG", other+string(filepath.ListSeparator)+current)
	if cluster, err := flags(t).Connect("test"); err != nil || cluster.Namespace != "default" {
		t.Errorf("two files: %+v, %v; want the first one's current context, found in the second", cluster, err)
	}
}

func TestNamespaceWithoutACluster(t *testing.T) {
	alone(t)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"no kubeconfig", nil, "default"},
		{"no kubeconfig, a flag", []string{"-n", "shop"}, "shop"},
		{"a broken kubeconfig", []string{"--kubeconfig", write(t, "broken", "apiVersion: [")}, "default"},
		{"a broken kubeconfig, a flag", []string{"--kubeconfig", write(t, "broken", "apiVersion: ["), "-n", "shop"}, "shop"},
		{"no current context", []string{"--kubeconfig", write(t, "unset", twoContexts)}, "default"},
		{"a context by flag", []string{"--kubeconfig", write(t, "unset", twoContexts), "--context", "alpha"}, "from-context"},
	} {
		if got := flags(t, tc.args...).Namespace(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestFlagsAreKubectls: the flags that people have in their fingers.
func TestFlagsAreKubectls(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	k8s.NewFlags(fs)
	for _, name := range []string{"kubeconfig", "context", "cluster", "user", "as", "as-group", "as-uid", "request-timeout", "server",
		"token", "certificate-authority", "client-certificate", "client-key", "insecure-skip-tls-verify", "tls-server-name", "namespace"} {
		if fs.Lookup(name) == nil {
			t.Errorf("--%s is missing", name)
		}
	}
	if f := fs.ShorthandLookup("n"); f == nil || f.Name != "namespace" {
		t.Error("-n is not --namespace")
	}
}
