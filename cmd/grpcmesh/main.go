// Command grpcmesh exposes gRPC services through a mesh gateway, and proves
// that requests spread across pods.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"grpcmesh/cmd"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe must not keep a run from cleaning up
	go func() {
		first := (<-signals).(syscall.Signal)
		cancel(cmd.SignalError{Signal: first})
		second := (<-signals).(syscall.Signal) // no patience left for cleaning up
		os.Exit(cmd.ExitCode(cmd.SignalError{Signal: second}))
	}()
	os.Exit(cmd.Execute(ctx, os.Args[1:], cmd.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
