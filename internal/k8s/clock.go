package k8s

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is the API server's, as its answers' Date tells it: what the cluster
// says of times is never held against this machine's clock.
type clock struct{ ahead atomic.Int64 } // of this machine's, in nanoseconds

// now is the API server's time, a second more or less. Before the first answer
// it is this machine's.
func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// through is a transport that sets the clock.
func (c *clock) through(next http.RoundTripper) http.RoundTripper {
	return dated(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			c.ahead.Store(int64(time.Until(date)))
		}
		return resp, nil
	})
}

type dated func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (d dated) RoundTrip(req *http.Request) (*http.Response, error) { return d(req) }

// Now is the time by the API server's clock, a second more or less.
func (c *Cluster) Now() time.Time {
	if c.clock == nil {
		return time.Now()
	}
	return c.clock.now()
}
