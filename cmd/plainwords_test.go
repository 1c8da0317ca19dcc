package cmd

import (
	"strings"
	"testing"
)

// What is refused is said in words that name the flag, and what to give instead.
func TestRefusedPlainly(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, tc := range []struct{ args, want string }{
		{"--addr 127.0.0.1:1 --control never", "--control=never"},
		{"--addr 127.0.0.1:1 thing", `takes no argument, and was given "thing"`},
		{"-f x.yaml --all", "--all takes what a namespace exposes"},
		{"-f x.yaml --path /a.B/C", "--path is for one service"},
		{"--addr 127.0.0.1:1 --samples -", "--samples"},
		{"--addr 127.0.0.1:1 --report json=-", "name a file"},
		{"--addr 127.0.0.1:1 --report json=a --report junit=./a", "one would overwrite the other"},
		{"--addr 127.0.0.1:1 --samples a --report junit=a", "one would overwrite the other"},
		{"--addr 127.0.0.1:1 --call a.B/C --data @nothing", "--data: "},
	} {
		var out, words strings.Builder
		code := Execute(t.Context(), append([]string{"verify"}, strings.Fields(tc.args)...), IO{In: strings.NewReader(""), Out: &out, Err: &words})
		if code != exitUsage && code != exitError || !strings.Contains(words.String(), tc.want) || strings.Contains(words.String(), "unknown command") {
			t.Errorf("%s: exit %d, %s; want %q", tc.args, code, words.String(), tc.want)
		}
	}
}
