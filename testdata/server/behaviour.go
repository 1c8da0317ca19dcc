package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"

	"grpcmesh/testdata/server/helloworld"
	"grpcmesh/testdata/server/streams"
)

// slow is how long a call takes that is to be slow.
const slow = 3 * time.Second

// behaviour is in what a server differs from the demo, for tests of routes.
type behaviour struct {
	greeting string // GREETING: what it says in place of Hello
	odd      string // ODD: every other call, the first among them, is "slow" or "unavailable"; "always": each is unavailable
	service  string // SERVICE: the full name of its service in place of helloworld.Greeter
	says     string // SAYS: metadata in which it says its HOSTNAME, as a header and as a trailer
	streams  bool   // STREAMS=on: the service streams.Streams too, whose replies have the HOSTNAME
	hostname string
}

func behaviourOf(getenv func(string) string) behaviour {
	b := behaviour{greeting: getenv("GREETING"), odd: getenv("ODD"), service: getenv("SERVICE"), says: getenv("SAYS"), streams: getenv("STREAMS") == "on", hostname: getenv("HOSTNAME")}
	if b.greeting == "" {
		b.greeting = "Hello"
	}
	return b
}

// misbehave is what a call meets before it is answered.
func (b behaviour) misbehave(ctx context.Context, call int64) error {
	switch {
	case b.odd == "always":
		return status.Error(codes.Unavailable, "this is no good call")
	case call%2 == 0:
	case b.odd == "unavailable":
		return status.Error(codes.Unavailable, "this is an odd call")
	case b.odd == "slow":
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// options make each answer say which pod it is from, if it is to.
func (b behaviour) options() []grpc.ServerOption {
	if b.says == "" {
		return nil
	}
	who := metadata.Pairs(b.says, b.hostname)
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			_, _ = grpc.SetHeader(ctx, who), grpc.SetTrailer(ctx, who)
			return next(ctx, request)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			_ = stream.SetHeader(who)
			stream.SetTrailer(who)
			return next(server, stream)
		}),
	}
}

// register adds the service, under its other name if it has one.
func (b behaviour) register(server *grpc.Server) error {
	if b.streams {
		streams.RegisterStreamsServer(server, streams.Server{Pod: func(context.Context) string { return b.hostname }})
	}
	calls := &atomic.Int64{}
	g := greeter{behaviour: b, calls: calls}
	if b.service == "" {
		helloworld.RegisterGreeterServer(server, g)
		return nil
	}
	desc := helloworld.Greeter_ServiceDesc
	desc.ServiceName, desc.Metadata = b.service, b.service+".proto"
	server.RegisterService(&desc, g)
	return describe(b.service)
}

// describe makes a copy of the Greeter's descriptor known under another name,
// so that reflection tells of it.
func describe(service string) error {
	file := protodesc.ToFileDescriptorProto(helloworld.File_helloworld_proto)
	dot := strings.LastIndex(service, ".")
	if dot < 0 {
		return fmt.Errorf("SERVICE %q is not package.Service", service)
	}
	old := "." + file.GetPackage() + "."
	file.Name, file.Package, file.Options = proto.String(service+".proto"), proto.String(service[:dot]), nil
	file.Service[0].Name = proto.String(service[dot+1:])
	for _, m := range file.Service[0].Method {
		m.InputType = proto.String("." + service[:dot] + "." + strings.TrimPrefix(m.GetInputType(), old))
		m.OutputType = proto.String("." + service[:dot] + "." + strings.TrimPrefix(m.GetOutputType(), old))
	}
	made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		return err
	}
	return protoregistry.GlobalFiles.RegisterFile(made)
}
