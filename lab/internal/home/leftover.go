package home

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// InsideInit is the lab program's word for being a lab's first process; with
// the path of its configuration after it, it tells the process to everyone.
const InsideInit = "inside-init"

// Inits lists the first processes of labs of this home, whether the state
// knows them or not.
func (h Home) Inits() ([]int, error) {
	pids, err := processes()
	if err != nil {
		return nil, err
	}
	var found []int
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // gone meanwhile
		}
		words := strings.Split(string(data), "\x00")
		if len(words) < 3 || words[1] != InsideInit || !strings.HasPrefix(words[2], h.State()+"/") {
			continue
		}
		if _, err := StartTime(pid); err == nil {
			found = append(found, pid)
		}
	}
	return found, nil
}

// Namespaces returns the identities of the namespaces of its own that a lab's
// first process has, such as net:[4026532000].
func Namespaces(pid int) map[string]bool {
	found := map[string]bool{}
	for _, kind := range []string{"pid", "net", "mnt"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			continue
		}
		if id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil && id != own {
			found[id] = true
		}
	}
	return found
}

// Inhabitants lists the processes that are in one of the namespaces.
func Inhabitants(namespaces map[string]bool) ([]int, error) {
	if len(namespaces) == 0 {
		return nil, nil
	}
	pids, err := processes()
	if err != nil {
		return nil, err
	}
	var found []int
	for _, pid := range pids {
		for _, kind := range []string{"pid", "net", "mnt"} {
			if id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil && namespaces[id] {
				found = append(found, pid)
				break
			}
		}
	}
	return found, nil
}

// Mounts lists what is mounted below the lab's folder in the machine's own
// mount namespace. The lab's mounts are its own, so this ought to be nothing.
func (h Home) Mounts() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], h.State()+"/") {
			found = append(found, fields[4])
		}
	}
	return found, nil
}

func processes() ([]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, folder := range folders {
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
