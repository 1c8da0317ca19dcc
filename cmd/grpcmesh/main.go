// Command grpcmesh exposes gRPC services through a mesh gateway, and proves
// that requests spread across pods.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"grpcmesh/cmd"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe must not keep a run from cleaning up
	streams := cmd.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lent: &cmd.Lent{}}
	go func() { os.Exit(cmd.ExitCode(impatient(signals, cancel, streams))) }()
	os.Exit(cmd.Execute(ctx, os.Args[1:], streams))
}

// again is how long after the first signal others are the same request: what
// stops a job may tell the process, its group and its parent at once.
const again = time.Second

// impatient ends the context at the first signal. It returns at one that comes
// later, when there is no patience left for cleaning up, and says what is left.
func impatient(signals <-chan os.Signal, cancel context.CancelCauseFunc, streams cmd.IO) error {
	first := (<-signals).(syscall.Signal)
	at := time.Now()
	cancel(cmd.SignalError{Signal: first})
	for s := range signals {
		if time.Since(at) < again {
			continue
		}
		_, _ = fmt.Fprintf(streams.Err, "grpcmesh: ended at once by a second signal (%s)\n", s)
		if left := streams.Lent.String(); left != "" {
			_, _ = fmt.Fprintln(streams.Err, left)
		}
		return cmd.SignalError{Signal: s.(syscall.Signal)}
	}
	return nil
}
