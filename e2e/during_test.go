package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"grpcmesh/testdata/server/helloworld"
)

// caller makes calls in the background of a script.
type caller struct {
	end    context.CancelFunc // of the calls
	ended  chan struct{}
	made   int
	failed map[string]int // by what came instead
}

// callers are those that run, by their script's $ID.
var callers sync.Map

// cmdDuring is `during HOST`: calls of SayHello through the gateway begin, a
// hundred a second one after another on one connection, without a retry; and
// `during`: they end, and stdout has how many were made and a line for each way
// in which some failed.
func cmdDuring(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: during [HOST]")
	}
	id := ts.Getenv("ID")
	if len(args) == 1 {
		ctx, end := context.WithCancel(context.Background())
		c := &caller{end: end, ended: make(chan struct{}), failed: map[string]int{}}
		if _, running := callers.LoadOrStore(id, c); running {
			ts.Fatalf("during: its calls have not ended")
		}
		ts.Defer(end)
		conn, err := grpc.NewClient(ts.Getenv("GATEWAY"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(args[0]), grpc.WithDisableRetry())
		ts.Check(err)
		go c.calls(ctx, conn)
		return
	}
	running, ok := callers.LoadAndDelete(id)
	if !ok {
		ts.Fatalf("during: no calls were begun")
	}
	c := running.(*caller)
	c.end()
	<-c.ended
	_, err := fmt.Fprintf(ts.Stdout(), "%d calls\n", c.made)
	ts.Check(err)
	for _, what := range slices.Sorted(maps.Keys(c.failed)) {
		_, err := fmt.Fprintf(ts.Stdout(), "%d failed: %s\n", c.failed[what], what)
		ts.Check(err)
	}
}

func (c *caller) calls(ctx context.Context, conn *grpc.ClientConn) {
	defer close(c.ended)
	defer func() { _ = conn.Close() }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // the last is made to its end
		err := conn.Invoke(call, "/helloworld.Greeter/SayHello", &helloworld.HelloRequest{Name: "during"}, &helloworld.HelloReply{})
		cancel()
		c.made++
		if err != nil {
			c.failed[status.Code(err).String()+" "+strings.TrimSpace(status.Convert(err).Message())]++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
