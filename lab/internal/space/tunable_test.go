//go:build linux

package space

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRaiseOnlyRaises(t *testing.T) {
	path := filepath.Join(t.TempDir(), "setting")
	for now, want := range map[string]string{"128\n": "1024", "1024\n": "1024", "8192\n": "8192"} {
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := raise(path, 1024); err != nil {
			t.Fatal(err)
		}
		if data, _ := os.ReadFile(path); strings.TrimSpace(string(data)) != want {
			t.Errorf("%q became %q, want %s", now, data, want)
		}
	}
}

func TestRestoreLeavesAnotherBootsSettingsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tunables.json")
	// A name that does not exist: writing it would fail.
	if err := os.WriteFile(path, []byte(`{"boot":"old","values":{"no/such":"1"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RestoreTunables(path, "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if err := RestoreTunables(path, "new"); err != nil {
		t.Errorf("nothing to restore: %v", err)
	}
}

func TestRestoreNamesWhatItCannotSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tunables.json")
	if err := os.WriteFile(path, []byte(`{"boot":"b","values":{"no/such":"1"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RestoreTunables(path, "b"); err == nil || !strings.Contains(err.Error(), "no/such") {
		t.Errorf("got %v", err)
	}
}
