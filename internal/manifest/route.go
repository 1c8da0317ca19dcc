package manifest

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"
)

// Route is what is asked of a route beyond its host and service. The zero value
// leaves everything to the mesh.
type Route struct {
	Timeout       time.Duration     // of a whole call, a stream's too; 0: none
	Retries       *int              // by the gateway, after the first try; nil: as the mesh has it
	PerTryTimeout time.Duration     // 0: only Timeout counts
	MatchHeaders  map[string]string // metadata that a call must have; a value that ends in * is the beginning of one
	LB            string            // ROUND_ROBIN, LEAST_REQUEST, RANDOM or header:NAME; empty: as the mesh has it
	Canary        map[string]int    // percent of the calls by VERSION or LABEL:VALUE of pods; the rest goes to the workload's own
}

// What the gateway retries. The first list is calls that no app has begun, or
// that it asked to be made again by UNAVAILABLE, as gRPC means that code. A try
// that ran out of time ends as a reset in the gateway, or, as Envoy sends the
// time on as grpc-timeout, by a sidecar's DEADLINE_EXCEEDED before that.
const (
	retryOn          = "connect-failure,refused-stream,unavailable"
	retryOnWithTries = retryOn + ",reset,deadline-exceeded"
)

// mostRetries bounds what can be asked for: more multiplies an outage.
const mostRetries = 100

// metadataName is what gRPC allows as the name of a call's metadata.
var metadataName = regexp.MustCompile(`^[0-9a-z_.-]+$`)

// validate reports the first thing that cannot be right, as an *InvalidError.
func (r Route) validate() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"--timeout-per-call", r.Timeout}, {"--per-try-timeout", r.PerTryTimeout}} {
		if d.value < 0 || d.value%time.Millisecond != 0 {
			return &InvalidError{d.flag, d.value.String(), "must be whole milliseconds, 1ms at the least"}
		}
	}
	if r.Retries != nil && (*r.Retries < 0 || *r.Retries > mostRetries) {
		return &InvalidError{"--retries", strconv.Itoa(*r.Retries), "is not a number from 0 to " + strconv.Itoa(mostRetries)}
	}
	if r.PerTryTimeout > 0 {
		switch {
		case r.Retries == nil || *r.Retries == 0:
			return &InvalidError{"--per-try-timeout", r.PerTryTimeout.String(), "needs --retries, 1 at the least"}
		case r.Timeout > 0 && r.PerTryTimeout > r.Timeout:
			return &InvalidError{"--per-try-timeout", r.PerTryTimeout.String(), "is longer than the whole call may take (--timeout-per-call " + r.Timeout.String() + ")"}
		}
	}
	if err := validHeaders(r.MatchHeaders); err != nil {
		return err
	}
	if err := r.validLB(); err != nil {
		return err
	}
	return r.validCanary()
}

func validHeaders(headers map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		invalid := func(reason string) error { return &InvalidError{"--match-header", name + "=" + value, reason} }
		switch {
		case !metadataName.MatchString(name):
			return invalid("the name of gRPC metadata has lower-case letters, digits, '-', '_' and '.' alone")
		case strings.HasSuffix(name, "-bin"):
			return invalid("metadata whose name ends in -bin is binary; match on another")
		case strings.HasPrefix(name, "grpc-"), name == "te", name == "content-type", name == "host", name == "connection":
			return invalid("is gRPC's own, not metadata of the app")
		case strings.HasPrefix(name, "x-grpcmesh-"):
			return invalid("is grpcmesh's own, for its probes")
		case value == "" || value == "*":
			return invalid("must name a value, or the beginning of one: NAME=VALUE or NAME=BEGINNING*")
		case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }):
			return invalid("gRPC carries printable ASCII alone")
		}
	}
	return nil
}

// Metadata is what a call may carry to be one that the route takes; nil: it
// asks for none.
func (r Route) Metadata() map[string]string {
	if len(r.MatchHeaders) == 0 {
		return nil
	}
	metadata := map[string]string{}
	for name, value := range r.MatchHeaders {
		metadata[name] = strings.TrimSuffix(value, "*")
	}
	return metadata
}

