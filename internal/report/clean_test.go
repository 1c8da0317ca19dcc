package report

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"plain", "server-a 100 %", "server-a 100 %"},
		{"letters of every script", "Grüße, 世界, שלום, 🚀", "Grüße, 世界, שלום, 🚀"},
		{"empty", "", ""},
		{"colours", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"the clipboard, OSC 52", "\x1b]52;c;eA==\a", `\x1b]52;c;eA==\x07`},
		{"a line written over", "FAIL\rPASS", `FAIL\x0dPASS`},
		{"a line of one's own", "x\nPASS", `x\x0aPASS`},
		{"tab and backspace", "a\tb\b", `a\x09b\x08`},
		{"NUL", "a\x00b", `a\x00b`},
		{"DEL", "a\x7fb", `a\x7fb`},
		{"C1: CSI in one character", "\u009b31m", `\u009b31m`},
		{"C1: next line", "a\u0085b", `a\u0085b`},
		{"C1 as a bare byte", "\x9b31m", `\x9b31m`},
		{"bidi override", "a\u202eb\u202c", `a\u202eb\u202c`},
		{"bidi isolate", "\u2066a\u2069", `\u2066a\u2069`},
		{"bidi marks", "\u200e\u200f\u061c", `\u200e\u200f\u061c`},
		{"invisible", "a\u200bb\ufeff", `a\u200bb\ufeff`},
		{"line and paragraph separator", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"bad UTF-8", "a\xffb\xc3", `a\xffb\xc3`},
		{"an overlong slash", "\xc0\xaf", `\xc0\xaf`},
		{"half a surrogate pair", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"the replacement character itself", "a\uFFFDb", "a\uFFFDb"},
	} {
		if got := Clean(c.in); got != c.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "server", "\x1b]52;c;eA==\a", "\u202e\u2066\u061c", "\x9b\xff\xed\xa0\x80", "\uFFFD\xef\xbf", "\U000e0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) = %q, which is no UTF-8", s, got)
		}
		safe := true
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("Clean(%q) = %q holds %U", s, got, r)
			}
		}
		for _, r := range s {
			safe = safe && unicode.IsGraphic(r) && r != utf8.RuneError
		}
		if safe && got != s {
			t.Fatalf("Clean(%q) = %q; there was nothing to clean", s, got)
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean twice: %q, then %q", got, again)
		}
	})
}
