package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What is asked again, with which body, and when the server's last answer is the
// answer.
func TestPatient(t *testing.T) {
	t.Parallel()
	hook := `Internal error occurred: failed calling webhook "x.example.com": EOF`
	for _, tc := range []struct {
		name    string
		answers []int // the last one goes on
		message string
		header  string
		path    string
		within  time.Duration
		tries   int
		code    int
	}{
		{name: "at once", answers: []int{200}, tries: 1, code: 200},
		{name: "each that may pass", answers: []int{429, 500, 502, 503, 504, 200}, tries: 6, code: 200},
		{name: "a refusal", answers: []int{403}, tries: 1, code: 403},
		{name: "a conflict", answers: []int{409}, tries: 1, code: 409},
		{name: "what the server does not do", answers: []int{501}, tries: 1, code: 501},
		{name: "the server names the time", answers: []int{503}, header: "1", tries: 1, code: 503},
		{name: "to the deadline", answers: []int{503}, within: 1500 * time.Millisecond, tries: 3, code: 503},
		{name: "a webhook that is broken", answers: []int{500}, message: hook, tries: hookTries, code: 500},
		{name: "a stream", answers: []int{503}, path: "/api/v1/namespaces/a/pods/b/portforward", tries: 1, code: 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				code := tc.answers[min(tries, len(tc.answers)-1)]
				tries++
				if body, _ := io.ReadAll(r.Body); string(body) != "asked" {
					t.Errorf("try %d has the body %q", tries, body)
				}
				if tc.header != "" {
					w.Header().Set("Retry-After", tc.header)
				}
				w.WriteHeader(code)
				_, _ = fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Status","message":%q}`, tc.message)
			}))
			defer server.Close()
			ctx := t.Context()
			if tc.within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tc.within)
				defer cancel()
			}
			var told []string
			req, err := http.NewRequestWithContext(ctx, http.MethodPatch, server.URL+tc.path, strings.NewReader("asked"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&patient{next: server.Client().Transport, tell: once(func(s string) { told = append(told, s) })}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(body) != fmt.Sprintf(`{"apiVersion":"v1","kind":"Status","message":%q}`, tc.message) {
				t.Errorf("the answer reads %q, %v", body, err)
			}
			atLeast := tc.tries
			if tc.within > 0 { // how often is by chance
				atLeast, tries = 2, min(tries, 4)
			}
			if tries < atLeast || tc.within == 0 && tries != tc.tries || resp.StatusCode != tc.code {
				t.Errorf("%d tries, then %d; want %d, then %d", tries, resp.StatusCode, tc.tries, tc.code)
			}
			if (tries > 1) != (len(told) > 0) || tc.message != "" && len(told) != 1 {
				t.Errorf("told %q", told)
			}
		})
	}
}

// A context that ends between two tries ends them.
func TestPatientEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&patient{next: server.Client().Transport, tell: func(string) { cancel() }}).RoundTrip(req)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The server's clock is taken from its answers.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Hour, 0, 48 * time.Hour} {
		c := &Cluster{clock: &clock{}}
		if off := time.Until(c.Now()).Abs(); off > time.Second {
			t.Errorf("before any answer it is off by %s", off)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		}))
		resp, err := (&http.Client{Transport: c.clock.through(server.Client().Transport)}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		server.Close()
		if off := (time.Until(c.Now()) - ahead).Abs(); off > 2*time.Second {
			t.Errorf("%s ahead: off by %s", ahead, off)
		}
	}
}
