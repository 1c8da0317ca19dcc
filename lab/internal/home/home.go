// Package home knows where the lab keeps its things: a machine-wide folder in
// the user's cache for everything big or alive, and .lab in the checkout for
// what people read.
package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Home is the set of folders that one lab uses. All paths are absolute.
type Home struct {
	Cache    string // machine-wide: binaries, images and the lab's state
	Checkout string // root of the checkout that the command was started from
}

// Find returns the folders for the checkout whose lab/ folder is labFolder.
// It creates nothing.
func Find(labFolder string) (Home, error) {
	if labFolder == "" {
		return Home{}, errors.New("LAB_FOLDER is not set: start the lab with lab/up, lab/down, lab/run or lab/push")
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return Home{}, fmt.Errorf("no cache folder: %w; set HOME or XDG_CACHE_HOME", err)
		}
		cache = filepath.Join(user, ".cache")
	}
	checkout, err := filepath.Abs(filepath.Dir(labFolder))
	if err != nil {
		return Home{}, fmt.Errorf("the checkout of %s: %w", labFolder, err)
	}
	return Home{Cache: filepath.Join(cache, "grpcmesh"), Checkout: checkout}, nil
}

// Parts is where built and downloaded programs are kept between runs.
func (h Home) Parts() string { return filepath.Join(h.Cache, "parts") }

// Blobs is where the registry keeps layers between runs.
func (h Home) Blobs() string { return filepath.Join(h.Cache, "blobs") }

// State is the folder of the one lab of this machine.
func (h Home) State() string { return filepath.Join(h.Cache, "lab") }

// Run holds what a running lab writes; it is emptied at every start.
func (h Home) Run(parts ...string) string {
	return filepath.Join(append([]string{h.State(), "run"}, parts...)...)
}

// Logs is kept after the lab goes down, until the next one starts.
func (h Home) Logs() string { return filepath.Join(h.State(), "logs") }

// Lock is the file that serialises everything which starts or ends a lab.
func (h Home) Lock() string { return filepath.Join(h.State(), "lock") }

// Tunables is where the machine's own settings are kept while a lab runs.
func (h Home) Tunables() string { return filepath.Join(h.State(), "tunables.json") }

// Kubeconfig is the machine-wide administrator's kubeconfig.
func (h Home) Kubeconfig() string { return h.Run("kubeconfig") }

// LabSource is the lab/ folder of the checkout.
func (h Home) LabSource() string { return filepath.Join(h.Checkout, "lab") }
