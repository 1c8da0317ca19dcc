package e2e

import (
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSecret is `secret KIND NAME FLAG...`: kubectl create secret in the gateway's
// namespace; it is deleted when the script ends.
func cmdSecret(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: secret KIND NAME FLAG...")
	}
	name := args[1]
	ts.Defer(func() {
		if out, err := kubectl("-n", "istio-system", "delete", "secret", name, "--ignore-not-found"); err != nil {
			ts.Logf("%v: %s", err, out)
		}
	})
	ts.Check(ts.Exec(root(".lab/bin/kubectl"), append([]string{"-n", "istio-system", "create", "secret"}, args...)...))
}
