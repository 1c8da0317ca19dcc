package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// maxName is how long a backend's name is kept whole, in bytes: a pod's, with
// its namespace, has at most 317 (RFC 1123 names of 253 and 63).
const maxName = 320

// Source is where in its answers an app says which backend it is. One of the
// fields is set.
type Source struct {
	// Header and Trailer are names of response metadata, in lower case. What an
	// answer without a message has as its only list stands for either.
	Header, Trailer string
	// Reply reads the name out of an encoded reply; "" if it has none.
	Reply func(reply []byte) string
}

// name is what one answer says. Texts of servers are untrusted, and are compared
// and recorded: what is no UTF-8 is written out, so that two names stay two, and
// one that is too long to be a name is told by its hash.
func (s *Source) name(a *answer, reply []byte) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var name string
	switch {
	case s.Reply != nil && reply != nil:
		name = s.Reply(reply)
	case s.Header != "":
		name = strings.Join(either(a.header, a.trailer).Get(s.Header), ", ")
	case s.Trailer != "":
		name = strings.Join(a.trailer.Get(s.Trailer), ", ")
	}
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(name))
		name = valid(name[:64]) + "… sha256:" + hex.EncodeToString(sum[:8])
	}
	return valid(name)
}

// either is the header list, or the other where there was none: an answer without
// a message has one list for both.
func either(header, trailer metadata.MD) metadata.MD {
	if header != nil {
		return header
	}
	return trailer
}

// valid writes bytes that are no UTF-8 out as escapes.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// kept is a reply that the raw codec is to keep: nil until it came.
type kept struct{ reply []byte }

func (k *kept) keep(data mem.BufferSlice) {
	if k.reply = data.Materialize(); k.reply == nil {
		k.reply = []byte{}
	}
}
