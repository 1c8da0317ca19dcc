//go:build linux

package space

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Network gives the calling process's empty network namespace an interface
// with the node's address, a default route (which kubelet and the API server
// look for to learn their address) and forwarding between pods.
func Network(ctx context.Context, node string) error {
	for _, step := range [][]string{
		{"link", "set", "lo", "up"},
		// A bridge with nothing on it: kernels without the dummy driver have it.
		{"link", "add", "node0", "type", "bridge"},
		{"address", "add", node, "dev", "node0"},
		{"link", "set", "node0", "up"},
		{"route", "add", "default", "dev", "node0"},
	} {
		if output, err := exec.CommandContext(ctx, "ip", step...).CombinedOutput(); err != nil {
			return fmt.Errorf("the lab's network: ip %s: %w: %s", strings.Join(step, " "), err, strings.TrimSpace(string(output)))
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("the lab's network: %w", err)
	}
	return nil
}
