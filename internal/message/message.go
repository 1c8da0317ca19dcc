// Package message encodes a request of a gRPC method from JSON, by the
// descriptors of its service. It is pure. Descriptors are untrusted: what does
// not fit together is an error.
package message

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// DescriptorError says that the descriptors are of no use.
type DescriptorError struct{ Err error }

func (e *DescriptorError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *DescriptorError) Unwrap() error { return e.Err }

// Encode is the request of a unary method, encoded. Empty JSON is an empty
// message. Descriptors that are missing, cyclic or malformed are a
// *DescriptorError; another error is of the JSON, or of a method that streams.
func Encode(files *descriptorpb.FileDescriptorSet, service, method string, json []byte) ([]byte, error) {
	registry, err := protodesc.NewFiles(files)
	if err != nil {
		return nil, &DescriptorError{fmt.Errorf("its descriptors don't fit together: %w", err)}
	}
	found, err := registry.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, &DescriptorError{fmt.Errorf("service %s is not described", service)}
	}
	described, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, &DescriptorError{fmt.Errorf("%s is no service", service)}
	}
	m := described.Methods().ByName(protoreflect.Name(method))
	switch {
	case m == nil:
		return nil, fmt.Errorf("service %s has no method %s", service, method)
	case m.IsStreamingClient() || m.IsStreamingServer():
		return nil, fmt.Errorf("%s of service %s is a stream: all messages of one go to one pod, so that requests are not balanced within it; name a unary method", method, service)
	}
	if len(json) == 0 {
		json = []byte("{}")
	}
	in := dynamicpb.NewMessage(m.Input())
	types := dynamicpb.NewTypes(registry)
	if err := (protojson.UnmarshalOptions{Resolver: resolver{types}}).Unmarshal(json, in); err != nil {
		return nil, fmt.Errorf("it is no %s: %w", m.Input().FullName(), err)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(in)
}

// resolver finds what Any and extensions name: in the descriptors alone.
type resolver struct{ *dynamicpb.Types }

var _ interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
} = resolver{}
