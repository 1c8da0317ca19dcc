package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// request is the one request, as the frames to send. The first one tells the
// server's table what to keep; all that follow refer to it.
type request struct {
	fields  []hpack.HeaderField
	size    uint32 // of the fields in a table
	block   bytes.Buffer
	first   []byte // HEADERS, and CONTINUATION if need be; used up by one call
	rest    []byte
	message []byte // with its prefix
}

func (r *request) prepare(conf Config) error {
	if conf.Scheme != "http" && conf.Scheme != "https" || conf.Path == "" || conf.Authority == "" {
		return errors.New("a request needs a scheme, an authority and a path")
	}
	add := func(name, value string) {
		r.fields = append(r.fields, hpack.HeaderField{Name: name, Value: value})
	}
	add(":method", "POST")
	add(":scheme", conf.Scheme)
	add(":path", conf.Path)
	add(":authority", conf.Authority)
	add("content-type", "application/grpc")
	add("user-agent", "grpcmesh")
	add("te", "trailers")
	// At most 8 digits: gRPC over HTTP2, "Timeout".
	add("grpc-timeout", strconv.FormatInt(min(max(conf.Timeout.Milliseconds(), 1), 99999999), 10)+"m")
	r.fields = append(r.fields, conf.Fields...)
	for _, f := range r.fields {
		r.size += f.Size()
	}
	r.message = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(conf.Payload)))
	r.message = append(r.message, conf.Payload...)
	r.encode(headerTable)
	return nil
}

// encode makes the frames anew for a table of the server's size. The first
// block empties the table, whatever is in it. Where there is no room for all
// fields none is kept: the blocks would not stay the same.
func (r *request) encode(table uint32) {
	table = min(table, headerTable)
	if table < r.size {
		table = 0
	}
	encoder := hpack.NewEncoder(&r.block)
	encoder.SetMaxDynamicTableSize(0)
	encoder.SetMaxDynamicTableSize(table)
	r.first = r.frames(encoder)
	r.rest = r.frames(encoder)
}

func (r *request) frames(encoder *hpack.Encoder) []byte {
	r.block.Reset()
	for _, f := range r.fields {
		_ = encoder.WriteField(f) // into memory
	}
	var out []byte
	rest, kind := r.block.Bytes(), http2.FrameHeaders
	for {
		n := min(len(rest), maxFrame)
		var flags http2.Flags
		if n == len(rest) {
			flags = http2.FlagHeadersEndHeaders // the same bit in CONTINUATION
		}
		out = append(appendFrame(out, kind, flags, 0, n), rest[:n]...)
		if rest, kind = rest[n:], http2.FrameContinuation; len(rest) == 0 {
			return out
		}
	}
}

func (r *request) appendHeaders(out []byte, id uint32) []byte {
	at := len(out)
	if len(r.first) > 0 {
		out = append(out, r.first...)
		r.first = r.first[:0]
	} else {
		out = append(out, r.rest...)
	}
	for at < len(out) {
		binary.BigEndian.PutUint32(out[at+5:], id)
		at += frameHead + int(out[at])<<16 + int(out[at+1])<<8 + int(out[at+2])
	}
	return out
}

// appendData is the whole message, which fits into one frame.
func (r *request) appendData(out []byte, id uint32) []byte {
	return append(appendFrame(out, http2.FrameData, http2.FlagDataEndStream, id, len(r.message)), r.message...)
}
