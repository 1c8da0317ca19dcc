// Package e2e drives the built binary, as users do, against the lab: a real
// API server, a real istiod, real Envoys. `make test-e2e` brings the lab up.
//
// The scripts are in testdata/e2e. Those in parallel have namespaces, names,
// hosts and ports of their own, drawn anew each time; those in serial need
// something that there is only one of: the gateway's catch-all host, its
// replicas, or a quiet mesh.
package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"grpcmesh/internal/script"
)

func TestMain(m *testing.M) {
	if os.Getenv(webhookMode) != "" {
		serveWebhook()
		return
	}
	if out, err := exec.Command(root("lab/run"), "true").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: the lab is not up: %s\nBring it up with `make lab-up`, or run everything with `make test`.\n", bytes.TrimSpace(out))
		os.Exit(1)
	}
	if out, _ := kubectl("get", "namespace", procedureNS, "-o", "name", "--ignore-not-found"); out != "" {
		fmt.Fprintf(os.Stderr, "e2e: namespace %s is there already, and the procedure's scripts make it: kubectl delete namespace %s\n", procedureNS, procedureNS)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// procedureNS is the namespace that the procedure's documents name.
const procedureNS = "test"

// TestScripts runs the serial scripts, then the parallel ones, and holds that
// the cluster has the same objects afterwards as before.
func TestScripts(t *testing.T) {
	before := objects(t)
	t.Run("serial", func(t *testing.T) { run(t, "serial", true) })
	t.Run("parallel", func(t *testing.T) { run(t, "parallel", false) })
	if diff := cmp.Diff(before, objects(t)); diff != "" {
		t.Errorf("the cluster's objects before and after (-before +after):\n%s", diff)
	}
}

func run(t *testing.T, dir string, serial bool) {
	files, err := filepath.Glob(root("testdata/e2e", dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata/e2e/%s (%v)", dir, err)
	}
	params := testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    script.Exits,
			"apply":    cmdApply,
			"calls":    cmdCalls,
			"during":   cmdDuring,
			"cluster":  cmdCluster,
			"follower": cmdFollower,
			"mark":     cmdMark,
			"writes":   cmdWrites,
			"expand":   cmdExpand,
			"subset":   cmdSubset,
			"same":     cmdSame,
			"user":     cmdUser,
			"role":     cmdRole,
			"offers":   cmdOffers,
			"certs":    script.Certs,
			"secret":   cmdSecret,
		},
	}
	if !serial {
		testscript.Run(t, params)
		return
	}
	for _, file := range files { // testscript runs all that it is given side by side
		one := params
		one.Files = []string{file}
		one.Setup = func(env *testscript.Env) error {
			replicas, err := kubectl("-n", "istio-system", "get", "deployment", "istio-ingressgateway", "-o", "jsonpath={.spec.replicas}")
			if err != nil {
				return fmt.Errorf("reading the gateway's replicas: %w: %s", err, replicas)
			}
			env.Defer(func() {
				deleteNamespace(env, procedureNS)
				if out, err := kubectl("-n", "istio-system", "scale", "deployment", "istio-ingressgateway", "--replicas="+replicas); err != nil {
					env.T().Log("scaling the gateway back to", replicas, err, out)
				}
			})
			return setup(env)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { testscript.Run(t, one) })
	}
}

// setup gives a script its own names, and takes away at its end whatever
// carries them.
func setup(env *testscript.Env) error {
	id := random()
	vars := map[string]string{
		"ID": id, "NS": "e2e-" + id, "NS2": "e2e-" + id + "-b", "NAME": "app-" + id, "HOST": id + ".e2e.example.com",
		"PORT":           strconv.Itoa(draw(20000, 29999)), // of the Service
		"APPPORT":        strconv.Itoa(draw(30000, 39999)), // of the app; none of the usual ones
		"KUBECONFIG":     root(".lab/kubeconfig"),
		"PROCEDURE":      root("testdata/procedure"),
		"LABRUN":         root("lab/run"),
		"GATEWAY":        "127.0.0.1:8000",
		"PATH":           root("bin") + ":" + root(".lab/bin") + ":" + os.Getenv("PATH"),
		"HOME":           os.Getenv("HOME"),           // where lab/run finds the lab,
		"XDG_CACHE_HOME": os.Getenv("XDG_CACHE_HOME"), // unless it is here
		"MARK":           "0",
	}
	for k, v := range vars {
		env.Setenv(k, v)
	}
	env.Defer(func() {
		for _, ns := range []string{vars["NS"], vars["NS2"]} {
			deleteNamespace(env, ns)
		}
	})
	return nil
}

// deleteNamespace waits until it is gone: the next script, or the comparison at
// the end, must not meet what is still going.
func deleteNamespace(env *testscript.Env, ns string) {
	if out, err := kubectl("delete", "namespace", ns, "--ignore-not-found", "--wait", "--timeout=90s"); err != nil {
		env.T().Log("cleaning up namespace", ns, err, out)
	}
}

// objects lists what scripts might leave behind, by kind, namespace and name.
func objects(t *testing.T) []string {
	t.Helper()
	out, err := kubectl("get", "-A", "-o", "name",
		"namespaces,deployments,statefulsets,daemonsets,services,gateways.networking.istio.io,virtualservices.networking.istio.io,"+
			"destinationrules.networking.istio.io,peerauthentications.security.istio.io,authorizationpolicies.security.istio.io,"+
			"clusterroles,clusterrolebindings,roles,rolebindings,mutatingwebhookconfigurations")
	if err != nil {
		t.Fatalf("listing the cluster's objects: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

func kubectl(args ...string) (string, error) {
	cmd := exec.Command(root(".lab/bin/kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+root(".lab/kubeconfig"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// root is a path below the repository's top.
func root(elem ...string) string {
	top, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return filepath.Join(append([]string{top}, elem...)...)
}

func random() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return "x" + hex.EncodeToString(b[:]) // a name must not begin with a digit
}

func draw(from, to int) int {
	var b [2]byte
	_, _ = rand.Read(b[:])
	return from + (int(b[0])<<8+int(b[1]))%(to-from+1)
}
