package finding

import (
	_ "embed" // the stories
	"strings"
)

// stories has a section for each code, of verify's too, with three paragraphs
// that begin "Cause:", "See:" and "Mend:".
//
//go:embed stories.md
var stories string

// Story is what is known of a code beside its meaning.
type Story struct {
	Cause string `json:"cause"` // how it comes about
	See   string `json:"see"`   // how to see it by hand
	Mend  string `json:"mend"`
}

// StoryOf is the story of a code, GM1xx or GM2xx.
func StoryOf(code string) (Story, bool) {
	_, rest, ok := strings.Cut(stories, "\n## "+code+"\n")
	if !ok {
		return Story{}, false
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var s Story
	for part := range strings.SplitSeq(strings.TrimSpace(rest), "\n\n") {
		head, text, _ := strings.Cut(part, ":")
		text = strings.TrimSpace(text)
		switch head {
		case "Cause":
			s.Cause = text
		case "See":
			s.See = text
		case "Mend":
			s.Mend = text
		}
	}
	return s, true
}

// Told are the codes that have a story, in order.
func Told() []string {
	var codes []string
	for line := range strings.SplitSeq(stories, "\n") {
		if code, ok := strings.CutPrefix(line, "## "); ok {
			codes = append(codes, code)
		}
	}
	return codes
}
