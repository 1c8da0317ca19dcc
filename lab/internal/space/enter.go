//go:build linux

// Package space makes and enters the namespaces that a lab lives in.
package space

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts the program at path in process, mount and network namespaces
// of its own, of which it is the first process: when it ends, however, the
// kernel ends all others in them. The files are its descriptors 3, 4, ….
// Output goes to log. The process outlives the caller.
func Start(path string, arguments []string, log *os.File, files []*os.File) (*os.Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	process, err := os.StartProcess(path, append([]string{path}, arguments...), &os.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: append([]*os.File{null, log, log}, files...),
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
			Setsid:     true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("starting the lab in namespaces of its own: %w; root with CAP_SYS_ADMIN is needed", err)
	}
	return process, nil
}

// Mounts makes the calling process's mount namespace fit for a kubelet. What
// is mounted here or later never shows outside, while mounts made in it reach
// the containers, as volumes need. Where kubelet, containerd and the CNI
// plug-ins insist on a fixed path, that path is empty memory.
func Mounts(empty []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cutting the mounts off from the machine's: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing the mounts with containers: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, folder := range empty {
		// /var/run is usually a link to /run: mount what it means.
		real, err := filepath.EvalSymlinks(folder)
		if err != nil {
			return fmt.Errorf("a folder of the lab's own: %w", err)
		}
		if err := unix.Mount("tmpfs", real, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("a %s of the lab's own: %w", real, err)
		}
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	return nil
}

// Exec becomes the command, in the network of the process init and with the
// lab's resolver settings, keeping folder, environment and open files. It
// returns only when it fails.
func Exec(init int, resolver string, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	network, err := os.Open("/proc/" + strconv.Itoa(init) + "/ns/net")
	if err != nil {
		return fmt.Errorf("the lab's network: %w", err)
	}
	// Namespaces belong to a thread; execve keeps those of the thread that
	// calls it. The caller has locked this goroutine to its thread.
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the lab's network: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace for the lab's resolver: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("cutting the mounts off from the machine's: %w", err)
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("the resolver's settings: %w; make an empty /etc/resolv.conf", err)
	}
	if err := unix.Mount(resolver, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("the lab's resolver in place of %s: %w", target, err)
	}
	return unix.Exec(path, command, os.Environ())
}
