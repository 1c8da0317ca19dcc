//go:build !linux

// Command lab brings up a real Kubernetes cluster with a real Istio mesh on
// one Linux machine. This is what other systems get of it.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, `lab: the lab runs on Linux only; use a cluster of your own (see "Your own cluster" in lab/README.md)`)
	os.Exit(1)
}
