package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestJSONOnATerminal: nothing in it acts on a terminal, and all reads back as it was.
func TestJSONOnATerminal(t *testing.T) {
	for _, s := range []string{"a\u009b31m\u202eb\u2066\x7f\x1b]52;c;x\x07", "\U000e0041 tag", "plain é 中\n"} {
		var b bytes.Buffer
		if err := JSON(&b, map[string]string{s: s}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\u009b\u202e\u2066\x7f\x1b\x07\U000e0041") || !strings.HasSuffix(b.String(), "\n") {
			t.Errorf("%q", b.String())
		}
		var read map[string]string
		if err := json.Unmarshal(b.Bytes(), &read); err != nil || read[s] != s {
			t.Errorf("%q became %q, %v", s, read, err)
		}
	}
}
