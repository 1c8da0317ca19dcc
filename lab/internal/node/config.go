// Package node runs the cluster's own processes inside the lab's namespaces.
package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Config is what the first process is told by lab/up, by way of a file.
type Config struct {
	Run        string `json:"run"`  // folder for everything that the lab writes
	Logs       string `json:"logs"` // one file for each component, and audit.log
	Etcd       string `json:"etcd"` // the folders of the parts' programs
	Kubernetes string `json:"kubernetes"`
	Containerd string `json:"containerd"`
	CoreDNS    string `json:"coredns"`
}

// Path is the file or folder of that name which the lab writes.
func (c Config) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Run}, parts...)...)
}

// Log is the component's log file.
func (c Config) Log(component string) string { return filepath.Join(c.Logs, component+".log") }

// Write stores the config for Read.
func (c Config) Write(path string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Read reads a config that Write wrote.
func Read(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
