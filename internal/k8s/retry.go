package k8s

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/typed"
)

const (
	// The pauses before the API server is asked again double from the first to
	// the last, and are cut by up to a half at random.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// patience is how long is asked again where the run has no deadline.
	patience = time.Minute
	// hookTries is how often is asked what a webhook fails in: it may be in the
	// middle of a restart, but that it is broken is told rather than waited out.
	hookTries = 6
	hookFails = "failed calling webhook"
	// wordsRead is how much of an answer is looked at for the server's words.
	wordsRead = 64 << 10
)

// patient is a transport that asks again, to the request's deadline, what the
// API server can't answer just now: 429, 500, 502, 503 and 504. Where the server
// says when to ask again (Retry-After), client-go does it. A write that is asked
// for again and had been carried out is found by the resourceVersion or
// precondition that it carries.
type patient struct {
	next http.RoundTripper
	tell func(string)
}

// RoundTrip implements http.RoundTripper. Where the deadline is nearer than the
// next try, the server's last answer is the answer.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	end, ok := req.Context().Deadline()
	if !ok {
		end = time.Now().Add(patience)
	}
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, lastPause) {
		resp, err := p.next.RoundTrip(req)
		if err != nil || !passing(req, resp) {
			return resp, err
		}
		words := statusWords(resp)
		wait := pause - rand.N(pause/2) //nolint:gosec // only to keep clients out of step
		if strings.Contains(words, hookFails) && try == hookTries || time.Now().Add(wait).After(end) {
			return resp, nil
		}
		again, ok := rewound(req)
		if !ok {
			return resp, nil
		}
		_ = resp.Body.Close()
		p.tell(fmt.Sprintf("the API server answers %d: %s; asking again", resp.StatusCode, words))
		select {
		case <-time.After(wait):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
		req = again
	}
}

// passing says whether the answer may be another in a moment. What is upgraded
// to a stream can't be asked twice.
func passing(req *http.Request, resp *http.Response) bool {
	if resp.Header.Get("Retry-After") != "" || strings.HasSuffix(req.URL.Path, "/portforward") {
		return false
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// rewound is the request with its body from the start.
func rewound(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	again := req.Clone(req.Context())
	again.Body = body
	return again, true
}

// statusWords is what the answer says of itself. It can still be read.
func statusWords(resp *http.Response) string {
	head, err := io.ReadAll(io.LimitReader(resp.Body, wordsRead))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failing{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), resp.Body}
	words := ""
	if obj, _, err := typed.Codecs().UniversalDeserializer().Decode(head, nil, nil); err == nil { // JSON or protobuf
		if status, ok := obj.(*metav1.Status); ok {
			words = status.Message
		}
	}
	return cmp.Or(words, http.StatusText(resp.StatusCode))
}

// failing gives the error at every read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// once is tell, which may be nil, without what it was told before.
func once(tell func(string)) func(string) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(words string) {
		mu.Lock()
		defer mu.Unlock()
		if tell != nil && !told[words] {
			told[words] = true
			tell(words)
		}
	}
}
