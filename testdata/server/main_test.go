package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"grpcmesh/testdata/server/helloworld"
	"grpcmesh/testdata/server/streams"
)

// start serves on a free port and returns a connection to it and what ends
// the server and waits for it.
func start(t *testing.T, healthy bool, set ...string) (*grpc.ClientConn, func() error) {
	t.Helper()
	getenv := func(name string) string {
		for _, s := range set {
			if value, ok := strings.CutPrefix(s, name+"="); ok {
				return value
			}
		}
		return ""
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, healthy, behaviourOf(getenv)) }()
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection, func() error { cancel(); return <-ended }
}

func TestSayHelloTellsNothingOfThePod(t *testing.T) {
	connection, stop := start(t, false)
	var header, trailer metadata.MD
	reply, err := helloworld.NewGreeterClient(connection).SayHello(t.Context(),
		&helloworld.HelloRequest{Name: "mesh"}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || reply.GetMessage() != "Hello mesh" {
		t.Fatalf("got %q, %v; want Hello mesh", reply.GetMessage(), err)
	}
	header.Delete("content-type")
	if len(header)+len(trailer) > 0 {
		t.Errorf("metadata could tell pods apart: %v %v", header, trailer)
	}
	if err := stop(); err != nil {
		t.Errorf("ending: %v", err)
	}
}

func TestReflectionIsOn(t *testing.T) {
	connection, _ := start(t, false)
	stream, err := grpc_reflection_v1.NewServerReflectionClient(connection).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := &grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}
	if err := stream.Send(request); err != nil {
		t.Fatal(err)
	}
	reply, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range reply.GetListServicesResponse().GetService() {
		if service.GetName() == "helloworld.Greeter" {
			return
		}
	}
	t.Errorf("helloworld.Greeter is not listed: %v", reply)
}

func TestHealthIsOffUnlessAskedFor(t *testing.T) {
	for healthy, want := range map[bool]codes.Code{false: codes.Unimplemented, true: codes.OK} {
		connection, _ := start(t, healthy)
		_, err := grpc_health_v1.NewHealthClient(connection).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if got := status.Code(err); got != want {
			t.Errorf("HEALTH on=%v: got %s, want %s", healthy, got, want)
		}
	}
}

func TestBehaviour(t *testing.T) {
	for _, tc := range []struct {
		set  string
		want []string // of calls one after another
	}{
		{"GREETING=Bonjour", []string{"Bonjour mesh", "Bonjour mesh"}},
		{"ODD=unavailable", []string{"Unavailable", "Hello mesh", "Unavailable"}},
		{"ODD=always", []string{"Unavailable", "Unavailable"}},
		{"ODD=slow", []string{"DeadlineExceeded", "Hello mesh"}},
	} {
		connection, _ := start(t, false, tc.set)
		for i, want := range tc.want {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			reply, err := helloworld.NewGreeterClient(connection).SayHello(ctx, &helloworld.HelloRequest{Name: "mesh"}, grpc.WaitForReady(true))
			cancel()
			got := reply.GetMessage()
			if err != nil {
				got = status.Code(err).String()
			}
			if got != want {
				t.Errorf("%s: call %d gives %s, want %s", tc.set, i+1, got, want)
			}
		}
	}
}

func TestServiceOfAnotherName(t *testing.T) {
	connection, _ := start(t, false, "SERVICE=shop.v1.Cart")
	reply := &helloworld.HelloReply{}
	if err := connection.Invoke(t.Context(), "/shop.v1.Cart/SayHello", &helloworld.HelloRequest{Name: "mesh"}, reply); err != nil || reply.GetMessage() != "Hello mesh" {
		t.Errorf("%v, %v; want Hello mesh", reply, err)
	}
	err := connection.Invoke(t.Context(), helloworld.Greeter_SayHello_FullMethodName, &helloworld.HelloRequest{}, reply)
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("the demo's own name gives %v", err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(connection).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := &grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "shop.v1.Cart"}}
	if err := stream.Send(request); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || len(answer.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection knows no shop.v1.Cart: %v, %v", answer, err)
	}
}

func TestSays(t *testing.T) {
	connection, _ := start(t, false, "SAYS=x-pod", "HOSTNAME=pod-1", "STREAMS=on")
	var header, trailer metadata.MD
	if _, err := helloworld.NewGreeterClient(connection).SayHello(t.Context(), &helloworld.HelloRequest{}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if header.Get("x-pod")[0] != "pod-1" || trailer.Get("x-pod")[0] != "pod-1" {
		t.Error(header, trailer)
	}
	stream, err := streams.NewStreamsClient(connection).Chat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := int32(1); n < 3; n++ {
		if err := stream.Send(&streams.Request{Text: "me"}); err != nil {
			t.Fatal(err)
		}
		if reply, err := stream.Recv(); err != nil || reply.GetPod() != "pod-1" || reply.GetReceived() != n || reply.GetText() != "me" {
			t.Error(reply, err)
		}
	}
}
