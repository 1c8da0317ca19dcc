package h2

import (
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// step is one thing that a server does in answer to a call.
type step struct {
	Do     string
	Fields []hpack.HeaderField
	How    how
	Data   string
	Code   uint32
}

// String is short enough to read.
func (a step) String() string {
	text := a.Do
	for _, f := range a.Fields {
		text += fmt.Sprintf(" %s=%.12q", f.Name, f.Value)
	}
	return fmt.Sprintf("%s %d %.12q[%d] %+v\n", text, a.Code, a.Data, len(a.Data), a.How)
}

// play does the steps of one answer.
func play(s *server, id uint32, steps []step) {
	for _, a := range steps {
		switch a.Do {
		case "headers":
			s.list(id, a.How, a.Fields...)
		case "data":
			_ = s.WriteDataPadded(id, a.How.End, []byte(a.Data), make([]byte, a.How.Padding))
		case "reset":
			_ = s.WriteRSTStream(id, http2.ErrCode(a.Code))
		case "ping":
			_ = s.WritePing(false, [8]byte{1})
		case "unknown":
			_ = s.WriteRawFrame(77, 3, id, []byte(a.Data))
		case "settings":
			_ = s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: a.Code}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		case "zero":
			_ = s.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4))
		case "goaway":
			last := map[uint32]uint32{0: id, 1: 1<<31 - 1, 2: max(id, 2) - 2}[a.Code%3]
			_ = s.WriteGoAway(last, http2.ErrCodeNo, []byte(a.Data))
		case "garbage":
			_ = s.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, []byte(a.Data))
		case "close": // half of it: a reset would take what is unread with it
			_ = s.conn.(*net.TCPConn).CloseWrite()
		}
	}
}

// The parts of random answers. What is right is likelier than what is not.
func pick[T any](common T, rare ...T) *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T {
		if rapid.IntRange(0, 9).Draw(t, "rare") < 8 {
			return common
		}
		return rapid.SampledFrom(rare).Draw(t, "which")
	})
}

func genHow(end bool) *rapid.Generator[how] {
	return rapid.Custom(func(t *rapid.T) how {
		return how{End: end, Padding: uint8(pick(0, 1, 7, 255).Draw(t, "padding")), Priority: pick(false, true).Draw(t, "priority"), Parts: pick(1, 2, 3, 9).Draw(t, "parts")}
	})
}

func genFields() *rapid.Generator[[]hpack.HeaderField] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) hpack.HeaderField {
		name := rapid.SampledFrom([]string{"a", "b-bin", "x-grpcmesh-backend", "server", "te", "user-agent", "grpc-message-type", "trailer", "date", "long"}).Draw(t, "name")
		value := rapid.SampledFrom([]string{"", "v", "10.0.0.1:50051", "a, b", strings.Repeat("x", 300), "d", "ünï"}).Draw(t, "value")
		if name == "b-bin" {
			if value = base64.StdEncoding.EncodeToString([]byte(value)); rapid.Bool().Draw(t, "raw") {
				value = strings.TrimRight(value, "=")
			}
			value = pick(value, "!", "abc", "a").Draw(t, "bin")
		}
		return pick(hpack.HeaderField{Name: name, Value: value},
			hpack.HeaderField{Name: "Upper", Value: "v"}, hpack.HeaderField{Name: "ctl", Value: "a\x00b"}, hpack.HeaderField{Name: "", Value: "v"},
			hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: ":path", Value: "/"}, hpack.HeaderField{Name: ":odd", Value: "/"},
			hpack.HeaderField{Name: "tab", Value: "a\tb"}, hpack.HeaderField{Name: "sp ace", Value: "v"}, hpack.HeaderField{Name: "secret", Value: "v", Sensitive: true},
			hpack.HeaderField{Name: "huge", Value: strings.Repeat("h", 40_000)}).Draw(t, "field")
	}), 0, 5)
}

func genStatus() *rapid.Generator[[]hpack.HeaderField] {
	return rapid.Custom(func(t *rapid.T) []hpack.HeaderField {
		list := genFields().Draw(t, "more")
		code := rapid.SampledFrom([]string{"0", "0", "0", "5", "12", "14", "16", "99"}).Draw(t, "code")
		if code = pick(code, "", "x", "-1", "99999999999", "none").Draw(t, "status"); code != "none" {
			list = append(list, hpack.HeaderField{Name: "grpc-status", Value: code})
		}
		if rapid.Bool().Draw(t, "says") {
			list = append(list, hpack.HeaderField{Name: "grpc-message", Value: rapid.SampledFrom([]string{"", "no", "100%25", "%zz", "%", "a%2", "%C3%BC"}).Draw(t, "message")})
		}
		for range pick(0, 1, 2).Draw(t, "details") {
			details := rapid.SampledFrom([]string{"CAUSAm5v", "CAASAm5v", "!", "AA", ""}).Draw(t, "detail") // 5 "no", 0 "no"
			list = append(list, hpack.HeaderField{Name: "grpc-status-details-bin", Value: details})
		}
		return list
	})
}

