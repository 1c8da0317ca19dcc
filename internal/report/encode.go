package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"sigs.k8s.io/yaml"
)

// JSON writes a document as indented JSON, with a newline at its end. What
// Clean would write out is written as JSON's own escapes, and so reads back as
// it was: a document may be shown on a terminal.
func JSON(w io.Writer, doc any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(b.String()))
	return err
}

// escaped is valid JSON of the same meaning: outside of strings it has no
// such characters but the ends of lines.
func escaped(s string) string {
	acts := func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
	if !strings.ContainsFunc(s, acts) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !acts(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// YAML writes a document as YAML, by way of its JSON form.
func YAML(w io.Writer, doc any) error {
	b, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// YAMLStream writes documents one after another, as kubectl reads them.
func YAMLStream(w io.Writer, docs []any) error {
	for i, doc := range docs {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if err := YAML(w, doc); err != nil {
			return err
		}
	}
	return nil
}
