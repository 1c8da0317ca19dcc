package h2

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// block is the header block that is being read.
type block struct {
	id      uint32 // not 0: only CONTINUATION of it may follow
	end     bool   // END_STREAM
	fields  []hpack.HeaderField
	limit   int64 // of the list, and what is left of it
	room    int64
	regular bool   // a field without a colon came
	invalid string // why the block is malformed
	mixed   string // the same, of its pseudo headers together
	cut     bool   // over the limit
}

// allows: a header block is not interrupted, by whatever frame.
func (b *block) allows(kind http2.FrameType, id uint32) error {
	if (b.id != 0) != (kind == http2.FrameContinuation) || b.id != 0 && b.id != id {
		return connError{http2.ErrCodeProtocol, fmt.Sprintf("%v of stream %d within or without a header block", kind, id)}
	}
	return nil
}

// budget is what a list may still grow by: what a header named trailer
// announces counts apart, and there is no room for more once it was over.
func (b *block) budget() int64 {
	if b.cut {
		return 0
	}
	return b.room + b.limit
}

// headers takes a HEADERS frame. Its block is decoded whether or not someone
// waits for it: the table goes on.
func (c *Conn) headers(flags http2.Flags, id uint32, p []byte) error {
	more := 0
	if flags.Has(http2.FlagHeadersPriority) {
		more = 5
	}
	rest, ok := unpad(flags, p, more)
	if id == 0 || !ok {
		return connError{http2.ErrCodeProtocol, "a malformed HEADERS"}
	}
	c.block = block{id: id, end: flags.Has(http2.FlagHeadersEndStream), fields: c.block.fields[:0],
		limit: int64(c.conf.MaxHeaders), room: int64(c.conf.MaxHeaders)}
	c.decoder.SetEmitEnabled(true)
	return c.fragment(flags.Has(http2.FlagHeadersEndHeaders), rest)
}

// fragment takes a part of a header block.
func (c *Conn) fragment(last bool, p []byte) error {
	b := &c.block
	// Nor may a server make us decode for ever what is too long or wrong.
	if b.invalid != "" || int64(len(p)) > 2*b.budget() {
		return connError{http2.ErrCodeProtocol, "a header list far over the limit, or malformed"}
	}
	if _, err := c.decoder.Write(p); err != nil {
		return connError{http2.ErrCodeCompression, err.Error()}
	}
	if !last {
		return nil
	}
	if err := c.decoder.Close(); err != nil {
		return connError{http2.ErrCodeCompression, err.Error()}
	}
	id := b.id
	b.id = 0
	if s := c.streams[id]; s != nil {
		c.listed(s)
	}
	if cap(b.fields) > 64 {
		b.fields = nil
	}
	return nil
}

// field takes one field of a block, as the decoder finds it.
func (c *Conn) field(f hpack.HeaderField) {
	b := &c.block
	switch {
	case !httpguts.ValidHeaderFieldValue(f.Value):
		b.invalid = "invalid header field value"
	case f.IsPseudo() && b.regular:
		b.invalid = "pseudo header field after regular"
	case f.IsPseudo():
		b.mixed = cmp.Or(b.mixed, pseudo(b.fields, f.Name))
	case !validName(f.Name):
		b.invalid = "invalid header field name"
	default:
		b.regular = true
	}
	size := int64(f.Size())
	switch {
	case b.invalid != "":
		c.decoder.SetEmitEnabled(false)
	case size > b.room:
		b.cut, b.room = true, 0
		c.decoder.SetEmitEnabled(false)
	default:
		b.room -= size
		b.fields = append(b.fields, f)
	}
}

// pseudo says what is wrong with one more pseudo header: an unknown one, one
// that is there already, or a request's and a response's together.
func pseudo(before []hpack.HeaderField, name string) string {
	switch name {
	case ":status", ":method", ":path", ":scheme", ":authority", ":protocol":
	default:
		return "invalid pseudo header"
	}
	for _, f := range before { // pseudo headers all, or this came too late
		if f.Name == name || (f.Name == ":status") != (name == ":status") {
			return "duplicate or mixed pseudo headers"
		}
	}
	return ""
}

// validName: a token without capitals (RFC 9113, 8.2.1).
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 'a' || c > 'z' {
			if 'A' <= c && c <= 'Z' || c >= 0x80 || !httpguts.IsTokenRune(rune(c)) {
				return false
			}
		}
	}
	return name != ""
}

