package istio

import (
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// With are the entries that calls with the metadata may meet, whatever their
// path, in order: behind the first that surely takes them all there are none.
func (t Table) With(metadata map[string]string) Table {
	var left Table
	for _, e := range t {
		switch met := e.admits(metadata); {
		case met > maybe || met == withMetadata:
		case met == yes && e.ofAnyMetadata().TakesAll():
			return append(left, e)
		default:
			left = append(left, e)
		}
	}
	return left
}

// admits says how calls with the metadata stand to the entry, were they of the
// right path.
func (e Entry) admits(metadata map[string]string) met {
	c, worst := Call{Metadata: metadata}, yes
	for _, m := range e.match {
		for _, of := range []struct {
			headers map[string]*networking.StringMatch
			without bool
		}{{m.Headers, false}, {m.WithoutHeaders, true}} {
			for name, value := range of.headers {
				got, _ := c.meetsHeader(name, value, of.without)
				worst = max(worst, got)
			}
		}
	}
	return worst
}

// ofAnyMetadata is the entry as it would be if it did not look at metadata.
func (e Entry) ofAnyMetadata() Entry {
	e.match = slices.Clone(e.match)
	for i, m := range e.match {
		e.match[i] = m.DeepCopy()
		e.match[i].Headers, e.match[i].WithoutHeaders = nil, nil
	}
	return e
}

// Asked are the names of the metadata that the entry asks for, in lower case,
// sorted.
func (e Entry) Asked() []string {
	names := map[string]bool{}
	for _, m := range e.match {
		for name := range m.Headers {
			names[strings.ToLower(name)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
