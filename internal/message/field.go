package message

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Field reads one value out of encoded messages of one type. It walks the bytes
// and builds nothing, so that no message can make it spend more than it is long.
type Field struct{ steps []step }

// step is one field on the way, and which of its values: of a map the one of a
// key, of a list the one at an index.
type step struct {
	field protoreflect.FieldDescriptor
	key   string
	index int
}

// FieldOf finds the way to a field by its path: names of fields with dots between
// them, and behind a map or a list a key or an index: "pod.labels.zone",
// "pods.0.name". A path that does not lead to a single value is an error that
// says which part of it.
func FieldOf(in protoreflect.MessageDescriptor, path string) (*Field, error) {
	f, words := &Field{}, strings.Split(path, ".")
	for i := 0; ; i++ {
		fd := in.Fields().ByName(protoreflect.Name(words[i]))
		if fd == nil {
			fd = in.Fields().ByJSONName(words[i])
		}
		switch {
		case fd == nil:
			return nil, fmt.Errorf("%s has no field %q", in.FullName(), words[i])
		case fd.Kind() == protoreflect.GroupKind:
			return nil, fmt.Errorf("%s of %s is a group, which is not looked into", words[i], in.FullName())
		}
		s, value := step{field: fd}, fd
		if fd.IsMap() || fd.IsList() {
			what := "a list: an index"
			if fd.IsMap() {
				what, value = "a map: a key", fd.MapValue()
			}
			if i++; i == len(words) {
				return nil, fmt.Errorf("%s of %s is %s of it must follow, as in %s.0", fd.Name(), in.FullName(), what, fd.Name())
			}
			s.key = words[i]
			var err error
			if s.index, err = strconv.Atoi(s.key); fd.IsList() && (err != nil || s.index < 0) {
				return nil, fmt.Errorf("%s of %s is a list, and %q is no index of it", fd.Name(), in.FullName(), s.key)
			}
		}
		f.steps = append(f.steps, s)
		message := value.Message()
		last := i == len(words)-1
		switch {
		case last && message == nil:
			return f, nil
		case last:
			return nil, fmt.Errorf("%s is a %s: name one of its fields", path, message.FullName())
		case message == nil:
			return nil, fmt.Errorf("%s of %s is no message, and has no %q", fd.Name(), in.FullName(), words[i+1])
		}
		in = message
	}
}

// Read is the value as text: of an enum the name, of bytes the text if they are
// such, else base64. "" where the message has none, or is no such message.
func (f *Field) Read(message []byte) string {
	for _, s := range f.steps {
		field := s.field
		var value []byte
		var ok bool
		switch {
		case field.IsMap():
			value, ok = entry(message, field, s.key)
			field = field.MapValue()
		case field.IsList():
			value, ok = element(message, field, s.index)
		default:
			value, ok = single(message, field)
		}
		if field.Message() == nil {
			return text(field, value, ok, s.field == field && !field.HasPresence() && !field.IsList())
		}
		if !ok {
			return ""
		}
		message = value
	}
	return ""
}

// each hands over the values of one field in order: the payload of what is
// length-delimited, the bytes of what is not; false if the message is broken.
func each(message []byte, number protowire.Number, do func(kind protowire.Type, value []byte)) bool {
	for len(message) > 0 {
		n, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return false
		}
		message = message[tag:]
		size := protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return false
		}
		if n == number {
			value := message[:size]
			if kind == protowire.BytesType {
				value, _ = protowire.ConsumeBytes(message)
			}
			do(kind, value)
		}
		message = message[size:]
	}
	return true
}

// single is the last value, or of a message all of them one after another, which
// is what merges them.
func single(message []byte, field protoreflect.FieldDescriptor) (value []byte, ok bool) {
	own := false // value is no longer a part of the message
	whole := each(message, field.Number(), func(kind protowire.Type, v []byte) {
		switch {
		case kind != wireType(field.Kind()):
		case ok && field.Message() != nil:
			if !own {
				value, own = append([]byte{}, value...), true
			}
			value = append(value, v...)
		default:
			value, ok = v, true
		}
	})
	return value, ok && whole
}

// element is the value at an index, of a list that may be packed.
func element(message []byte, field protoreflect.FieldDescriptor, index int) (value []byte, ok bool) {
	want, at := wireType(field.Kind()), 0
	take := func(v []byte) {
		if at == index {
			value, ok = v, true
		}
		at++
	}
	whole := each(message, field.Number(), func(kind protowire.Type, v []byte) {
		switch kind {
		case want:
			take(v)
		case protowire.BytesType: // packed
			for len(v) > 0 {
				n := protowire.ConsumeFieldValue(field.Number(), want, v)
				if n < 0 {
					return
				}
				take(v[:n])
				v = v[n:]
			}
		}
	})
	return value, ok && whole
}

// entry is the value of the last entry of a map that has the key.
func entry(message []byte, field protoreflect.FieldDescriptor, key string) (value []byte, ok bool) {
	whole := each(message, field.Number(), func(kind protowire.Type, e []byte) {
		if kind != protowire.BytesType {
			return
		}
		k, has := single(e, field.MapKey())
		if text(field.MapKey(), k, has, true) == key {
			value, _ = single(e, field.MapValue())
			ok = true // an entry without a value has the default one
		}
	})
	return value, ok && whole
}

// text is a value in words. Where there is none it is the default one, if that
// is what the absence means.
func text(field protoreflect.FieldDescriptor, value []byte, ok, implicit bool) string {
	if !ok && !implicit {
		return ""
	}
	var n uint64
	switch wireType(field.Kind()) {
	case protowire.VarintType:
		n, _ = protowire.ConsumeVarint(value)
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(value)
		n = uint64(v)
	case protowire.Fixed64Type:
		n, _ = protowire.ConsumeFixed64(value)
	default:
	}
	switch field.Kind() { //nolint:exhaustive // the others are whole numbers
	case protoreflect.StringKind:
		return string(value)
	case protoreflect.BytesKind:
		if utf8.Valid(value) {
			return string(value)
		}
		return base64.StdEncoding.EncodeToString(value)
	case protoreflect.BoolKind:
		return strconv.FormatBool(n != 0)
	case protoreflect.EnumKind:
		if v := field.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(n))); v != nil {
			return string(v.Name())
		}
		return strconv.Itoa(int(int32(n)))
	case protoreflect.FloatKind:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(n))), 'g', -1, 32)
	case protoreflect.DoubleKind:
		return strconv.FormatFloat(math.Float64frombits(n), 'g', -1, 64)
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return strconv.FormatInt(protowire.DecodeZigZag(n), 10)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return strconv.Itoa(int(int32(n)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return strconv.FormatInt(int64(n), 10)
	case protoreflect.Uint32Kind:
		n = uint64(uint32(n))
	}
	return strconv.FormatUint(n, 10)
}

func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind { //nolint:exhaustive // the others are varints
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	}
	return protowire.VarintType
}
