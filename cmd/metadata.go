package cmd

import (
	"cmp"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"

	"grpcmesh/internal/istio"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
)

// mostMetadata bounds one value in bytes, and all of them: gateways take 60 KiB
// of headers by default, and apps often 8 KiB.
const mostMetadata, mostOfAll = 8 << 10, 32 << 10

var (
	// metadataKey is what gRPC takes for a name.
	metadataKey = regexp.MustCompile(`^[0-9a-z_.-]+$`)
	// metadataText is what gRPC takes for a value of text.
	metadataText = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// parseMetadata reads NAME=VALUE each, into lower-case names and the values as
// they stand on the wire. A value whose name ends in -bin is given in base64.
func parseMetadata(given []string) (map[string]string, error) {
	metadata, size := map[string]string{}, 0
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		key := strings.ToLower(name)
		// The value may be a secret.
		invalid := func(reason string) error {
			return &manifest.InvalidError{Field: "--metadata", Value: name, Reason: reason}
		}
		if _, twice := metadata[key]; twice {
			return nil, invalid("is given twice")
		}
		switch {
		case !ok:
			return nil, invalid("is not NAME=VALUE")
		case strings.HasPrefix(key, ":"):
			return nil, invalid("is no metadata: names that begin with a colon are the protocol's own; the host is --authority, the method --path")
		case !metadataKey.MatchString(key):
			return nil, invalid("is no name of metadata: those have letters, digits, and any of _ . -")
		case strings.HasPrefix(key, "grpc-"):
			return nil, invalid("is reserved: names that begin with grpc- are gRPC's own")
		case strings.HasPrefix(key, "x-grpcmesh-"):
			return nil, invalid("is reserved: grpcmesh marks its own calls by such names")
		case slices.Contains([]string{"content-type", "te", "user-agent", "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length"}, key):
			return nil, invalid("is set by gRPC itself, or HTTP/2 does not have it")
		case strings.HasSuffix(key, "-bin"):
			raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
			if err != nil {
				return nil, invalid("is binary, as its name ends in -bin, and its value is not base64")
			}
			value = base64.RawStdEncoding.EncodeToString(raw)
		case !metadataText.MatchString(value):
			return nil, invalid("its value has other characters than printable ASCII; binary values need a name that ends in -bin, and base64")
		case value != strings.TrimSpace(value):
			return nil, invalid("its value begins or ends with a space, which the gateway would take away")
		}
		if size += len(key) + len(value); len(value) > mostMetadata || size > mostOfAll {
			return nil, invalid("is too long: a value has at most 8 KiB, and all metadata 32 KiB")
		}
		metadata[key] = value
	}
	return metadata, nil
}

// metadataNames lists what calls carry, without the values: they may be secrets.
func metadataNames(metadata map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(metadata)), ", ")
}

// marked is the metadata of calls by the probe route. A rule that stands before
// the probe, and takes any path, takes what has the metadata that it asks for:
// that is left out. The probe route asks for none.
func (r *run) marked() map[string]string {
	if len(r.o.metadata) == 0 || r.marks != nil {
		return r.marks
	}
	r.marks = maps.Clone(r.o.metadata)
	for {
		taken := r.t.table.Take(r.t.call(r.o.dialAuthority(), noPath, r.marks))
		if !taken.OK || taken.Entry.TakesAll() {
			return r.marks
		}
		before := len(r.marks)
		for _, name := range taken.Entry.Asked() {
			delete(r.marks, name)
		}
		if len(r.marks) == before {
			return r.marks // calls of any path and metadata are its
		}
	}
}

// leftOut are the names that calls by the probe route don't carry.
func (r *run) leftOut() string {
	marked := r.marked()
	left := maps.Clone(r.o.metadata)
	maps.DeleteFunc(left, func(name, _ string) bool { _, sent := marked[name]; return sent })
	return metadataNames(left)
}

// call is one as the gateway sees it.
func (t *target) call(authority, path string, metadata map[string]string) istio.Call {
	return istio.Call{Path: path, Authority: authority, TLS: t.gw.Secures(), Metadata: metadata}
}

// describe names what is under test, and what its calls carry.
func (o *verifyOptions) describe(t *target) string {
	if len(o.metadata) == 0 {
		return t.describe()
	}
	return t.describe() + ", by calls with metadata " + metadataNames(o.metadata)
}

// probing is the call by the probe route that pods are told apart by.
func (r *run) probing() probe.Call {
	return r.byProbe(probe.Call{Path: cmp.Or(r.spared.Path, noPath), Payload: r.spared.Payload, Metadata: r.marked()})
}
