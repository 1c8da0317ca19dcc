//go:build linux

// Command lab brings up a real Kubernetes cluster with a real Istio mesh on
// one Linux machine, and takes it down. It is started by the scripts beside
// this file; README.md says what it does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/node"
)

func main() {
	// Help that was asked for is no failure.
	if err := dispatch(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		os.Exit(1)
	}
}

func dispatch(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("which: up, down, run or push? Start the lab with lab/up")
	}
	// iptables and ip are administrators' programs; not every PATH has them.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return err
	}
	verb, rest := arguments[0], arguments[1:]
	switch verb {
	case home.InsideInit:
		return node.Init(rest[0], [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	case node.InsideNode:
		return node.Run(rest[0], os.Stderr)
	}
	h, err := home.Find(os.Getenv("LAB_FOLDER"))
	if err != nil {
		return err
	}
	if verb == "run" {
		// It becomes the command: no goroutine may have signals of its own.
		return run(h, rest)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch verb {
	case "up":
		return up(ctx, h, rest, os.Stderr)
	case "down":
		return down(ctx, h, rest, os.Stderr)
	case "push":
		return push(ctx, rest, os.Stderr)
	}
	return fmt.Errorf("no verb %q; there are up, down, run and push", verb)
}

// root refuses everyone else, naming the verb.
func root(verb string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("lab/%s needs root, for it makes namespaces and control groups; run it as root, or use a cluster of your own (see \"Your own cluster\" in lab/README.md)", verb)
}
