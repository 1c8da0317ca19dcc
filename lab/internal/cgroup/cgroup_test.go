//go:build linux

package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMakeFillsCPUSetsOfVersion1(t *testing.T) {
	mount := t.TempDir()
	write(t, filepath.Join(mount, "cpuset.cpus"), "0-1\n")
	write(t, filepath.Join(mount, "cpuset.mems"), "0\n")
	plan := Plan{Hierarchies: []Hierarchy{{Mount: mount, CPUSet: true}}}
	for range 2 { // a second time, as over the leftovers of a killed lab
		if err := plan.Make(); err != nil {
			t.Fatal(err)
		}
	}
	folder := filepath.Join(mount, Name)
	if got := read(t, filepath.Join(folder, "cpuset.cpus")) + read(t, filepath.Join(folder, "cpuset.mems")); got != "0-1\n0\n" {
		t.Errorf("got %q", got)
	}
	if left := plan.Left(); len(left) != 1 || left[0] != folder {
		t.Errorf("left: %v", left)
	}
}

func TestVersion2HandsControllersDownTwoLevels(t *testing.T) {
	mount := t.TempDir()
	folder := filepath.Join(mount, Name)
	// The kernel makes these files with the folder; here they are there before.
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(mount, "cgroup.controllers"), "cpu memory pids misc\n")
	write(t, filepath.Join(folder, "cgroup.controllers"), "cpu memory pids\n")
	plan := Plan{Hierarchies: []Hierarchy{{Mount: mount, Unified: true}}}
	if err := plan.Make(); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{mount, folder} {
		if got := read(t, filepath.Join(place, "cgroup.subtree_control")); got != "+cpu +memory +pids" {
			t.Errorf("%s: %q", place, got)
		}
	}
}

func TestRemoveTakesTheWholeTreeAndNothingBesideIt(t *testing.T) {
	mount := t.TempDir()
	beside := filepath.Join(mount, "system.slice")
	for _, folder := range []string{filepath.Join(mount, Name, "kubepods", "besteffort", "pod1"), beside} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	plan := Plan{Hierarchies: []Hierarchy{{Mount: mount}, {Mount: t.TempDir()}}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := plan.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if left := plan.Left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(beside); err != nil {
		t.Error(err)
	}
}

func TestRemoveGivesUpNamingTheFolder(t *testing.T) {
	mount := t.TempDir()
	folder := filepath.Join(mount, Name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "cgroup.procs"), "4242\n") // an ordinary file: the folder will not go
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Plan{Hierarchies: []Hierarchy{{Mount: mount}}}.Remove(ctx)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{folder, "4242"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}
