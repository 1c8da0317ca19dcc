//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"grpcmesh/lab/internal/cgroup"
	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/space"
)

// down ends the machine's lab and proves that nothing of it is left.
func down(ctx context.Context, h home.Home, arguments []string, out io.Writer) error {
	if len(arguments) > 0 {
		return fmt.Errorf("lab/down takes no arguments, not %q", arguments[0])
	}
	if err := root("down"); err != nil {
		return err
	}
	release, err := h.Acquire(out)
	if err != nil {
		return err
	}
	defer release()
	s := steps{out: out, began: time.Now()}
	if err := clear(ctx, h, s); err != nil {
		return err
	}
	if err := h.Unpublish(); err != nil {
		return err
	}
	s.say("down: no process, namespace, interface, mount or control group of the lab is left (logs stay in %s until the next lab/up)", h.Logs())
	return nil
}

// clear ends whatever lab there is, alive, half-started or killed, removes
// what it left, and returns an error that lists what would not go.
func clear(ctx context.Context, h home.Home, s steps) error {
	namespaces, err := kill(ctx, h, s)
	if err != nil {
		return err
	}
	plan, err := cgroup.OfMachine()
	if err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := plan.Remove(patience); err != nil {
		return err
	}
	if err := space.RestoreTunables(h.Tunables(), home.BootID()); err != nil {
		return err
	}
	if err := h.Forget(); err != nil {
		return err
	}
	if err := os.RemoveAll(h.Run()); err != nil {
		return fmt.Errorf("emptying the lab's folder: %w", err)
	}
	// Made for a mount of the lab's own; another program's is not empty.
	if err := unix.Rmdir("/var/lib/cni"); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return verify(h, plan, namespaces)
}

// kill ends the lab's first processes, and with them by the kernel's hand all
// others inside, then those that lab/run had put into the lab's network. It
// returns the identities of the namespaces that they were in.
func kill(ctx context.Context, h home.Home, s steps) (map[string]bool, error) {
	inits, err := h.Inits()
	if err != nil {
		return nil, err
	}
	namespaces := map[string]bool{}
	for _, pid := range inits {
		for id := range home.Namespaces(pid) {
			namespaces[id] = true
		}
	}
	for _, pid := range inits {
		s.say("ending the lab of process %d", pid)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, fmt.Errorf("ending process %d: %w", pid, err)
		}
	}
	patience, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		left, err := home.Inhabitants(namespaces)
		if err != nil || len(left) == 0 {
			return namespaces, err
		}
		gone := true
		for _, pid := range inits {
			_, err := home.StartTime(pid)
			gone = gone && err != nil
		}
		for _, pid := range left {
			if gone { // only those are left that came in by lab/run
				_ = unix.Kill(pid, unix.SIGKILL) // the next look tells whether it is gone
			}
		}
		select {
		case <-patience.Done():
			return nil, fmt.Errorf("processes of the lab that do not end: %v", left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// verify looks at the machine itself for anything of a lab.
func verify(h home.Home, plan cgroup.Plan, namespaces map[string]bool) error {
	var left []string
	inits, err := h.Inits()
	if err != nil {
		return err
	}
	inhabitants, err := home.Inhabitants(namespaces)
	if err != nil {
		return err
	}
	for _, pid := range slices.Concat(inits, inhabitants) {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	mounts, err := h.Mounts()
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		left = append(left, "mount "+mount)
	}
	for _, folder := range plan.Left() {
		left = append(left, "control group "+folder)
	}
	// A namespace without a process lives on only by a mount, which the lab
	// makes in its own mount namespace alone; with it go its interfaces.
	if _, err := os.Stat("/sys/class/net/node0"); err == nil {
		left = append(left, "interface node0")
	}
	if len(left) > 0 {
		return fmt.Errorf("still there: %s", strings.Join(left, ", "))
	}
	return nil
}
