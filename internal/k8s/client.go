// Package k8s speaks the core API through client-go: it reads, dry-runs and
// applies, restarts, waits and forwards ports. Every write of a plan goes
// through Carry.
package k8s

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"grpcmesh/internal/typed"
)

// Flags are kubectl's connection flags, bound to one flag set.
type Flags struct {
	// Tell is told why the API server is asked once more. nil: nobody.
	Tell func(string)

	kubeconfig string
	overrides  clientcmd.ConfigOverrides
}

// NewFlags binds kubectl's connection flags, --namespace included, to fs.
func NewFlags(fs *pflag.FlagSet) *Flags {
	f := &Flags{}
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "Path to the kubeconfig file to use for CLI requests.")
	clientcmd.BindOverrideFlags(&f.overrides, fs, clientcmd.RecommendedConfigOverrideFlags(""))
	return f
}

// Cluster is a connection to one API server. Nothing is dialled until it is
// first asked for something.
type Cluster struct {
	Core      typed.Core
	Config    *rest.Config
	Namespace string // the one given, else the context's, else "default"

	clock  *clock
	memory *memory   // what a run has listed already; nil: nothing is kept
	live   *watching // what the waits of a run share; nil: each looks by itself
}

// NoConfigError says that there is no cluster to talk to: no kubeconfig, or
// none with the context that was asked for.
type NoConfigError struct {
	Reason string
	Asked  bool // flags named a cluster, and it is that one which isn't there
}

// Error is the reason, with the files that were looked at.
func (e *NoConfigError) Error() string { return e.Reason }

// Connect reads the kubeconfig and makes the clients; it opens no connection.
// userAgent is what the API server's audit log will show. It fails with a
// *NoConfigError where there is no usable kubeconfig.
func (f *Flags) Connect(userAgent string) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &f.overrides)
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, f.explain(rules, loader, err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, f.explain(rules, loader, err)
	}
	// The server's own priority and fairness limits us; client-go's default of
	// 5 queries a second would only make a person wait.
	cfg.QPS = -1
	cfg.UserAgent = userAgent
	server, tell := &clock{}, once(f.Tell)
	cfg.Wrap(server.through)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &patient{next: next, tell: tell} })
	over, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, &NoConfigError{"kubeconfig: " + err.Error(), f.asked()}
	}
	core, err := typed.NewCore(cfg, over)
	if err != nil {
		return nil, &NoConfigError{"kubeconfig: " + err.Error(), f.asked()}
	}
	return &Cluster{Core: core, Config: cfg, Namespace: namespace, clock: server}, nil
}

func (f *Flags) explain(rules *clientcmd.ClientConfigLoadingRules, loader clientcmd.ClientConfig, err error) error {
	files := rules.GetLoadingPrecedence()
	if f.kubeconfig != "" {
		files = []string{f.kubeconfig}
	}
	where := strings.Join(files, ", ")
	if !slices.ContainsFunc(files, exists) {
		return &NoConfigError{fmt.Sprintf("no kubeconfig: %s does not exist\n"+
			"Name one with --kubeconfig or the environment variable KUBECONFIG.", where), f.asked()}
	}
	why := err.Error()
	if clientcmd.IsEmptyConfig(err) {
		why = "it names no current context; choose one with --context"
	}
	if raw, rawErr := loader.RawConfig(); rawErr == nil && len(raw.Contexts) > 0 {
		why += "\nThe contexts there are: " + strings.Join(slices.Sorted(maps.Keys(raw.Contexts)), ", ")
	}
	return &NoConfigError{where + ": " + why, f.asked()}
}

// asked says whether the flags name a cluster themselves.
func (f *Flags) asked() bool {
	o := &f.overrides
	return f.kubeconfig != "" || o.CurrentContext != "" || o.Context.Cluster != "" || o.Context.AuthInfo != "" || o.ClusterInfo.Server != ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, os.ErrNotExist)
}

// Namespace is the namespace that the flags and the kubeconfig name, or
// "default" where neither does. It opens no connection.
func (f *Flags) Namespace() string {
	if ns := f.overrides.Context.Namespace; ns != "" {
		return ns
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	ns, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &f.overrides).Namespace()
	if err != nil || ns == "" {
		return "default"
	}
	return ns
}
