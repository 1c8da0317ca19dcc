package cmd

import (
	"strings"
	"testing"

	"grpcmesh/internal/check"
	"grpcmesh/internal/finding"
)

// TestStories: each code of both catalogues has its whole story, and tells it in
// text; no code has one that is not listed.
func TestStories(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, c := range finding.Codes() {
		codes = append(codes, c.Code)
	}
	for _, c := range check.Codes() {
		codes = append(codes, c.Code)
	}
	for _, code := range codes {
		s, ok := storyOf(strings.ToLower(code))
		if !ok || s.Meaning == "" || s.Effect == "" || s.Cause == "" || s.See == "" || s.Mend == "" {
			t.Errorf("%s: its story lacks something (give it a section in internal/finding/stories.md): %+v", code, s)
			continue
		}
		var b strings.Builder
		if err := s.Text(&b); err != nil || !strings.HasPrefix(b.String(), code+"  "+s.Meaning) || !strings.Contains(b.String(), "\n  "+s.Mend) {
			t.Errorf("%s: %v\n%s", code, err, &b)
		}
	}
	if told := finding.Told(); strings.Join(told, " ") != strings.Join(codes, " ") {
		t.Errorf("the stories are of %v\nand the codes are  %v", told, codes)
	}
	for _, code := range []string{"GM100", "GM1", "", "GM101\n"} {
		if s, ok := storyOf(code); ok {
			t.Errorf("%q has a story: %+v", code, s)
		}
	}
}
