package cmd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/script"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts' golden files")

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"grpcmesh": func() {
			os.Exit(Execute(context.Background(), os.Args[1:], IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// leakless are tests that leave no goroutine behind.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	code := l.M.Run()
	waits := goleak.IgnoreAnyFunction("grpcmesh/cmd.confirm.func2") // for an answer, which no context ends
	if err := goleak.Find(waits); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestCLI runs the transcripts in testdata/cli. Each finds API servers that
// answer nothing but one refusal, under the kubeconfigs unauthorized, forbidden
// and silent in its folder, one that nothing listens for, refused, and a gRPC
// server without any mesh at $GRPC, and those of serveTLS.
func TestCLI(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "cli"),
		UpdateScripts: *update,
		Setup:         setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     script.Exits,
			"connected": cmdConnected,
			"asked":     cmdAsked,
		},
	})
}

// apiServer counts what reaches it.
type apiServer struct{ connections, requests atomic.Int32 }

func setup(env *testscript.Env) error {
	namespaces := schema.GroupResource{Resource: "namespaces"}
	for name, answer := range map[string]http.HandlerFunc{
		"unauthorized": refuse(apierrors.NewUnauthorized("Unauthorized").Status()),
		"forbidden":    refuse(apierrors.NewForbidden(namespaces, "test", errors.New(`User "jane" cannot do this`)).Status()),
		"silent": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server never learns that the client has gone
			<-r.Context().Done()
		},
	} {
		a := &apiServer{}
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.requests.Add(1)
			answer(w, r)
		}))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				a.connections.Add(1)
			}
		}
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
		srv.StartTLS()
		env.Defer(srv.Close)
		env.Values[name] = a
		if err := writeKubeconfig(env, name, srv.URL); err != nil {
			return err
		}
	}
	if err := writeKubeconfig(env, "refused", "https://127.0.0.1:1"); err != nil {
		return err
	}
	if err := serveTLS(env); err != nil {
		return err
	}
	if err := setupPods(env); err != nil {
		return err
	}
	return serveGRPC(env)
}

func refuse(status metav1.Status) http.HandlerFunc {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(int(status.Code))
		_ = json.NewEncoder(w).Encode(status)
	}
}

func writeKubeconfig(env *testscript.Env, name, server string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: first
contexts:
- {name: first, context: {cluster: lab, user: jane, namespace: from-context}}
- {name: second, context: {cluster: lab, user: jane}}
clusters:
- {name: lab, cluster: {server: %q, insecure-skip-tls-verify: true}}
users:
- {name: jane, user: {token: secret-of-jane}}
`, server)
	return os.WriteFile(filepath.Join(env.WorkDir, name), []byte(text), 0o600)
}

func serveGRPC(env *testscript.Env) error {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := grpc.NewServer()
	go func() { _ = srv.Serve(lis) }()
	env.Defer(srv.Stop)
	env.Setenv("GRPC", lis.Addr().String())
	return nil
}

// cmdConnected is `connected SERVER N`: so many connections reached it so far.
func cmdConnected(ts *testscript.TestScript, neg bool, args []string) {
	compareCount(ts, neg, args, "connections", func(a *apiServer) int32 { return a.connections.Load() })
}

// cmdAsked is `asked SERVER N`: so many requests reached it so far.
func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	compareCount(ts, neg, args, "requests", func(a *apiServer) int32 { return a.requests.Load() })
}

func compareCount(ts *testscript.TestScript, neg bool, args []string, what string, count func(*apiServer) int32) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: connected|asked SERVER N")
	}
	a, ok := ts.Value(args[0]).(*apiServer)
	if !ok {
		ts.Fatalf("no server %s", args[0])
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := int(count(a)); got != want {
		ts.Fatalf("%d %s reached %s, want %d", got, what, args[0], want)
	}
}
