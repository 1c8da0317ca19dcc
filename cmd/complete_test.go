package cmd

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompleteInTime: an API server that takes the connection and stays silent
// keeps nobody waiting who has pressed tab.
func TestCompleteInTime(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
  clusters: [{name: c, cluster: {server: "https://%s"}}]}`, l.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"--namespace", "--gateway-selector", ""} {
		var out, words bytes.Buffer
		args := strings.Fields("__complete expose --kubeconfig " + config + " " + what)
		start := time.Now()
		code := Execute(t.Context(), append(args, ""), IO{Out: &out, Err: &words})
		if took := time.Since(start); took > 2*completeTime {
			t.Errorf("%s took %s", what, took)
		}
		if got := strings.TrimSpace(words.String()); code != 0 || out.String() != ":4\n" || strings.Count(got, "\n") > 0 || !strings.HasPrefix(got, "Completion ended") {
			t.Errorf("%s: exit code %d, %q, and on stderr %q", what, code, out.String(), got)
		}
	}
}
