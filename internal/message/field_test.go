package message

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

const reply = `syntax = "proto3"; package r;
message R {
  string name = 1; int32 n = 2; R in = 3; map<string, string> labels = 4; repeated R all = 5; repeated sint64 z = 6;
  enum E { ZERO = 0; ONE = 1; } E e = 7; bytes b = 8; map<int32, R> by = 9; optional int32 maybe = 10; bool t = 11; double d = 12; fixed32 f = 13;
  oneof o { string a = 14; } float fl = 15; repeated string words = 16; sfixed64 sf = 17; uint32 u = 18; string podName = 19;
}
service S { rpc Get(R) returns (R); }`

func replyType(t testing.TB) *Method {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/r.proto", []byte(reply), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Compile(t.Context(), dir+"/r.proto")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Find(set, "r.S", "Get")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestField(t *testing.T) {
	m := replyType(t)
	for _, tc := range []struct{ path, json, want string }{
		{"name", `{"name":"a"}`, "a"}, {"name", `{}`, ""}, {"n", `{}`, "0"}, {"n", `{"n":-3}`, "-3"}, {"in.in.name", `{"in":{"in":{"name":"x"}}}`, "x"},
		{"in.n", `{}`, ""}, {"in.n", `{"in":{}}`, "0"}, {"labels.pod", `{"labels":{"a":"b","pod":"p-1"}}`, "p-1"}, {"labels.pod", `{"labels":{"a":"b"}}`, ""},
		{"all.1.name", `{"all":[{"name":"a"},{"name":"b"}]}`, "b"}, {"all.2.name", `{"all":[{},{}]}`, ""}, {"z.2", `{"z":[1,-2,-3]}`, "-3"}, {"z.3", `{"z":[1,-2,-3]}`, ""},
		{"e", `{"e":"ONE"}`, "ONE"}, {"e", `{}`, "ZERO"}, {"e", `{"e":7}`, "7"}, {"b", `{"b":"aGk="}`, "hi"}, {"b", `{"b":"/w=="}`, "/w=="},
		{"by.7.name", `{"by":{"7":{"name":"x"}}}`, "x"}, {"by.0.name", `{"by":{"0":{"name":"x"}}}`, "x"}, {"maybe", `{}`, ""}, {"maybe", `{"maybe":0}`, "0"}, {"t", `{"t":true}`, "true"},
		{"d", `{"d":1.5}`, "1.5"}, {"f", `{"f":9}`, "9"}, {"a", `{}`, ""}, {"a", `{"a":""}`, ""}, {"fl", `{"fl":0.5}`, "0.5"}, {"words.0", `{"words":["w"]}`, "w"},
		{"sf", `{"sf":"-9"}`, "-9"}, {"u", `{"u":4000000000}`, "4000000000"}, {"podName", `{"podName":"p"}`, "p"},
	} {
		f, err := m.Reply(tc.path)
		if err != nil {
			t.Fatal(tc.path, err)
		}
		encoded, err := m.Encode([]byte(tc.json))
		if err != nil {
			t.Fatal(tc.json, err)
		}
		if got := f.Read(encoded[0]); got != tc.want {
			t.Errorf("%s of %s: %q, want %q", tc.path, tc.json, got, tc.want)
		}
	}
	for path, want := range map[string]string{"": `no field ""`, "gone": `no field "gone"`, "in": "is a r.R: name one", "name.x": "is no message", "labels": "a key of it must follow",
		"all": "an index of it must follow", "all.x": `"x" is no index`, "all.-1": "is no index", "all.0": "name one of its fields", "in.": `no field ""`} {
		if _, err := m.Reply(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

// Two values of a message on the wire are one, merged: the name of the first
// and what the second adds. However many there are, it takes no longer than
// reading them.
func TestFieldMerges(t *testing.T) {
	m := replyType(t)
	f, _ := m.Reply("in.name")
	in := func(payload []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), payload)
	}
	name := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "x")
	other := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)
	if got := f.Read(append(in(name), in(other)...)); got != "x" {
		t.Errorf("merged: %q", got)
	}
	if got := f.Read(append(in(name), 0xff)); got != "" {
		t.Errorf("of a broken message: %q", got)
	}
	many := append([]byte{}, in(name)...)
	for len(many) < 4<<20 {
		many = append(many, in(other)...)
	}
	began := time.Now()
	if got := f.Read(many); got != "x" || time.Since(began) > 5*time.Second {
		t.Errorf("of many: %q in %s", got, time.Since(began))
	}
}

// FuzzField: whatever bytes come, the walk says what protobuf's own decoder says.
func FuzzField(f *testing.F) {
	m := replyType(f)
	for _, seed := range []string{`{"name":"a","in":{"n":1},"labels":{"pod":"p"},"z":[1,2]}`, `{"all":[{"name":"a"},{}],"by":{"7":{"name":"x"}},"e":"ONE"}`, `{"d":1,"fl":2,"f":3,"sf":4,"u":5,"maybe":0,"a":"x"}`} {
		encoded, err := m.Encode([]byte(seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded[0])
	}
	type way struct {
		path string
		read func(r protoreflect.Message) string
	}
	out := m.desc.Output()
	at := func(name protoreflect.Name) protoreflect.FieldDescriptor { return out.Fields().ByName(name) }
	ways := []way{
		{"name", func(r protoreflect.Message) string { return r.Get(at("name")).String() }},
		{"n", func(r protoreflect.Message) string { return fmt.Sprint(r.Get(at("n")).Int()) }},
		{"in.n", func(r protoreflect.Message) string {
			if !r.Has(at("in")) {
				return ""
			}
			return fmt.Sprint(r.Get(at("in")).Message().Get(at("n")).Int())
		}},
		{"labels.pod", func(r protoreflect.Message) string {
			return r.Get(at("labels")).Map().Get(protoreflect.ValueOfString("pod").MapKey()).String()
		}},
		{"z.1", func(r protoreflect.Message) string {
			if l := r.Get(at("z")).List(); l.Len() > 1 {
				return fmt.Sprint(l.Get(1).Int())
			}
			return ""
		}},
		{"all.0.in.name", func(r protoreflect.Message) string {
			l := r.Get(at("all")).List()
			if l.Len() == 0 {
				return ""
			}
			return l.Get(0).Message().Get(at("in")).Message().Get(at("name")).String()
		}},
		{"maybe", func(r protoreflect.Message) string {
			if !r.Has(at("maybe")) {
				return ""
			}
			return fmt.Sprint(r.Get(at("maybe")).Int())
		}},
		{"b", func(r protoreflect.Message) string {
			b := r.Get(at("b")).Bytes()
			if utf8.Valid(b) {
				return string(b)
			}
			return base64.StdEncoding.EncodeToString(b)
		}},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := dynamicpb.NewMessage(out)
		decoded := proto.Unmarshal(data, r) == nil
		for _, w := range ways {
			field, err := m.Reply(w.path)
			if err != nil {
				t.Fatal(err)
			}
			got := field.Read(data)
			if !decoded {
				continue
			}
			want := w.read(r)
			if want == "<nil>" || want == "invalid" {
				want = ""
			}
			if got != want {
				t.Errorf("%s of %x: %q, want %q (%s)", w.path, data, got, want, protojson.Format(r))
			}
		}
	})
}
