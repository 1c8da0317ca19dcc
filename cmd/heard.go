package cmd

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

// unheard leaves out calls of --path that tell nothing of users' calls, and why:
// where all are answered that there is no such method, what answers may be anyone.
func unheard(samples []probe.Sample, why string) ([]probe.Sample, string) {
	for _, s := range samples {
		if s.Code != codes.Unimplemented || s.NoAnswer || s.NotGRPC || !s.Upstream && s.Message == "" {
			return samples, why
		}
	}
	if len(samples) == 0 {
		return samples, why
	}
	return nil, fmt.Sprintf("all of %d calls to %s were answered with UNIMPLEMENTED (%.200q): the app has no such method, or the route rewrites the path", len(samples), samples[0].Path, samples[0].Message)
}

// outOf says whether the run's own end, and not the service, is why the call has
// no good answer.
func outOf(ctx context.Context, s probe.Sample) bool {
	return ctx.Err() != nil && (s.NoAnswer || s.Code == codes.DeadlineExceeded || s.Code == codes.Canceled)
}

// ranOut is the --timeout that ran out, or "".
func (o *verifyOptions) ranOut(ctx context.Context) string {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ""
	}
	return o.timeout.String()
}
