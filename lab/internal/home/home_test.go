//go:build linux

package home

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grpcmesh/lab/internal/option"
)

func home(t *testing.T) Home {
	t.Helper()
	return Home{Cache: filepath.Join(t.TempDir(), "cache"), Checkout: t.TempDir()}
}

func TestFind(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/c")
	h, err := Find("/src/checkout/lab")
	if err != nil || h.Cache != "/c/grpcmesh" || h.Checkout != "/src/checkout" || h.LabSource() != "/src/checkout/lab" {
		t.Errorf("got %+v, %v", h, err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "/h")
	if h, err := Find("/src/checkout/lab"); err != nil || h.Cache != "/h/.cache/grpcmesh" {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "lab/up") {
		t.Errorf("without a folder: %v", err)
	}
}

func TestStateSurvivesOrCountsAsNone(t *testing.T) {
	h := home(t)
	if _, ok := h.Load(); ok {
		t.Error("a state before any")
	}
	want := State{Init: 42, Started: "7", Boot: "b", Build: "x", Ready: true, Options: option.Options{GatewayReplicas: 2, Revision: "r"}}
	if err := h.Save(want); err != nil {
		t.Fatal(err)
	}
	if got, ok := h.Load(); !ok || got != want {
		t.Errorf("got %+v, %v", got, ok)
	}
	if err := os.WriteFile(h.statePath(), []byte(`{"init": 4`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok := h.Load(); ok {
		t.Errorf("half a file became %+v", got)
	}
	for range 2 {
		if err := h.Forget(); err != nil {
			t.Error(err)
		}
	}
}

func TestAliveIsThisVeryProcess(t *testing.T) {
	started, err := StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	now := State{Init: os.Getpid(), Started: started, Boot: BootID()}
	if !now.Alive() {
		t.Error("this process does not count as alive")
	}
	for name, change := range map[string]func(*State){
		"another start": func(s *State) { s.Started += "0" },
		"another boot":  func(s *State) { s.Boot += "0" },
		"no process":    func(s *State) { s.Init = 1 << 30 },
		"nothing":       func(s *State) { *s = State{} },
	} {
		other := now
		if change(&other); other.Alive() {
			t.Errorf("%s counts as alive", name)
		}
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 987654 1 2"
	if got, err := parseStat("42 (lab) (odd) name)" + tail); err != nil || got != "987654" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "42 lab S", "42 (lab) S 1", "42 (lab)" + strings.Replace(tail, " S", " Z", 1)} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}

func TestLockSerialises(t *testing.T) {
	h := home(t)
	release, err := h.Acquire(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Bool
	second := make(chan error, 1)
	var said strings.Builder
	go func() {
		releaseSecond, err := h.Acquire(&said)
		if err == nil {
			if !released.Load() {
				t.Error("two holders")
			}
			releaseSecond()
		}
		second <- err
	}()
	time.Sleep(50 * time.Millisecond) // time enough for a lock that does not hold
	released.Store(true)
	release()
	if err := <-second; err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "waiting") {
		t.Errorf("the second said %q", said.String())
	}
}

func TestPublishAgainAndUnpublish(t *testing.T) {
	h := home(t)
	for _, content := range []string{"old", "new"} {
		if err := WriteFile(h.Kubeconfig(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.Publish(map[string]string{"kubectl": "/parts/" + content}); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := os.ReadFile(h.Reader("kubeconfig")); err != nil || string(data) != "new" {
		t.Errorf("kubeconfig: %q, %v", data, err)
	}
	for name, want := range map[string]string{"bin/kubectl": "/parts/new", "audit.log": filepath.Join(h.Logs(), "audit.log"), "logs": h.Logs()} {
		if got, err := os.Readlink(h.Reader(name)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %s", name, got, err, want)
		}
	}
	if err := h.Unpublish(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.Reader("kubeconfig")); !os.IsNotExist(err) {
		t.Errorf("the kubeconfig is still there: %v", err)
	}
}

func TestWriteFileLeavesNoHalves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "file")
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestOnlyOwnNamespacesCount(t *testing.T) {
	if found := Namespaces(os.Getpid()); len(found) > 0 {
		t.Errorf("this process's own namespaces are the machine's, not %v", found)
	}
	if found, err := Inhabitants(nil); err != nil || found != nil {
		t.Errorf("of no namespace: %v, %v", found, err)
	}
	id, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	found, err := Inhabitants(map[string]bool{id: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range found {
		if pid == os.Getpid() {
			return
		}
	}
	t.Errorf("this process is not among %v", found)
}
