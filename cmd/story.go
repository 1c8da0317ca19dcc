package cmd

import (
	"strings"

	"grpcmesh/internal/check"
	"grpcmesh/internal/finding"
	"grpcmesh/internal/report"
)

// storyOf is all that is to be told of a code, of the preflight or of verify.
func storyOf(code string) (*report.Story, bool) {
	code = strings.ToUpper(code)
	s := &report.Story{Code: code}
	for _, c := range finding.Codes() {
		if c.Code == code {
			s.Meaning, s.Istio = c.Meaning, c.Istio
			s.Effect = "a warning of expose and doctor"
			if c.Severity == finding.Error {
				s.Effect = "an error of expose, before the first write, and of doctor"
			}
		}
	}
	for _, c := range check.Codes() {
		if c.Code == code {
			s.Meaning = c.Meaning
			s.Effect = map[check.Verdict]string{check.Pass: "of verify; it leaves the verdict as it is", check.Fail: "of verify: the verdict is FAIL", check.Inconclusive: "of verify: the verdict is INCONCLUSIVE"}[c.Verdict]
		}
	}
	var ok bool
	s.Story, ok = finding.StoryOf(code)
	return s, ok && s.Meaning != ""
}
