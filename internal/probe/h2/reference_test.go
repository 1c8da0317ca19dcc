package h2

import (
	"context"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// noted collects what came of the call in whose context it is.
type noted struct {
	mu              sync.Mutex
	header, trailer metadata.MD
}

type (
	notedKey struct{}
	watcher  struct{}
	plain    struct{}
)

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}
func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	n, ok := ctx.Value(notedKey{}).(*noted)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case *stats.InHeader:
		n.header = e.Header.Copy()
	case *stats.InTrailer:
		n.trailer = e.Trailer.Copy()
	}
}

func (plain) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (plain) Unmarshal(data mem.BufferSlice, v any) error {
	*(v.(*[]byte)) = data.Materialize()
	return nil
}
func (plain) Name() string { return "" }

// reference makes the same calls by grpc-go, on one connection.
func reference(ctx context.Context, t fataler, addr string, conf Config, n int) (all []said) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	client, err := grpc.NewClient("passthrough:///x",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			select {
			case <-first:
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			default:
				return nil, errors.New("one connection only")
			}
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(conf.Authority), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(streamWindow), grpc.WithStaticConnWindowSize(connWindow), grpc.WithMaxHeaderListSize(64<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(4<<20)), grpc.WithStatsHandler(watcher{}), grpc.WithNoProxy(), grpc.WithIdleTimeout(0))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for range n {
		note := &noted{}
		ctx, cancel := context.WithTimeout(ctx, conf.Timeout)
		var body []byte
		err := client.Invoke(context.WithValue(metadata.AppendToOutgoingContext(ctx, "x-run", "1"), notedKey{}, note), conf.Path, conf.Payload, &body, grpc.ForceCodecV2(plain{}))
		cancel()
		note.mu.Lock()
		one := said{Code: status.Code(err), Message: status.Convert(err).Message(), Header: note.header, Trailer: note.trailer}
		note.mu.Unlock()
		if err == nil {
			one.Body = string(body)
		}
		all = append(all, one)
	}
	return all
}
