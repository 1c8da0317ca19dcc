package probe

import (
	"context"
	"errors"
	"fmt"

	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxFiles bounds the files that describe one service.
const maxFiles = 2000

// Files asks by reflection for the file that describes a service, and for all
// that it imports. The nonce, the metadata and the bounds are those of
// Services; a file is asked for once, so that a cycle ends, and what is
// missing is an error. Whether they fit together is not looked at.
func (c *Conn) Files(ctx context.Context, service, nonce string, metadata map[string]string) (*descriptorpb.FileDescriptorSet, error) {
	return reflected(ctx, c, nonce, metadata, func(ctx context.Context, version string) (*descriptorpb.FileDescriptorSet, error) {
		return c.files(ctx, version, service)
	})
}

func (c *Conn) files(ctx context.Context, version, service string) (*descriptorpb.FileDescriptorSet, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	ask, err := c.asker(ctx, version)
	if err != nil {
		return nil, err
	}
	set, have, size := &descriptorpb.FileDescriptorSet{}, map[string]bool{}, 0
	read := func(what string, request *request) error {
		response, err := ask(request)
		if err != nil {
			return err
		}
		files := response.GetFileDescriptorResponse().GetFileDescriptorProto()
		if len(files) == 0 {
			return errors.New("the answer has no descriptor of " + what)
		}
		for _, data := range files {
			if size += len(data); size > maxDescriptors {
				return fmt.Errorf("descriptors over %d MiB", maxDescriptors>>20)
			}
			file := &descriptorpb.FileDescriptorProto{}
			if err := (proto.UnmarshalOptions{RecursionLimit: 100}).Unmarshal(data, file); err != nil {
				return fmt.Errorf("the descriptor of %s is malformed: %w", what, err)
			}
			if have[file.GetName()] {
				continue
			}
			have[file.GetName()] = true
			if set.File = append(set.File, file); len(set.GetFile()) > maxFiles {
				return fmt.Errorf("more than %d files", maxFiles)
			}
		}
		return nil
	}
	if err := read("service "+service, &request{MessageRequest: &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service}}); err != nil {
		return nil, err
	}
	for i := 0; i < len(set.GetFile()); i++ {
		for _, name := range set.GetFile()[i].GetDependency() {
			if have[name] {
				continue
			}
			if err := read(fmt.Sprintf("%q", clip(name)), &request{MessageRequest: &reflection.ServerReflectionRequest_FileByFilename{FileByFilename: name}}); err != nil {
				return nil, notUnimplemented(err)
			}
			if !have[name] {
				return nil, fmt.Errorf("asked for %q, the server gave other files", clip(name))
			}
		}
	}
	return set, nil
}
