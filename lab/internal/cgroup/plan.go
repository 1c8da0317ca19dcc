// Package cgroup keeps all the lab's control groups under one folder of each
// hierarchy, so that they can be found and removed.
package cgroup

import (
	"bufio"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Name is the lab's folder in each hierarchy, and with a slash before it the
// kubelet's cgroup root.
const Name = "grpcmesh-lab"

// Hierarchy is one mounted tree of control groups.
type Hierarchy struct {
	Mount   string
	Unified bool // version 2
	CPUSet  bool // version 1 with cpuset, whose folders are born without CPUs
}

// Folder is the lab's folder in the hierarchy.
func (h Hierarchy) Folder() string { return filepath.Join(h.Mount, Name) }

// Plan is what a machine's hierarchies ask for.
type Plan struct {
	Hierarchies []Hierarchy
}

// Version2 tells whether the unified hierarchy is the one with controllers,
// which is so when it is the only one.
func (p Plan) Version2() bool {
	return len(p.Hierarchies) == 1 && p.Hierarchies[0].Unified
}

// ReadPlan reads the hierarchies from the text of /proc/self/mountinfo. Only
// whole hierarchies count: one that a container bind-mounted in part has
// another root, and a hierarchy mounted twice counts once.
func ReadPlan(mountinfo io.Reader) (Plan, error) {
	var plan Plan
	seen := map[string]bool{}
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		if !ok {
			continue
		}
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 {
			continue
		}
		device, mount, kind, options := left[2], unescape(left[4]), right[0], right[2]
		if (kind != "cgroup" && kind != "cgroup2") || seen[device] || left[3] != "/" {
			continue
		}
		seen[device] = true
		plan.Hierarchies = append(plan.Hierarchies, Hierarchy{
			Mount: mount, Unified: kind == "cgroup2",
			CPUSet: kind == "cgroup" && slices.Contains(strings.Split(options, ","), "cpuset"),
		})
	}
	return plan, lines.Err()
}

// unescape undoes the octal escapes of mountinfo that paths can meet.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(text)
}

// HandDown is what to write to cgroup.subtree_control so that the children of
// a folder with the given cgroup.controllers get those the kubelet uses.
func HandDown(controllers string) string {
	var words []string
	for _, name := range strings.Fields(controllers) {
		switch name {
		case "cpu", "cpuset", "memory", "pids", "io", "hugetlb":
			words = append(words, "+"+name)
		}
	}
	return strings.Join(words, " ")
}
