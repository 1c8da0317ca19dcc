//go:build linux

package main

import (
	"errors"
	"runtime"

	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/space"
)

// run becomes the command inside the lab's network. The command finds Services
// by their DNS names and keeps folder, environment, streams and exit code.
func run(h home.Home, command []string) error {
	if len(command) == 0 {
		return errors.New("run what? lab/run COMMAND [ARGUMENT…]")
	}
	if err := root("run"); err != nil {
		return err
	}
	state, ok := h.Load()
	if !ok || !state.Alive() {
		return errors.New("no lab is up on this machine; start it with lab/up")
	}
	runtime.LockOSThread()
	return space.Exec(state.Init, h.Run("conf", "resolv.conf"), command)
}
