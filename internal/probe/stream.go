package probe

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

const (
	// patience is how long the first reply of a stream is waited for once its
	// headers came: who answers is known by then.
	patience = time.Second
	// maxReplies bounds what is read of a stream whose trailers are wanted.
	maxReplies = 1000
)

// Stream is what makes a call a stream, which is one sample: a gateway chooses
// once where it goes, when it opens.
type Stream struct {
	// Messages are sent, encoded, one after another; then the client's side ends.
	Messages [][]byte
	// Client and Server say which of the two sends a stream of messages.
	Client, Server bool
}

// stream opens a stream, sends what there is to send and takes the first reply. A
// stream of the server's is then cancelled here (cut): it may well have no end.
// Where the backend's name is in the trailers it is read up to these.
func (c *Conn) stream(whole context.Context, call Call, into any) (replies int, cut bool, err error) {
	ctx, cancel := context.WithCancel(whole)
	defer cancel()
	s, err := c.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: call.Stream.Client, ServerStreams: call.Stream.Server}, call.Path,
		append(c.options(), grpc.ForceCodecV2(raw{}))...)
	if err != nil {
		return 0, false, err
	}
	for _, m := range call.Stream.Messages {
		if s.SendMsg(mem.BufferSlice{mem.SliceBuffer(m)}) != nil {
			break // the reason is what the receive gets
		}
	}
	_ = s.CloseSend()
	heard := func() bool { return true }
	if md, err := s.Header(); err == nil && md != nil && call.Stream.Server {
		heard = time.AfterFunc(patience, cancel).Stop
		defer heard()
	}
	most := 1
	if call.From != nil && call.From.Trailer != "" {
		most = maxReplies
	}
	for replies < most {
		err := s.RecvMsg(into)
		switch {
		case errors.Is(err, io.EOF):
			return replies, false, nil
		case err != nil && ctx.Err() != nil && whole.Err() == nil:
			return replies, true, nil // patience is over
		case err != nil:
			return replies, false, err
		}
		replies++
		heard()
		if !call.Stream.Server {
			return replies, false, nil // grpc-go has read its end too
		}
		into = nil // the first one tells
	}
	return replies, true, nil
}
