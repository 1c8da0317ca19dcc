package image

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAddLibrariesLeavesWhatIsNoProgramAlone(t *testing.T) {
	text := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/etc/settings": text}
	if err := AddLibraries(files); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestAddLibrariesFollowsAProgram(t *testing.T) {
	const program = "/bin/sh"
	wanted, err := needed(program)
	if err != nil || len(wanted) == 0 {
		t.Fatalf("%s needs no library: %v, %v; the lab runs on systems where it does", program, wanted, err)
	}
	files := map[string]string{"/bin/sh": program}
	if err := AddLibraries(files); err != nil {
		t.Fatal(err)
	}
	for _, path := range wanted {
		if files[path] == "" {
			t.Errorf("%s is missing", path)
		}
	}
}
