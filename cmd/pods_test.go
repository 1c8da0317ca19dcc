package cmd

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"grpcmesh/testdata/server/helloworld"
	"grpcmesh/testdata/server/streams"
)

// podsOf is a server that answers as some pods would: chosen for each call, or
// for each connection. It says which one in a header, a trailer and its reply.
type podsOf struct {
	helloworld.UnimplementedGreeterServer
	pods  int64
	calls atomic.Int64
	name  func(n int64) string // of the pod, or of the call where pods is 0
}

func (p *podsOf) say(ctx context.Context) string {
	n := p.calls.Add(1) - 1
	if conn, ok := ctx.Value(connKey{}).(int64); ok {
		n = conn
	}
	if p.pods > 0 {
		n %= p.pods
	}
	name := p.name(n)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-pod", name))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-zone", fmt.Sprint("zone-", n)))
	return name
}

func (p *podsOf) SayHello(ctx context.Context, _ *helloworld.HelloRequest) (*helloworld.HelloReply, error) {
	return &helloworld.HelloReply{Message: "Hello from " + p.say(ctx)}, nil
}

type connKey struct{}

// perConn numbers connections, for pods that are chosen by those.
type perConn struct{ conns atomic.Int64 }

func (p *perConn) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connKey{}, p.conns.Add(1)-1)
}
func (*perConn) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (*perConn) HandleRPC(context.Context, stats.RPCStats)                       {}
func (*perConn) HandleConn(context.Context, stats.ConnStats)                     {}

// servePods starts one and gives its address, and what ends it.
func servePods(p *podsOf, options ...grpc.ServerOption) (addr string, stop func(), err error) {
	if p.name == nil {
		p.name = func(n int64) string { return fmt.Sprint("pod-", n) }
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	options = append(options, grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		p.say(s.Context())
		return status.Error(codes.Unimplemented, "unknown service")
	}))
	srv := grpc.NewServer(options...)
	helloworld.RegisterGreeterServer(srv, p)
	streams.RegisterStreamsServer(srv, streams.Server{Pod: p.say})
	reflection.Register(srv)
	go func() { _ = srv.Serve(lis) }()
	return lis.Addr().String(), srv.Stop, nil
}

// setupPods gives scripts $PODS, three that take turns by call, $LAYER4, three of
// which each connection gets to one, and $ONE.
func setupPods(env *testscript.Env) error {
	for name, p := range map[string]*podsOf{"PODS": {pods: 3}, "LAYER4": {pods: 3}, "ONE": {pods: 1}} {
		var options []grpc.ServerOption
		if name == "LAYER4" {
			options = append(options, grpc.StatsHandler(&perConn{}))
		}
		addr, stop, err := servePods(p, options...)
		if err != nil {
			return err
		}
		env.Defer(stop)
		env.Setenv(name, addr)
	}
	return nil
}
