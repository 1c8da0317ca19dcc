// Package message encodes requests of a gRPC method from JSON, and reads a field
// out of its replies, by the descriptors of its service. It is pure. Descriptors are untrusted: what does
// not fit together is an error.
package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

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

// Method is one method of a service, as its descriptors say.
type Method struct {
	desc  protoreflect.MethodDescriptor
	types *dynamicpb.Types
}

// Find finds a method. Descriptors that are missing, cyclic or malformed are a
// *DescriptorError; another error is that the service has no such method.
func Find(files *descriptorpb.FileDescriptorSet, service, method string) (*Method, error) {
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
	if m == nil {
		return nil, fmt.Errorf("service %s has no method %s", service, method)
	}
	return &Method{m, dynamicpb.NewTypes(registry)}, nil
}

// Streams says whether the client, and the server, sends a stream of messages.
func (m *Method) Streams() (client, server bool) {
	return m.desc.IsStreamingClient(), m.desc.IsStreamingServer()
}

// mostMessages bounds what one stream is sent.
const mostMessages = 1000

// Encode is what a call of the method sends: of documents of JSON, one after
// another, a message each. Without any it is one empty message. More than one is
// an error, unless the client sends a stream: then of more than 1,000.
func (m *Method) Encode(documents []byte) ([][]byte, error) {
	var all [][]byte
	most := 1
	if m.desc.IsStreamingClient() {
		most = mostMessages
	}
	for from := json.NewDecoder(bytes.NewReader(documents)); ; {
		var document json.RawMessage
		err := from.Decode(&document)
		switch {
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, nil
		case errors.Is(err, io.EOF):
			document = json.RawMessage("{}")
		case err != nil:
			return nil, m.unfit(err)
		case len(all) == most && most == 1:
			return nil, fmt.Errorf("%s takes one message, and there is more than one document of JSON", m.desc.Name())
		case len(all) == most:
			return nil, fmt.Errorf("more than %d messages are not sent on one stream", most)
		}
		in := dynamicpb.NewMessage(m.desc.Input())
		if err := (protojson.UnmarshalOptions{Resolver: resolver{m.types}}).Unmarshal(document, in); err != nil {
			return nil, m.unfit(err)
		}
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
		if err != nil {
			return nil, err
		}
		all = append(all, append([]byte{}, encoded...)) // an empty one is no nil
	}
}

func (m *Method) unfit(err error) error {
	return fmt.Errorf("it is no %s: %w", m.desc.Input().FullName(), err)
}

// Reply finds a field of the method's replies, as FieldOf does.
func (m *Method) Reply(path string) (*Field, error) { return FieldOf(m.desc.Output(), path) }

// resolver finds what Any and extensions name: in the descriptors alone.
type resolver struct{ *dynamicpb.Types }

var _ interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
} = resolver{}
