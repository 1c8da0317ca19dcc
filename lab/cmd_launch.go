//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/image"
	"grpcmesh/lab/internal/node"
	"grpcmesh/lab/internal/space"
)

// launch writes all settings and credentials and starts the lab's first
// process. It waits for nothing.
func launch(ctx context.Context, h home.Home, made made) (home.State, error) {
	sockets, err := listen(ctx)
	if err != nil {
		return home.State{}, err
	}
	defer closeAll(sockets)
	// The last lab's logs were kept until now.
	if err := os.RemoveAll(h.Logs()); err != nil {
		return home.State{}, err
	}
	for _, folder := range []string{h.Run("conf"), h.Run("blobs"), h.Run("pods"), h.Logs()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return home.State{}, err
		}
	}
	config := node.Config{
		Run: h.Run(), Logs: h.Logs(),
		Etcd: made.etcd, Kubernetes: made.kubernetes, Containerd: made.containerd, CoreDNS: made.coredns,
	}
	if err := node.Settings(config); err != nil {
		return home.State{}, err
	}
	if err := node.Credentials(config); err != nil {
		return home.State{}, err
	}
	for _, folder := range made.images {
		if err := image.Place(folder, h.Run("blobs")); err != nil {
			return home.State{}, err
		}
	}
	configPath := h.Run("conf", "node.json")
	if err := config.Write(configPath); err != nil {
		return home.State{}, err
	}
	if err := space.SaveTunables(h.Tunables(), home.BootID()); err != nil {
		return home.State{}, err
	}
	log, err := os.OpenFile(config.Log("lab"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return home.State{}, err
	}
	defer func() { _ = log.Close() }() // the lab writes to it by a descriptor of its own
	self, err := os.Executable()
	if err != nil {
		return home.State{}, err
	}
	process, err := space.Start(self, []string{home.InsideInit, configPath}, log, sockets)
	if err != nil {
		return home.State{}, err
	}
	started, err := home.StartTime(process.Pid)
	if err != nil {
		return home.State{}, fmt.Errorf("the lab's first process ended at once; see %s", config.Log("lab"))
	}
	state := home.State{Init: process.Pid, Started: started, Boot: home.BootID(), Build: made.build}
	return state, process.Release()
}

// listen opens the lab's ports on the machine's loopback.
func listen(ctx context.Context) ([]*os.File, error) {
	var files []*os.File
	for _, port := range []string{address.APIPort, address.GatewayPort, address.RegistryPort} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address.Loopback, port))
		if err != nil {
			closeAll(files)
			if errors.Is(err, unix.EADDRINUSE) {
				return nil, fmt.Errorf("port %s of %s is taken by another program, and the lab needs it; end that program (ss -ltnp 'sport = :%s' names it)", port, address.Loopback, port)
			}
			return nil, err
		}
		file, err := listener.(*net.TCPListener).File()
		_ = listener.Close() // file is a duplicate and stays open
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// welcome writes what people read into the checkout and says where to go on.
func welcome(h home.Home, s steps, made made) error {
	if err := h.Publish(map[string]string{
		"kubectl":  filepath.Join(made.kubernetes, "kubectl"),
		"istioctl": filepath.Join(made.istio, "istioctl"),
	}); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.out, `
  export KUBECONFIG=%[1]s/.lab/kubeconfig PATH=%[1]s/.lab/bin:$PATH
  gateway   %[2]s        registry  %[3]s (lab/push NAME BINARY)
  inside    lab/run COMMAND…       away      lab/down
`, h.Checkout, address.Gateway(), address.Registry())
	return nil
}
