// Command bench measures what it costs to expose services, beside kubectl and
// istioctl, on the cluster of the kubeconfig, and writes down how. It makes
// namespaces of its own there and removes them again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"grpcmesh/internal/probe"
)

// bench is one run of all the measurements.
type bench struct {
	ctx      context.Context //nolint:containedctx // it is the run
	grpcmesh string
	gateway  string // address and port, as clients reach it
	selector string // the gateway's pods
	image    string // of a gRPC server, listening on 50051
	audit    string // the API server's audit log
	services, spaces, far, waiters,
	cold, one, fleets int
	within time.Duration
	out    string

	start  time.Time
	folder string // for files of the run
	prefix string // of the namespaces
	config *rest.Config
	client kubernetes.Interface
	page   page
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	b := &bench{ctx: ctx, start: time.Now(), prefix: "bench-" + probe.NewNonce()[:6]}
	flag.StringVar(&b.grpcmesh, "grpcmesh", "bin/grpcmesh", "the binary under test, built as for a release")
	flag.StringVar(&b.gateway, "gateway", "127.0.0.1:8000", "where the ingress gateway's port 8000 is reached")
	flag.StringVar(&b.selector, "gateway-selector", "app=istio-ingressgateway,istio=ingressgateway", "labels of the gateway's pods")
	flag.StringVar(&b.image, "image", "docker.io/imroc/grpc_server:latest", "a gRPC server that listens on 50051")
	flag.StringVar(&b.audit, "audit", ".lab/audit.log", "the API server's audit log, by which requests are counted; empty: they are not")
	flag.IntVar(&b.services, "services", 1000, "services of the fleet")
	flag.IntVar(&b.far, "far-services", 300, "how many of them are exposed by way of 20 ms")
	flag.IntVar(&b.spaces, "namespaces", 50, "namespaces of the fleet")
	flag.IntVar(&b.waiters, "waiters", 6, "workloads that are waited for while their requests are counted")
	flag.IntVar(&b.cold, "cold-rounds", 15, "rounds of --version")
	flag.IntVar(&b.one, "one-rounds", 4, "rounds of one service, each of 20 s a client")
	flag.IntVar(&b.fleets, "fleet-rounds", 2, "rounds of the fleet; kubectl takes minutes for one")
	flag.DurationVar(&b.within, "within", 9*time.Minute, "no further round with kubectl of the fleet is begun after this")
	flag.StringVar(&b.out, "out", "bench/expose.md", "the file to write")
	flag.Parse()
	err := b.run()
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run() (err error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	if b.config, err = loader.ClientConfig(); err != nil {
		return err
	}
	b.config.QPS = -1
	if b.client, err = kubernetes.NewForConfig(b.config); err != nil {
		return err
	}
	if b.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.folder) }()
	if b.grpcmesh, err = filepath.Abs(b.grpcmesh); err != nil {
		return err
	}
	if err := b.page.head(b); err != nil {
		return err
	}
	var errs []error
	for _, part := range []struct {
		name string
		do   func() error
	}{{"cold start", b.coldStart}, {"one service", b.oneService}, {"waiting", b.waiting}, {"the fleet", b.fleet}} {
		err := part.do()
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		if err != nil { // the others are measured all the same
			b.say("%s: %s", part.name, err)
			b.page.count(part.name, "", "not measured: "+strings.ReplaceAll(err.Error(), "\n", " "), "", false)
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return errors.Join(append(errs, b.page.write(b))...)
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// firstCall calls through the gateway until the app answers.
func (b *bench) firstCall(host string) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for {
		err := b.call(ctx, host)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// call makes one call of a method that the app does not have: the refusal is
// its own, or there is no route yet.
func (b *bench) call(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := probe.Open(ctx, probe.Target{Addr: b.gateway, Authority: host})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if s := conn.Call(ctx, probe.Call{Path: "/bench.Bench/Call"}); !s.Upstream {
		return fmt.Errorf("no answer from behind the gateway: %s %s", s.Code, s.Err)
	}
	return nil
}
