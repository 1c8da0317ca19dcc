package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"grpcmesh/internal/manifest"
	"grpcmesh/internal/message"
	"grpcmesh/internal/probe"
)

// mostData bounds a message and a file of descriptors, in bytes.
const mostData, mostProtoset = 4 << 20, 32 << 20

// userCall is a real call that the user asks for, in place of those without
// side effects on the users' route.
type userCall struct {
	method   string // pkg.Service/Method
	data     string // JSON, or @FILE, or @- for stdin
	protoset string
	proto    string
	json     []byte
	messages [][]byte // once they are encoded; one, unless the client's side streams
	stream   *probe.Stream
}

func (u *userCall) add(fs *pflag.FlagSet) {
	fs.StringVar(&u.method, "call", "", "Call this method for real, as `PKG.SERVICE/METHOD`, with --data for its message, on the route that users' calls take: some 20 times, more for many pods, and where counters tell pods apart for each call. Of a method that streams each stream counts, by its first reply, and is then let go.")
	fs.StringVar(&u.data, "data", "", "The message of --call, as `JSON`, or @FILE ('@-' is stdin); where the client streams several, one after another. Default: an empty one. How it is encoded the app tells by reflection.")
	fs.StringVar(&u.protoset, "protoset", "", "A descriptor set that describes the service of --call, instead of reflection: a `FILE` of protoc --include_imports --descriptor_set_out.")
	fs.StringVar(&u.proto, "proto", "", "The `FILE`.proto that declares the service of --call, instead of reflection. What it imports is looked for in its folder, and in those above.")
}

func (u *userCall) on() bool { return u.method != "" }

// validate checks the flags, and makes of the method the path that calls have.
func (u *userCall) validate(o *verifyOptions) error {
	if !u.on() {
		if u.data != "" || u.protoset != "" || u.proto != "" {
			return usageError{errors.New("--data, --proto and --protoset are for --call PKG.SERVICE/METHOD")}
		}
		return nil
	}
	if u.proto != "" && u.protoset != "" {
		return usageError{errors.New("--proto and --protoset don't go together: both describe the service")}
	}
	path := "/" + strings.TrimPrefix(u.method, "/")
	if !methodPath.MatchString(path) {
		return &manifest.InvalidError{Field: "--call", Value: u.method, Reason: "is not PKG.SERVICE/METHOD"}
	}
	if o.path != "" {
		return usageError{errors.New("--call and --path don't go together: both name the method to call")}
	}
	o.path = path
	return nil
}

// read reads the files, and encodes the message where one describes it.
func (u *userCall) read(ctx context.Context, o *verifyOptions) error {
	if !u.on() {
		return nil
	}
	var err error
	if u.json, err = dataOf(o.IO, u.data); err != nil {
		return err
	}
	if u.proto != "" {
		return u.encodeFile(o, u.proto, func() (*descriptorpb.FileDescriptorSet, error) { return message.Compile(ctx, u.proto) })
	}
	if u.protoset == "" {
		return nil
	}
	return u.encodeFile(o, u.protoset, func() (*descriptorpb.FileDescriptorSet, error) { return readProtoset(u.protoset) })
}

func readProtoset(file string) (*descriptorpb.FileDescriptorSet, error) {
	data, err := readBounded(file, mostProtoset)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := (proto.UnmarshalOptions{RecursionLimit: 100}).Unmarshal(data, set); err != nil {
		return nil, &manifest.FileError{File: file, Err: fmt.Errorf("it is no descriptor set: %w", err)}
	}
	return set, nil
}

// encodeFile makes the payload by a file; what is wrong with it is an error of
// that file.
func (u *userCall) encodeFile(o *verifyOptions, file string, describe func() (*descriptorpb.FileDescriptorSet, error)) error {
	set, err := describe()
	if err == nil {
		err = u.encode(set, o)
	}
	if errors.As(err, new(*message.DescriptorError)) {
		return &manifest.FileError{File: file, Err: err}
	}
	return err
}

// encode makes the message, and finds the field of the reply that names the
// backend. JSON that does not fit is the user's mistake.
func (u *userCall) encode(set *descriptorpb.FileDescriptorSet, o *verifyOptions) error {
	service, method, _ := strings.Cut(strings.TrimPrefix(u.method, "/"), "/")
	m, err := message.Find(set, service, method)
	if errors.As(err, new(*message.DescriptorError)) {
		return err
	}
	if err == nil {
		u.messages, err = m.Encode(u.json)
	}
	if err != nil {
		return usageError{fmt.Errorf("--call %s: %w", u.method, err)}
	}
	if client, server := m.Streams(); client || server {
		if o.load.asked {
			return usageError{fmt.Errorf("--call %s is a stream, and a load is of unary calls: leave out --duration, --rate, --connections, --in-flight and --during-rollout", u.method)}
		}
		u.stream = &probe.Stream{Messages: u.messages, Client: client, Server: server}
	}
	return o.backend.bind(m)
}

func dataOf(streams IO, data string) ([]byte, error) {
	file, ok := strings.CutPrefix(data, "@")
	switch {
	case !ok:
		return []byte(data), nil
	case file == "-":
		return atMost(streams.In, "stdin", mostData)
	}
	read, err := readBounded(file, mostData)
	if err != nil {
		err = fmt.Errorf("--data: %w", err)
	}
	return read, err
}

func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return atMost(f, name, most)
}

// atMost reads what has most bytes at most; more is an error of the name.
func atMost(from io.Reader, name string, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it is over %d MiB", most>>20)
	}
	if err != nil {
		return nil, &manifest.FileError{File: name, Err: err}
	}
	return data, nil
}

// describe has the app describe the user's method, before anything is written:
// on the users' own route, where reflection takes the same rule, or else at a
// pod.
func (r *run) describeCall(ctx context.Context) error {
	u := &r.o.user
	if !u.on() || u.messages != nil {
		return nil
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(u.method, "/"), "/")
	err := errors.New("reflection takes another route")
	var set *descriptorpb.FileDescriptorSet
	if r.t.layer4 || r.ours(reflectionPath) {
		set, err = r.conn.Files(ctx, service, "", r.o.metadata)
	}
	if err != nil {
		conn, failed := r.openPod(ctx)
		if failed == nil {
			defer func() { _ = conn.Close() }()
			set, failed = conn.Files(ctx, service, "", r.o.metadata)
		}
		if failed != nil {
			return fmt.Errorf("how messages of %s are encoded can't be found out: %w; and at a pod itself: %w\nGive its descriptors with --proto FILE or --protoset FILE", u.method, err, failed)
		}
	}
	return r.o.encodeBy(set)
}

// encodeBy says whose descriptors they are that are of no use.
func (o *verifyOptions) encodeBy(set *descriptorpb.FileDescriptorSet) error {
	err := o.user.encode(set, o)
	if errors.As(err, new(*message.DescriptorError)) {
		return fmt.Errorf("the app describes %s by reflection, but %w\nGive its descriptors with --proto FILE or --protoset FILE", o.user.method, err)
	}
	return err
}

// pathCall is the call of the method that the user names: with a message that
// does nothing, or for real.
func (o *verifyOptions) pathCall() probe.Call {
	if o.user.on() {
		return probe.Call{Path: o.path, Payload: o.user.messages[0], Stream: o.user.stream, Metadata: o.metadata}
	}
	return probe.Call{Path: o.path, Payload: unreadable(), Metadata: o.metadata}
}
