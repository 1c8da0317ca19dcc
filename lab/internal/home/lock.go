//go:build linux

package home

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Acquire takes the machine-wide lock, saying so on progress if another
// process holds it, and returns what gives it back. The kernel drops the lock
// with its holder, so a killed holder never leaves it taken.
func (h Home) Acquire(progress io.Writer) (release func(), err error) {
	if err := os.MkdirAll(h.State(), 0o700); err != nil {
		return nil, fmt.Errorf("the lab's folder: %w", err)
	}
	file, err := os.OpenFile(h.Lock(), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lab's lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_, _ = fmt.Fprintf(progress, "lab: another lab/up or lab/down is at work; waiting for it (lock %s)\n", h.Lock())
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("locking %s: %w", h.Lock(), err)
	}
	return func() { _ = file.Close() }, nil
}
