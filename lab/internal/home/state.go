package home

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"grpcmesh/lab/internal/option"
)

// State is what one lab/up leaves for the next command to find.
type State struct {
	Init    int            `json:"init"`    // pid of the lab's first process, as the machine sees it
	Started string         `json:"started"` // its start time in clock ticks: a pid alone may be reused
	Boot    string         `json:"boot"`    // the machine's boot id, for the same reason
	Build   string         `json:"build"`   // what the lab was made of; another value means another lab
	Ready   bool           `json:"ready"`   // the last lab/up came to its end
	Options option.Options `json:"options"`
}

func (h Home) statePath() string { return filepath.Join(h.State(), "state.json") }

// Load reads the state of the last start; ok is false where there is none or
// where what is there cannot be read (a lab whose start was cut short).
func (h Home) Load() (state State, ok bool) {
	data, err := os.ReadFile(h.statePath())
	if err != nil {
		return State{}, false
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return State{}, false
	}
	return state, true
}

// Save records the state.
func (h Home) Save(state State) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := WriteFile(h.statePath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("recording the lab's state: %w", err)
	}
	return nil
}

// Forget removes the state; none is no error.
func (h Home) Forget() error {
	if err := os.Remove(h.statePath()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// Alive tells whether the state's first process still runs, and is the very
// process that was started.
func (s State) Alive() bool {
	if s.Init <= 1 || s.Boot != BootID() {
		return false
	}
	started, err := StartTime(s.Init)
	return err == nil && started == s.Started
}

// BootID identifies the machine's current boot; empty where it has none.
func BootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// StartTime is the time a process started, in clock ticks since boot. It
// fails for a process that is gone or a zombie, which holds nothing any more.
func StartTime(pid int) (string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	return parseStat(string(data))
}

// parseStat takes the start time (field 22) from a /proc/PID/stat line. The
// name in field 2 may hold blanks and parentheses, so it counts from the last
// parenthesis.
func parseStat(stat string) (string, error) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return "", fmt.Errorf("a stat line without a name: %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("a stat line of %d fields: %q", len(fields), stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("the process is a zombie")
	}
	return fields[19], nil
}
