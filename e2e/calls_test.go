package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"grpcmesh/testdata/server/helloworld"
)

// cmdCalls is `calls N HOST [SERVICE] [NAME=VALUE...]`: N calls of SayHello
// through the gateway, one after another on one connection, with the metadata.
// A line of stdout each: what came, and "at once" or "late", which is after 2 s.
func cmdCalls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: calls N HOST [SERVICE] [NAME=VALUE...]")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	service, ctx := "helloworld.Greeter", context.Background()
	for _, arg := range args[2:] {
		if name, value, ok := strings.Cut(arg, "="); ok {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		} else {
			service = arg
		}
	}
	conn, err := grpc.NewClient(ts.Getenv("GATEWAY"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(args[1]), grpc.WithDisableRetry())
	ts.Check(err)
	defer func() { _ = conn.Close() }()
	for i := range n {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		start, reply := time.Now(), &helloworld.HelloReply{}
		err := conn.Invoke(ctx, "/"+service+"/SayHello", &helloworld.HelloRequest{Name: "call " + strconv.Itoa(i+1)}, reply)
		cancel()
		when, what := "at once", reply.GetMessage()
		if time.Since(start) > 2*time.Second {
			when = "late"
		}
		if err != nil {
			what = status.Code(err).String() + " " + status.Convert(err).Message()
		}
		_, err = fmt.Fprintf(ts.Stdout(), "%s, %s\n", what, when)
		ts.Check(err)
	}
}
