package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	"grpcmesh/internal/probe"
)

// proof is the secret beside the stamps; here everyone knows it.
const proof = "bench"

// health answers Check, stamped by one of three backends in turn, as a
// gateway's Envoy stamps. Now and then all calls stand still for a while.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	calls  atomic.Int64
	stamps [3]metadata.MD
	gate   sync.RWMutex
}

// Check is SERVING, once the gate is open.
func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.gate.RLock()
	defer h.gate.RUnlock()
	_ = grpc.SetHeader(ctx, h.stamps[h.calls.Add(1)%3])
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

// serve prints its address and serves until the context ends. -stall closes
// the gate for so long, -every so often.
func serve(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("serve", flag.ExitOnError)
	stall := fs.Duration("stall", 0, "how long to stand still")
	every := fs.Duration("every", 2*time.Second, "how often")
	if err := fs.Parse(args); err != nil {
		return err
	}
	h := &health{}
	for i := range h.stamps {
		h.stamps[i] = metadata.Pairs(probe.HeaderProof, proof, probe.HeaderBackend, fmt.Sprintf("10.0.0.%d:50051", i+1), probe.HeaderFlags, "-",
			probe.HeaderGateway, "gateway-0", probe.HeaderConnection, "7", probe.HeaderCluster, "outbound|8000||app.ns.svc.cluster.local", probe.HeaderAttempts, "1")
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, h)
	reflection.Register(server) // ghz asks it once
	go func() {
		for tick := time.NewTicker(*every); *stall > 0; {
			select {
			case <-tick.C:
				h.gate.Lock()
				<-time.After(*stall)
				h.gate.Unlock()
			case <-ctx.Done():
				return
			}
		}
	}()
	context.AfterFunc(ctx, server.Stop)
	fmt.Println(listener.Addr())
	return server.Serve(listener)
}
