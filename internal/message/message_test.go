package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

func file(name string, imports ...string) *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, JsonName: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	method := func(name string, client, server bool) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{Name: &name, InputType: proto.String(".a.In"), OutputType: proto.String(".a.In"), ClientStreaming: &client, ServerStreaming: &server}
	}
	return &descriptorpb.FileDescriptorProto{Name: &name, Package: proto.String("a"), Syntax: proto.String("proto3"), Dependency: imports,
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("In"), Field: []*descriptorpb.FieldDescriptorProto{
			field("name", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING, ""),
			field("in", 2, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".a.In"),
		}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{method("Get", false, false), method("Watch", false, true), method("Send", true, false)}}}}
}

func set(files ...*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorSet {
	return &descriptorpb.FileDescriptorSet{File: files}
}

func encode(files *descriptorpb.FileDescriptorSet, method, json string) ([][]byte, error) {
	m, err := Find(files, "a.S", method)
	if err != nil {
		return nil, err
	}
	return m.Encode([]byte(json))
}

// A stream of the client's is sent a message for each document, as grpcurl does.
func TestEncodeStream(t *testing.T) {
	got, err := encode(set(file("a.proto")), "Send", `{"name":"a"} {}
{"name":"b"}`)
	want := []string{"\n\x01a", "", "\n\x01b"}
	if err != nil || len(got) != 3 || string(got[0]) != want[0] || string(got[1]) != want[1] || string(got[2]) != want[2] {
		t.Errorf("%q, %v", got, err)
	}
	m, _ := Find(set(file("a.proto")), "a.S", "Send")
	if client, server := m.Streams(); !client || server {
		t.Error(client, server)
	}
}

func TestEncode(t *testing.T) {
	me := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "me")
	for json, want := range map[string]string{
		"":                     "",
		`{"name": "me"}`:       string(me),
		`{"in":{"name":"me"}}`: string(protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), me)),
	} {
		if got, err := encode(set(file("a.proto")), "Get", json); err != nil || len(got) != 1 || string(got[0]) != want {
			t.Errorf("%s: %q, %v", json, got, err)
		}
	}
	for _, tc := range []struct{ method, json, want string }{
		{"Get", `{"nam": 1}`, "it is no a.In"}, {"Get", `{"name": 1}`, "it is no a.In"}, {"Get", `nonsense`, "it is no a.In"},
		{"Get", strings.Repeat(`{"in":`, 20_000), "it is no a.In"}, {"Put", "", "has no method Put"}, {"Get", "{} {}", "takes one message"}, {"Watch", "{} {}", "takes one message"},
		{"Send", strings.Repeat("{}", 1001), "more than 1000 messages"},
	} {
		_, err := encode(set(file("a.proto")), tc.method, tc.json)
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, new(*DescriptorError)) {
			t.Errorf("%s %.20s: %v, want %q", tc.method, tc.json, err, tc.want)
		}
	}
}

// Fault 53: descriptors that are missing, cyclic, malformed or deep.
func TestHostileDescriptors(t *testing.T) {
	typed := file("a.proto")
	typed.Service[0].Method[0].InputType = proto.String(".a.Missing")
	noMessage := file("a.proto")
	noMessage.Service[0].Method[0].InputType = proto.String(".a.S")
	deep := file("a.proto")
	inner := deep.MessageType[0]
	for i := range 5000 {
		inner.NestedType = []*descriptorpb.DescriptorProto{{Name: proto.String(fmt.Sprint("N", i))}}
		inner = inner.NestedType[0]
	}
	inner.Name = proto.String("not a name")
	for name, files := range map[string]*descriptorpb.FileDescriptorSet{
		"none": set(), "an import that is missing": set(file("a.proto", "b.proto")), "imports itself": set(file("a.proto", "a.proto")),
		"a cycle": set(file("a.proto", "b.proto"), &descriptorpb.FileDescriptorProto{Name: proto.String("b.proto"), Dependency: []string{"a.proto"}}),
		"twice":   set(file("a.proto"), file("b.proto")), "empty": set(&descriptorpb.FileDescriptorProto{}),
		"a type that is missing": set(typed), "a type that is none": set(noMessage), "deep": set(deep),
	} {
		if _, err := Find(files, "a.S", "Get"); !errors.As(err, new(*DescriptorError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Find(set(file("a.proto")), "a.In", "Get"); !errors.As(err, new(*DescriptorError)) {
		t.Error("a message for a service:", err)
	}
}

// FuzzEncode: no descriptors and no JSON make it panic.
func FuzzEncode(f *testing.F) {
	data, _ := proto.Marshal(set(file("a.proto")))
	f.Add(data, []byte(`{"name":"x"}`))
	f.Fuzz(func(_ *testing.T, data, json []byte) {
		files := &descriptorpb.FileDescriptorSet{}
		if proto.Unmarshal(data, files) == nil {
			if m, err := Find(files, "a.S", "Get"); err == nil {
				_, _ = m.Encode(json)
			}
		}
	})
}
