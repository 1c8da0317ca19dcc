package h2

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const (
	codeUnavailable = codes.Unavailable
	codeDeadline    = codes.DeadlineExceeded
)

// codeOfReset maps an HTTP/2 error to a status as grpc-go does, which follows
// gRPC over HTTP2, "Errors", in most.
func codeOfReset(code http2.ErrCode) codes.Code {
	switch code {
	case http2.ErrCodeRefusedStream:
		return codes.Unavailable
	case http2.ErrCodeCancel:
		return codes.Canceled
	case http2.ErrCodeEnhanceYourCalm, http2.ErrCodeFlowControl:
		return codes.ResourceExhausted
	case http2.ErrCodeInadequateSecurity:
		return codes.PermissionDenied
	}
	if code > http2.ErrCodeHTTP11Required {
		return codes.Unknown
	}
	return codes.Internal
}

// codeOfHTTP maps an HTTP status: gRPC's "HTTP to gRPC Status Code Mapping".
func codeOfHTTP(status int) codes.Code {
	switch status {
	case http.StatusBadRequest:
		return codes.Internal
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.Unimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	return codes.Unknown
}

// codeOfEnd is the status of calls in flight when the connection ends.
func codeOfEnd(ctx context.Context) codes.Code {
	if ctx.Err() != nil {
		return codes.Canceled
	}
	return codes.Unavailable
}

// detailed is the status that grpc-status-details-bin gives: it must not
// contradict grpc-status.
func detailed(code codes.Code, message, details string) (codes.Code, string) {
	st := &spb.Status{}
	if err := proto.Unmarshal([]byte(details), st); err != nil {
		return code, message
	}
	if st.GetCode() != int32(code) {
		return codes.Internal, fmt.Sprintf("grpc-status-details-bin mismatch: grpc-status=%v, grpc-message=%q, grpc-status-details-bin=%+v", code, message, st)
	}
	return code, st.GetMessage()
}

// unescape decodes grpc-message; what is no escape stays as it is.
func unescape(message string) string {
	if !strings.Contains(message, "%") {
		return message
	}
	var b strings.Builder
	for i := 0; i < len(message); i++ {
		if message[i] == '%' && i+2 < len(message) {
			if n, err := strconv.ParseUint(message[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(message[i])
	}
	return b.String()
}

// binary64 decodes the value of a -bin header, padded or not.
func binary64(value string) (string, error) {
	encoding := base64.RawStdEncoding
	if len(value)%4 == 0 {
		encoding = base64.StdEncoding
	}
	b, err := encoding.DecodeString(value)
	return string(b), err
}
