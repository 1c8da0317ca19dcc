//go:build linux

package space

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"grpcmesh/lab/internal/home"
)

// tunables are settings of the whole machine that a lab changes: the kubelet
// sets the first six as it starts, and each sidecar of the same user takes a
// few of the last.
func tunables() []string {
	return []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
		inotifyInstances,
	}
}

const (
	inotifyInstances = "fs/inotify/max_user_instances"
	// Enough for the 110 pods of a node.
	wantedInstances = 1024
)

// saved are the settings as a lab found them, and the boot that they belong
// to.
type saved struct {
	Boot   string            `json:"boot"`
	Values map[string]string `json:"values"`
}

// SaveTunables writes to path what the machine's settings are before the lab
// changes them, unless a lab that was not taken down has left that there. It
// then raises what the lab needs more of.
func SaveTunables(path, boot string) error {
	if old, err := readSaved(path); err != nil || old.Boot != boot {
		now := saved{Boot: boot, Values: map[string]string{}}
		for _, name := range tunables() {
			data, err := os.ReadFile(filepath.Join("/proc/sys", name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // a kernel built without it
			}
			if err != nil {
				return fmt.Errorf("the machine's settings: %w", err)
			}
			now.Values[name] = strings.TrimSpace(string(data))
		}
		data, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			return err
		}
		if err := home.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return raise(filepath.Join("/proc/sys", inotifyInstances), wantedInstances)
}

// raise sets the number in the file to at least wanted.
func raise(path string, wanted int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the machine's settings: %w", err)
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(data))); err != nil || now >= wanted {
		return err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(wanted)), 0o644); err != nil {
		return fmt.Errorf("raising a setting of the machine to %d: %w", wanted, err)
	}
	return nil
}

// RestoreTunables sets the machine's settings back to what SaveTunables found
// during this boot, and removes path.
func RestoreTunables(path, boot string) error {
	old, err := readSaved(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && old.Boot == boot {
		for name, value := range old.Values {
			if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
				return fmt.Errorf("setting the machine's %s back to %s: %w", name, value, err)
			}
		}
	}
	return os.Remove(path)
}

func readSaved(path string) (saved, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return saved{}, err
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return saved{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
