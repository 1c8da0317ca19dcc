//go:build linux

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// OfMachine reads the plan of the machine this runs on.
func OfMachine() (Plan, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Plan{}, err
	}
	defer func() { _ = file.Close() }()
	plan, err := ReadPlan(file)
	if err == nil && len(plan.Hierarchies) == 0 {
		err = errors.New("no control groups are mounted on this machine; mount them under /sys/fs/cgroup")
	}
	return plan, err
}

// Make makes the lab's folder in every hierarchy. No process of the lab sits
// in the folder itself: the kubelet puts pods below it, and version 2 allows
// processes only in leaves.
func (p Plan) Make() error {
	for _, h := range p.Hierarchies {
		if err := os.Mkdir(h.Folder(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("control group: %w", err)
		}
		if h.CPUSet {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := copyFile(filepath.Join(h.Mount, file), filepath.Join(h.Folder(), file)); err != nil {
					return fmt.Errorf("control group: %w", err)
				}
			}
		}
		if p.Version2() {
			for _, folder := range []string{h.Mount, h.Folder()} {
				if err := handDown(folder); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func handDown(folder string) error {
	controllers, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	target := filepath.Join(folder, "cgroup.subtree_control")
	err = os.WriteFile(target, []byte(HandDown(string(controllers))), 0o644)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("control group: %s: processes sit in this folder itself (is this a container?); move them to one below it, for version 2 shares out controllers only from folders without processes", target)
	}
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	return nil
}

// Left lists the lab's folders that exist.
func (p Plan) Left() []string {
	var left []string
	for _, h := range p.Hierarchies {
		if _, err := os.Stat(h.Folder()); err == nil {
			left = append(left, h.Folder())
		}
	}
	return left
}

// Remove removes the lab's folders with all below them, waiting for the
// processes that were killed to be gone from them until ctx ends.
func (p Plan) Remove(ctx context.Context) error {
	for _, h := range p.Hierarchies {
		for {
			err := removeTree(h.Folder())
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("control group %s cannot be removed: %w; processes in it: %s", h.Folder(), err, members(h.Folder()))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// removeTree removes a folder and those below it. What a control group's
// folder holds otherwise are the kernel's files, which go with it.
func removeTree(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// members lists the processes in a folder and below it.
func members(folder string) string {
	var all []string
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "cgroup.procs" {
			if data, err := os.ReadFile(path); err == nil {
				all = append(all, strings.Fields(string(data))...)
			}
		}
		return nil // a folder that vanishes meanwhile has no members
	})
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
