package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFaultsAreTested: every fault that a command may meet has a test which says
// so by its number, in a comment "faults: 12, 13" before a Go test or in a script.
func TestFaultsAreTested(t *testing.T) {
	t.Parallel()
	mark := regexp.MustCompile(`(?m)^(?://|#) faults: ([0-9, ]+)$`) // anything else is prose
	tests := map[int][]string{}
	for _, dir := range []string{"../cmd", "../internal", "../e2e", "../testdata/e2e"} {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") && !strings.HasSuffix(file, ".txtar") {
				return err
			}
			text, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				return err
			}
			for _, m := range mark.FindAllStringSubmatch(string(text), -1) {
				for word := range strings.SplitSeq(m[1], ",") {
					row, err := strconv.Atoi(strings.TrimSpace(word))
					if err != nil || row < 1 || row > 57 {
						t.Errorf("%s: no fault has the number %q", file, word)
					}
					tests[row] = append(tests[row], file)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for row := 1; row <= 57; row++ {
		if len(tests[row]) == 0 {
			t.Errorf("no test says that it shows fault %d", row)
		}
	}
}
