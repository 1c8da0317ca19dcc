package manifest

import (
	"fmt"
	"strings"
)

// InvalidError says that what the user asked for cannot be right whatever the
// cluster holds: a bad name, port, host or combination of flags. Nothing has
// been read or written when it is returned.
type InvalidError struct {
	Field  string // the flag or field at fault, as the user writes it: "--host"
	Value  string // what was given
	Reason string // what is wrong with it and what would be right
}

// Error is one line: field, value, reason.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Reason)
}

// TargetError says that the thing asked for is missing, or that several fit
// and grpcmesh won't guess. Candidates lists what there is to choose from.
type TargetError struct {
	Code       string // of package finding; or ""
	What       string // "no workload in namespace test", "2 ingress gateways"
	Candidates []string
	Hint       string // what to do next
}

// Error names what is missing or ambiguous, then the candidates one a line,
// then the way on.
func (e *TargetError) Error() string {
	var b strings.Builder
	b.WriteString(WithCode(e.Code, e.What))
	for _, c := range e.Candidates {
		b.WriteString("\n  " + c)
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint)
	}
	return b.String()
}

// WithCode is an error's text behind its code, where it has one.
func WithCode(code, text string) string {
	if code == "" {
		return text
	}
	return code + ": " + text
}
