package h2

import (
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// Config is what a connection calls, and within which bounds.
type Config struct {
	// Scheme is http or https, Authority the :authority, Path the method as
	// /package.Service/Method.
	Scheme, Authority, Path string
	// Fields are further request headers, with names in lower case.
	Fields []hpack.HeaderField
	// Payload is the encoded request message.
	Payload []byte
	// InFlight is the most calls at once; the server may allow fewer. 0 is 1.
	InFlight int
	// Timeout bounds a call from when it is sent, and one write. It is sent
	// as grpc-timeout. 0 is 10 s.
	Timeout time.Duration
	// MaxReply is the longest reply message in bytes, MaxHeaders the longest
	// header list as RFC 9113, 6.5.2 counts it. 0 is 4 MiB and 64 KiB.
	MaxReply   int
	MaxHeaders uint32
	// KeepBody fills Result.Body; without it replies are counted and dropped.
	KeepBody bool
}

func (c *Config) defaults() {
	c.InFlight = max(c.InFlight, 1)
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxReply <= 0 {
		c.MaxReply = 4 << 20
	}
	if c.MaxHeaders == 0 {
		c.MaxHeaders = 64 << 10
	}
}

// Call is one call to make.
type Call struct {
	// Due is when it is to be sent; zero is at once.
	Due time.Time
	// Again marks the second try of a call that a server didn't process.
	Again bool
}

// Calls gives the calls to make and takes what became of them. Run uses it
// from its own goroutine only.
type Calls interface {
	// Next is the next call to make. After false it is asked again when
	// something has arrived, and Run ends once nothing is in flight.
	Next() (Call, bool)
	// Return takes back a call that was not sent.
	Return(Call)
	// Done takes a result, which is valid only until it returns.
	Done(*Result)
}

// Outcome says how a call ended.
type Outcome uint8

// The outcomes.
const (
	// Answered: the server gave a status in trailers.
	Answered Outcome = iota
	// Began: response headers came, but no valid end.
	Began
	// NotGRPC: an HTTP response came that isn't gRPC.
	NotGRPC
	// NoAnswer: nothing came of this call.
	NoAnswer
)

// Result is what became of one call.
type Result struct {
	Call
	// Sent is when it was handed to the connection, End when its end was read.
	Sent, End time.Time
	// Code and Message are the server's if Outcome is Answered, unless its
	// reply is at fault; otherwise those that grpc-go would give.
	Code    codes.Code
	Message string
	Outcome Outcome
	// Unprocessed: the server said that it didn't look at the call, which may
	// be made again without a risk.
	Unprocessed bool
	// Header and Trailer are the lists as they came, pseudo headers and
	// gRPC's own among them. A trailers-only answer has a Trailer alone.
	Header, Trailer []hpack.HeaderField
	// Body is the reply message if Config.KeepBody, and Size its length.
	Body []byte
	Size int
}
