package istio

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// Call is a gRPC call as a gateway sees it.
type Call struct {
	Path      string // :path
	Authority string // :authority, with its port if the client sends one
	TLS       bool
	Metadata  map[string]string // by lower-case names
}

// Taken is what a table makes of a call.
type Taken struct {
	Entry Entry
	OK    bool // an entry takes it
	// Unsure is why it can't be told from the objects alone, or "".
	Unsure string
	// OnlyWith are the entries before that one which the call would be taken
	// by, had it the metadata that they ask for.
	OnlyWith []Asks
}

// Asks is an entry with what it asks of a call beside its path, in words.
type Asks struct {
	Entry Entry
	What  string // "header x-user"
}

// Take follows a call through the table, as Envoy does: the first entry that
// it meets takes it.
func (t Table) Take(c Call) Taken {
	var taken Taken
	for _, e := range t {
		met, what := meetsAll(e.match, c)
		switch met {
		case yes:
			taken.Entry, taken.OK = e, true
			return taken
		case maybe:
			if taken.Unsure == "" {
				taken.Unsure = e.String() + " asks for " + what
			}
		case withMetadata:
			taken.OnlyWith = append(taken.OnlyWith, Asks{e, what})
		case no:
		}
	}
	return taken
}

// met says how a call stands to a match; the later, the less is known.
type met int

const (
	yes          met = iota
	withMetadata     // it would, with metadata that it does not carry
	maybe            // it depends on what the gateway adds or the client is
	no
)

func meetsAll(all []*networking.HTTPMatchRequest, c Call) (met, string) {
	worst, why := yes, ""
	for _, m := range all {
		if got, what := meets(m, c); got > worst {
			worst, why = got, what
		}
	}
	return worst, why
}

func meets(m *networking.HTTPMatchRequest, c Call) (met, string) {
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	for _, field := range []struct {
		match *networking.StringMatch
		value string
		fold  bool
	}{{m.Uri, c.Path, m.IgnoreUriCase}, {m.Method, "POST", false}, {m.Scheme, scheme, false}} {
		if field.match != nil && !fits(field.match, field.value, field.fold) {
			return no, ""
		}
	}
	if len(m.QueryParams) > 0 {
		return no, "" // a gRPC path has none
	}
	worst, why := yes, ""
	note := func(got met, what string) {
		if got > worst {
			worst, why = got, what
		}
	}
	if m.Authority != nil {
		host, _, _ := strings.Cut(c.Authority, ":")
		bare, whole := fits(m.Authority, host, false), fits(m.Authority, c.Authority, false)
		switch {
		case !bare && !whole:
			return no, ""
		case bare != whole:
			note(maybe, "the authority with or without its port")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		got, what := c.meetsHeader(name, m.Headers[name], false)
		note(got, what)
	}
	for _, name := range slices.Sorted(maps.Keys(m.WithoutHeaders)) {
		got, what := c.meetsHeader(name, m.WithoutHeaders[name], true)
		note(got, what)
	}
	return worst, why
}

// meetsHeader looks at one header of a match. Of what every gRPC call carries,
// and of the call's metadata, the value is known, of what the gateway or the
// client adds nothing is, and any other is metadata that the call has not.
func (c Call) meetsHeader(name string, m *networking.StringMatch, without bool) (met, string) {
	name = strings.ToLower(name)
	known := map[string]string{"content-type": "application/grpc", "te": "trailers", ":method": "POST"}
	value, ok := known[name]
	if given, is := c.Metadata[name]; is && !ok {
		value, ok = given, true
	}
	added := slices.ContainsFunc([]string{":", "x-forwarded-", "x-request-id", "x-envoy-", "user-agent", "grpc-", "x-b3-", "traceparent"}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
	switch {
	case ok && fits(m, value, false) != without:
		return yes, ""
	case ok:
		return no, ""
	case added:
		return maybe, "header " + name
	case without:
		return yes, "" // absent, as asked
	}
	return withMetadata, "header " + name
}

// fits says whether a value is what the match asks for; one that asks for
// nothing is content with any.
func fits(m *networking.StringMatch, value string, fold bool) bool {
	same := func(s string) string {
		if fold {
			return strings.ToLower(s)
		}
		return s
	}
	switch how := m.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		return same(value) == same(how.Exact)
	case *networking.StringMatch_Prefix:
		return strings.HasPrefix(same(value), same(how.Prefix))
	case *networking.StringMatch_Regex:
		re, err := regexp.Compile("^(?:" + how.Regex + ")$") // RE2 in both, over the whole value
		return err == nil && re.MatchString(value)
	}
	return true
}