// listed takes a whole header list, as grpc-go's operateHeaders does.
func (c *Conn) listed(s *stream) {
	b := &c.block
	switch {
	case b.invalid != "" || b.mixed != "":
		c.broken(s, http2.ErrCodeProtocol, b.invalid+b.mixed)
		return
	case s.began && !s.other && !b.end:
		c.broken(s, http2.ErrCodeProtocol, "a HEADERS frame cannot appear in the middle of a stream")
		return
	case b.cut:
		c.broken(s, http2.ErrCodeFrameSize, "peer header list size exceeded limit")
		return
	case s.other:
		if b.end {
			c.fail(s, s.code, s.why, false)
		}
		return
	}
	v := read(b.fields)
	switch {
	case v.badStatus != "":
		c.refuse(s, codes.Unknown, "transport: malformed grpc-status: "+v.badStatus)
	case !s.began && !v.grpc:
		c.notGRPC(s, v)
	case v.badField != "":
		c.refuse(s, codes.Internal, "transport: malformed "+v.badField)
	case !b.end:
		s.began, s.encoded = true, v.encoding != "" && v.encoding != "identity"
		s.header, b.fields = b.fields, s.header
	default:
		s.trailer, b.fields = b.fields, s.trailer
		c.answered(s, v)
	}
}

// refuse ends a call for what stands in its headers.
func (c *Conn) refuse(s *stream, code codes.Code, why string) {
	c.reset(s, http2.ErrCodeProtocol)
	c.fail(s, code, why, false)
}

// answered ends a call whose trailers came.
func (c *Conn) answered(s *stream, v values) {
	c.unsent(s)
	r := Result{Code: v.code(), Message: v.message, Outcome: Answered}
	if v.detailsSeen == 1 { // grpc-go ignores several
		r.Code, r.Message = detailed(r.Code, r.Message, v.details)
	}
	switch {
	case s.have > 0:
		r.Code, r.Message = codes.Internal, "unexpected EOF"
	case r.Code == codes.OK && s.messages == 0:
		r.Code, r.Message = codes.Internal, "cardinality violation: received no response message from non-server-streaming RPC"
	}
	c.finished(s, r)
}

// notGRPC takes the headers of a response that isn't gRPC.
func (c *Conn) notGRPC(s *stream, v values) {
	code, why := codes.Internal, "malformed header: missing HTTP status"
	if v.status != "" {
		status, err := strconv.Atoi(v.status)
		switch {
		case err != nil:
			s.other = true
			c.refuse(s, codes.Internal, "transport: malformed http-status")
			return
		case status >= 100 && status < 200:
			if c.block.end {
				c.refuse(s, codes.Internal, "an informational header must not end the stream")
			}
			return
		}
		code, why = codeOfHTTP(status), fmt.Sprintf("unexpected HTTP status code received from server: %d", status)
	}
	s.began, s.other, s.code, s.why = true, true, code, why
	if v.contentType != "" {
		s.why += fmt.Sprintf("; transport: received unexpected content-type %q", v.contentType)
	}
	if c.block.end {
		c.fail(s, s.code, s.why, false)
	}
}

// values are what gRPC itself reads of a header list.
type values struct {
	grpc                bool // the content type says so
	contentType         string
	status              string // HTTP's
	grpcStatus          int64  // noStatus: none
	message, encoding   string
	details             string // decoded
	badStatus, badField string
	detailsSeen         int
}

func (v values) code() codes.Code {
	if v.grpcStatus == noStatus {
		return codes.Unknown
	}
	return codes.Code(uint32(v.grpcStatus))
}

const noStatus = 1 << 40 // outside what 32 bits hold

func read(fields []hpack.HeaderField) values {
	v := values{grpcStatus: noStatus}
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		switch name {
		case ":status":
			v.status = value
		case "content-type":
			if rest, ok := strings.CutPrefix(value, "application/grpc"); ok && (rest == "" || rest[0] == '+' || rest[0] == ';') {
				v.grpc = true
			} else {
				v.contentType = value
			}
		case "grpc-encoding":
			v.encoding = value
		case "grpc-status":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				v.badStatus = err.Error()
				return v
			}
			v.grpcStatus = n
		case "grpc-message":
			v.message = unescape(value)
		default:
			if !strings.HasSuffix(name, "-bin") {
				continue
			}
			decoded, err := binary64(value)
			if err != nil {
				v.badField = name + ": " + err.Error()
			} else if name == "grpc-status-details-bin" {
				v.details = decoded
				v.detailsSeen++
			}
		}
	}
	return v
}
