package streams

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
)

// Server answers each stream with the pod's name.
type Server struct {
	UnimplementedStreamsServer
	// Pod is asked once a stream.
	Pod func(context.Context) string
}

// Watch sends what it was sent, ten times a second, until the client hangs up.
func (s Server) Watch(request *Request, stream grpc.ServerStreamingServer[Reply]) error {
	pod := s.Pod(stream.Context())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := stream.Send(&Reply{Pod: pod, Received: 1, Text: request.GetText()}); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// Collect counts what it is sent.
func (s Server) Collect(stream grpc.ClientStreamingServer[Request, Reply]) error {
	reply := &Reply{Pod: s.Pod(stream.Context())}
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(reply)
		}
		if err != nil {
			return err
		}
		reply.Received++
		reply.Text += request.GetText()
	}
}

// Chat sends back what it is sent.
func (s Server) Chat(stream grpc.BidiStreamingServer[Request, Reply]) error {
	pod, n := s.Pod(stream.Context()), int32(0)
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n++
		if err := stream.Send(&Reply{Pod: pod, Received: n, Text: request.GetText()}); err != nil {
			return err
		}
	}
}
