package home

import (
	"fmt"
	"os"
	"path/filepath"
)

// Reader is the folder in the checkout that people read.
func (h Home) Reader(parts ...string) string {
	return filepath.Join(append([]string{h.Checkout, ".lab"}, parts...)...)
}

// Publish writes the checkout's .lab: the kubeconfig, links to the programs
// given by name, to the logs and to the audit log. Git ignores all of it.
func (h Home) Publish(programs map[string]string) error {
	if err := os.MkdirAll(h.Reader("bin"), 0o755); err != nil {
		return fmt.Errorf("the folder .lab: %w", err)
	}
	kubeconfig, err := os.ReadFile(h.Kubeconfig())
	if err != nil {
		return fmt.Errorf("the lab's kubeconfig: %w", err)
	}
	if err := WriteFile(h.Reader("kubeconfig"), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("the lab's kubeconfig: %w", err)
	}
	if err := WriteFile(h.Reader(".gitignore"), []byte("*\n"), 0o644); err != nil {
		return fmt.Errorf("the folder .lab: %w", err)
	}
	links := map[string]string{"logs": h.Logs(), "audit.log": filepath.Join(h.Logs(), "audit.log")}
	for name, target := range programs {
		links[filepath.Join("bin", name)] = target
	}
	for name, target := range links {
		if err := link(target, h.Reader(name)); err != nil {
			return fmt.Errorf("the folder .lab: %w", err)
		}
	}
	return nil
}

// Unpublish removes the checkout's .lab except the links to the logs, which
// outlive the lab.
func (h Home) Unpublish() error {
	for _, name := range []string{"kubeconfig", "bin"} {
		if err := os.RemoveAll(h.Reader(name)); err != nil {
			return err
		}
	}
	return nil
}

// link makes path a symbolic link to target, whatever it was.
func link(target, path string) error {
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}
