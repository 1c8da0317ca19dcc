// Command server behaves as the demo that the procedure deploys: it answers
// helloworld.Greeter/SayHello with a greeting, reflection is on, and nothing
// in what it says tells which pod it is.
//
// PORT is where it listens, 50051 unless set. HEALTH=on adds the standard
// health service, which the demo lacks. For tests of routes, and of
// apps that say which pod they are, GREETING, ODD, SERVICE, SAYS and STREAMS make
// it differ (behaviour.go).
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"grpcmesh/testdata/server/helloworld"
)

// drain is how long calls may go on after the order to end; a pod is killed
// 30 seconds after it.
const drain = 20 * time.Second

type greeter struct {
	helloworld.UnimplementedGreeterServer
	behaviour
	calls *atomic.Int64
}

// SayHello answers "Hello " and the caller's name.
func (g greeter) SayHello(ctx context.Context, request *helloworld.HelloRequest) (*helloworld.HelloReply, error) {
	if err := g.misbehave(ctx, g.calls.Add(1)); err != nil {
		return nil, err
	}
	return &helloworld.HelloReply{Message: g.greeting + " " + request.GetName()}, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintf(os.Stderr, "server: %v\n", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then lets calls finish.
func run(ctx context.Context, getenv func(string) string) error {
	port := getenv("PORT")
	if port == "" {
		port = "50051"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return fmt.Errorf("listening on PORT %s: %w", port, err)
	}
	fmt.Fprintf(os.Stderr, "server: listening at %s\n", listener.Addr())
	return serve(ctx, listener, getenv("HEALTH") == "on", behaviourOf(getenv))
}

func serve(ctx context.Context, listener net.Listener, healthy bool, b behaviour) error {
	server := grpc.NewServer(b.options()...)
	if err := b.register(server); err != nil {
		return err
	}
	reflection.Register(server)
	if healthy {
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// A stream that never ends must not keep the pod: then stop the hard way.
	timer := time.AfterFunc(drain, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
	return <-ended
}