// Headers are the conditions on a call's metadata as Istio has them; nil: none.
func (r Route) Headers() map[string]*networking.StringMatch {
	if len(r.MatchHeaders) == 0 {
		return nil
	}
	headers := map[string]*networking.StringMatch{}
	for name, value := range r.MatchHeaders {
		headers[name] = &networking.StringMatch{MatchType: &networking.StringMatch_Exact{Exact: value}}
		if beginning, ok := strings.CutSuffix(value, "*"); ok {
			headers[name] = &networking.StringMatch{MatchType: &networking.StringMatch_Prefix{Prefix: beginning}}
		}
	}
	return headers
}

// govern puts into a rule how its calls are made.
func (r Route) govern(rule *networking.HTTPRoute) {
	if r.Timeout > 0 {
		rule.Timeout = durationpb.New(r.Timeout)
	}
	if r.Retries == nil {
		return
	}
	rule.Retries = &networking.HTTPRetry{Attempts: int32(*r.Retries)} // no attempts turn retries off
	if *r.Retries > 0 {
		rule.Retries.RetryOn = retryOn
	}
	if r.PerTryTimeout > 0 {
		rule.Retries.PerTryTimeout, rule.Retries.RetryOn = durationpb.New(r.PerTryTimeout), retryOnWithTries
	}
}

// TakesAll says whether the exposure's route takes every call to its host; it
// then goes behind all others of that host.
func (e Exposure) TakesAll() bool { return len(e.MatchServices) == 0 && len(e.Route.MatchHeaders) == 0 }

// match is what the exposure's rule asks of a call: one of the services, and
// all of the headers. nil: nothing.
func (e Exposure) match() []*networking.HTTPMatchRequest {
	if e.TakesAll() {
		return nil
	}
	if len(e.MatchServices) == 0 {
		return []*networking.HTTPMatchRequest{{Headers: e.Route.Headers()}}
	}
	var match []*networking.HTTPMatchRequest
	for _, service := range e.MatchServices {
		match = append(match, &networking.HTTPMatchRequest{
			Uri:     &networking.StringMatch{MatchType: &networking.StringMatch_Prefix{Prefix: "/" + service + "/"}},
			Headers: e.Route.Headers(),
		})
	}
	return match
}

// AutoServices asks for the services to be read from the app, by reflection.
const AutoServices = "auto"

// Services are the gRPC services that the Intent names, nil where it names none
// or leaves them to be read.
func (i Intent) Services() []string {
	if i.MatchService == "" || i.MatchService == AutoServices {
		return nil
	}
	return strings.Split(i.MatchService, ",")
}

// validServices reports the first of the names that can be no gRPC service's.
func (i Intent) validServices() error {
	services := i.Services()
	for n, s := range services {
		switch {
		case s == AutoServices:
			return &InvalidError{"--match-service", i.MatchService, "auto stands alone: it is every service that the app has"}
		case !protoName.MatchString(s):
			return &InvalidError{"--match-service", i.MatchService, "is not the full name of a gRPC service, such as helloworld.Greeter, nor several by commas, nor auto"}
		case slices.Contains(services[:n], s):
			return &InvalidError{"--match-service", i.MatchService, s + " is named twice"}
		}
	}
	return nil
}

// route is what a document asks of the route.
func (d document) route() (Route, error) {
	s := d.Spec
	r := Route{Retries: s.Retries, MatchHeaders: s.MatchHeaders, LB: s.LB, Canary: s.Canary}
	for _, f := range []struct {
		field, text string
		to          *time.Duration
	}{{"spec.timeoutPerCall", s.TimeoutPerCall, &r.Timeout}, {"spec.perTryTimeout", s.PerTryTimeout, &r.PerTryTimeout}} {
		if f.text == "" {
			continue
		}
		var err error
		if *f.to, err = time.ParseDuration(f.text); err != nil {
			return Route{}, &InvalidError{f.field, f.text, "is no duration, such as 500ms or 2s"}
		}
	}
	return r, nil
}
