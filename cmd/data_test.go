package cmd

import (
	"strings"
	"testing"
)

// TestDataOfStdin: a message that is too long is refused, not cut.
func TestDataOfStdin(t *testing.T) {
	for n, want := range map[int]string{mostData: "", mostData + 1: "over 4 MiB"} {
		data, err := dataOf(IO{In: strings.NewReader(strings.Repeat("x", n))}, "@-")
		if want == "" && (err != nil || len(data) != n) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: %d, %v", n, len(data), err)
		}
	}
}