func genAnswer() *rapid.Generator[[]step] {
	return rapid.Custom(func(t *rapid.T) []step {
		var steps []step
		// Once something has come, it is up to grpc-go's goroutines whether a
		// refused call is made again: only a first word may refuse one.
		begun := func() bool { return slices.ContainsFunc(steps, func(a step) bool { return a.Do == "headers" }) }
		reset := func() uint32 {
			code := rapid.Uint32Range(0, 15).Draw(t, "reset")
			if code == uint32(http2.ErrCodeRefusedStream) && begun() {
				return uint32(http2.ErrCodeCancel)
			}
			return code
		}
		goaway := func() uint32 {
			if begun() {
				return rapid.Uint32Range(0, 1).Draw(t, "last")
			}
			return rapid.Uint32Range(0, 2).Draw(t, "last")
		}
		maybe := func() {
			switch rapid.IntRange(0, 40).Draw(t, "between") {
			case 0:
				steps = append(steps, step{Do: "ping"})
			case 1:
				steps = append(steps, step{Do: "unknown", Data: "??"})
			case 2:
				steps = append(steps, step{Do: "settings", Code: rapid.Uint32Range(0, 5000).Draw(t, "table")})
			case 3:
				steps = append(steps, step{Do: "reset", Code: reset()})
			case 4:
				steps = append(steps, step{Do: "goaway", Code: goaway(), Data: "bye"})
			case 5:
				if rapid.IntRange(0, 3).Draw(t, "worse") == 0 {
					steps = append(steps, step{Do: rapid.SampledFrom([]string{"close", "garbage", "zero"}).Draw(t, "bad"), Data: "\xff\xff\xff\xff\xff\xff"})
				}
			}
		}
		start := func() []hpack.HeaderField {
			list := fields(":status", pick("200", "404", "503", "429", "abc", "1", "204").Draw(t, "http"))
			if kind := pick("application/grpc", "application/grpc+proto", "application/grpc;x", "application/grpcx", "text/html", "none", "").Draw(t, "type"); kind != "none" {
				list = append(list, hpack.HeaderField{Name: "content-type", Value: kind})
			}
			return pick(list, list[1:]).Draw(t, "start")
		}
		maybe()
		if rapid.IntRange(0, 9).Draw(t, "informs") == 0 {
			steps = append(steps, step{Do: "headers", How: genHow(pick(false, true).Draw(t, "ends")).Draw(t, "how"), Fields: fields(":status", "103")})
		}
		if rapid.IntRange(0, 3).Draw(t, "trailersOnly") == 0 {
			steps = append(steps, step{Do: "headers", How: genHow(true).Draw(t, "how"), Fields: append(start(), genStatus().Draw(t, "status")...)})
			return steps
		}
		list := append(start(), genFields().Draw(t, "fields")...)
		if encoding := pick("", "identity", "gzip").Draw(t, "encoding"); encoding != "" {
			list = append(list, hpack.HeaderField{Name: "grpc-encoding", Value: encoding})
		}
		steps = append(steps, step{Do: "headers", How: genHow(false).Draw(t, "how"), Fields: list})
		maybe()
		var body []byte
		for range pick(1, 0, 2).Draw(t, "messages") {
			text := rapid.SampledFrom([]string{"", "hello", strings.Repeat("m", 30_000), strings.Repeat("n", 1100)}).Draw(t, "text")
			body = append(body, message(pick(byte(0), 1, 2).Draw(t, "flag"), text)...)
		}
		body = body[:len(body)-min(pick(0, 1, 3, 10).Draw(t, "short"), len(body))]
		if rapid.IntRange(0, 30).Draw(t, "tooLong") == 0 {
			body = []byte{0, 0x7f, 0, 0, 0, 1}
		}
		for len(body) > 0 {
			n := min(rapid.SampledFrom([]int{1, 3, 5, 6, 100, 16000, 16000, 16000}).Draw(t, "cut"), len(body), 16000)
			steps = append(steps, step{Do: "data", Data: string(body[:n]), How: how{Padding: uint8(pick(0, 1, 255).Draw(t, "padding"))}})
			body = body[n:]
			maybe()
			if len(steps) > 12 && len(body) > 0 {
				steps = append(steps, step{Do: "data", Data: string(body[:min(len(body), 16000)])})
				body = body[min(len(body), 16000):]
			}
		}
		switch rapid.IntRange(0, 19).Draw(t, "end") {
		case 0:
			steps = append(steps, step{Do: "data", How: how{End: true}})
		case 1:
			steps = append(steps, step{Do: "reset", Code: reset()})
		case 2:
			steps = append(steps, step{Do: "close"})
		default:
			steps = append(steps, step{Do: "headers", How: genHow(true).Draw(t, "how"), Fields: genStatus().Draw(t, "status")})
		}
		// Whatever came before, the call ends: a reset of a call that is over
		// says nothing.
		return append(steps, step{Do: "reset", Code: uint32(http2.ErrCodeInternal)})
	})
}
