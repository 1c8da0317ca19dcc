package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// supervise keeps a component running until ctx ends. A component that ends
// by itself is started again after a second: the kubelet, for one, gives up
// when containerd is not there yet.
func supervise(ctx context.Context, c Config, p component, log io.Writer) {
	if p.await != nil {
		if err := p.await(ctx); err != nil {
			_, _ = fmt.Fprintf(log, "%s: not started: %v\n", p.name, err)
			return
		}
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := runOnce(ctx, c, p)
		_, _ = fmt.Fprintf(log, "%s: ended after %s: %v\n", p.name, time.Since(began).Round(time.Millisecond), err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func runOnce(ctx context.Context, c Config, p component) error {
	output, err := os.OpenFile(c.Log(p.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }() // the component writes to it by a descriptor of its own
	command := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	command.Env = p.environment()
	command.Dir = c.Run
	command.Stdout, command.Stderr = output, output
	return command.Run()
}
