package h2

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"
)

// said is what one client makes of one answer.
type said struct {
	Code            codes.Code
	Message         string
	Header, Trailer metadata.MD
	Body            string
	Outcome         Outcome
}

// script is a server that gives the answers in turn, one twice if it refused
// the call: that is made again.
type script struct {
	answers [][]step
	again   bool
	next    int
	initial int64
	grant   uint32
}

func (sc *script) server(payload []byte) *server {
	sc.next, sc.again = 0, false
	return &server{payload: payload, initial: sc.initial, grant: sc.grant, handle: func(s *server, id uint32) {
		if sc.next >= len(sc.answers) {
			s.fault("one call too many")
			return
		}
		steps := sc.answers[sc.next]
		play(s, id, steps)
		if !sc.again && refuses(steps) {
			sc.again = true
			return
		}
		sc.again = false
		sc.next++
	}}
}

// lasts: no call can come after this one.
func lasts(steps []step) bool {
	return slices.ContainsFunc(steps, func(a step) bool {
		return a.Do == "close" || a.Do == "goaway" || a.Do == "garbage" || slices.ContainsFunc(a.Fields, func(f hpack.HeaderField) bool { return f.Name == "huge" })
	})
}

// refuses: the first thing that ends the call is that it is refused.
func refuses(steps []step) bool {
	for _, a := range steps {
		switch a.Do {
		case "reset":
			return a.Code == uint32(http2.ErrCodeRefusedStream)
		case "headers", "zero", "close", "garbage", "goaway":
			return false
		}
	}
	return false
}

// engine makes the calls one by one.
func engine(ctx context.Context, t fataler, addr string, conf Config, n int) (all []said) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c, err := New(ctx, conn, conf)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		b := &batch{left: 1}
		if err := c.Run(ctx, b); err != nil && len(b.got) == 0 {
			all = append(all, said{Code: codes.Unavailable, Outcome: NoAnswer})
			continue
		}
		if len(b.got) != 1 {
			t.Fatalf("%d results of one call", len(b.got))
		}
		r := b.got[0]
		one := said{Code: r.Code, Outcome: r.Outcome}
		switch r.Outcome {
		case Answered:
			one.Message, one.Trailer = r.Message, lists(r.Trailer)
			if one.Header = lists(r.Header); r.Code == codes.OK { // an error that is none has no message
				one.Body, one.Message = string(r.Body), ""
			}
		case Began:
			one.Header = lists(r.Header)
		case NotGRPC, NoAnswer:
		}
		all = append(all, one)
	}
	return all
}

// lists turns what came into what grpc-go hands out.
func lists(list []hpack.HeaderField) metadata.MD {
	md := metadata.MD{}
	for _, f := range list {
		switch f.Name {
		case "grpc-encoding", "grpc-status", "grpc-message", "grpc-message-type", "grpc-timeout", "te":
			continue
		case "content-type":
			if v := read([]hpack.HeaderField{f}); !v.grpc {
				continue
			}
		}
		if strings.HasPrefix(f.Name, ":") && f.Name != ":authority" {
			continue
		}
		if strings.HasSuffix(f.Name, "-bin") {
			f.Value, _ = binary64(f.Value)
		}
		md[f.Name] = append(md[f.Name], f.Value)
	}
	return md
}

// equal compares what both can know: a call that was cut off has no trailers,
// and what a client says of it is in its own words.
func equal(got, want said) string {
	switch got.Outcome {
	case Answered:
		if len(want.Header) == 0 {
			want.Header = metadata.MD{}
		}
	case Began:
		want.Message, want.Trailer = "", nil
	case NotGRPC, NoAnswer:
		want.Message, want.Header, want.Trailer, want.Body = "", nil, nil, ""
	}
	got.Outcome, want.Outcome = 0, 0
	return gocmp.Diff(want, got)
}

// TestSameAsGRPC: call for call, over random answers of a server that does
// right or wrong, the engine and grpc-go say the same.
func TestSameAsGRPC(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		conf := config([]byte(strings.Repeat("p", pick(10, 0, 70_000).Draw(t, "request"))))
		sc := &script{answers: rapid.SliceOfN(genAnswer(), 1, 4).Draw(t, "answers")}
		// What a next call meets after the connection's end is up to chance: the
		// last call may have ended before it.
		if i := slices.IndexFunc(sc.answers, lasts); i >= 0 {
			sc.answers = sc.answers[:i+1]
		}
		if rapid.IntRange(0, 4).Draw(t, "tight") == 0 {
			sc.initial, sc.grant = rapid.Int64Range(0, 100).Draw(t, "initial"), rapid.Uint32Range(900, 30_000).Draw(t, "grant")
		}
		of := func(client func(context.Context, fataler, string, Config, int) []said, ours bool) []said {
			s := sc.server(conf.Payload)
			addr, stop := listen(t, s.serve)
			all := client(context.Background(), t, addr, conf, len(sc.answers))
			stop()
			for _, w := range s.wrong {
				if ours {
					t.Errorf("the client broke a rule: %s", w)
				}
			}
			return all
		}
		want, got := of(reference, false), of(engine, true)
		for i := range want {
			seen[fmt.Sprint(got[i].Code, " ", got[i].Outcome)]++
			if diff := equal(got[i], want[i]); diff != "" {
				t.Fatalf("call %d of %v (-grpc-go +engine), outcome %d, grpc-go's words %q:\n%s", i, sc.answers, got[i].Outcome, want[i].Message, diff)
			}
		}
	})
	if !t.Failed() { // the answers were worth comparing
		for _, kind := range []string{"OK 0", "Internal 1", "Unavailable 3", "Unknown 2"} {
			if seen[kind] == 0 {
				t.Errorf("no call ended with %s: %v", kind, seen)
			}
		}
	}
}

// TestSameTogether: many calls at once, their frames shuffled among each
// other, give the same as one by one.
func TestSameTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		conf := config([]byte("p"))
		conf.InFlight = 1 + random.IntN(30)
		n := conf.InFlight * 5
		var waiting []uint32
		s := &server{handle: func(s *server, id uint32) {
			if waiting = append(waiting, id); len(waiting) < conf.InFlight {
				return
			}
			left := map[uint32][]step{}
			for _, id := range waiting {
				left[id] = answerOf(id)
			}
			for len(waiting) > 0 {
				i := random.IntN(len(waiting))
				id := waiting[i]
				play(s, id, left[id][:1])
				if left[id] = left[id][1:]; len(left[id]) == 0 {
					waiting = slices.Delete(waiting, i, i+1)
				}
			}
		}}
		b, err := run(t, s, conf, n)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(b.got, func(a, b outcome) int { return cmp.Compare(number(a), number(b)) })
		for i, r := range b.got {
			if id := uint32(2*i + 1); number(r) != id || string(r.Body) != fmt.Sprint("body ", id) || r.Code != codes.Code(id%3) {
				t.Fatalf("seed %d: %+v", seed, r.Result)
			}
		}
	}
}

func number(r outcome) (id uint32) {
	_, _ = fmt.Sscan(r.Header[2].Value, &id)
	return id
}

func answerOf(id uint32) []step {
	body := message(0, fmt.Sprint("body ", id))
	steps := []step{{Do: "headers", Fields: fields(":status", "200", "content-type", "application/grpc", "n", fmt.Sprint(id))}}
	for _, b := range body {
		steps = append(steps, step{Do: "data", Data: string([]byte{b})})
	}
	return append(steps, step{Do: "headers", How: how{End: true, Parts: 2}, Fields: fields("grpc-status", fmt.Sprint(id%3), "grpc-message", "m")})
}
