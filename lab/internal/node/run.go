//go:build linux

package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/cgroup"
	"grpcmesh/lab/internal/kube"
	"grpcmesh/lab/internal/serve"
	"grpcmesh/lab/internal/space"
)

// Descriptors of the listening sockets that lab/up opened in the machine's
// network, in the order in which Init and Run get them.
const (
	apiFile = 3 + iota
	gatewayFile
	registryFile
)

// InsideNode is the lab program's word for being the process that does a lab's
// work, the child of its first.
const InsideNode = "inside-node"

// Init is the lab's first process. It buries orphans, which containers leave
// in numbers, starts the process that does the work, with the streams given,
// and ends with it, and by that ends everything.
func Init(configPath string, streams [3]*os.File) error {
	// The path that lab/up started: os.Executable would ask /proc, which is
	// still the machine's here and does not know this process's new number.
	self := os.Args[0]
	files := streams[:]
	for fd := apiFile; fd <= registryFile; fd++ {
		files = append(files, os.NewFile(uintptr(fd), "socket"))
	}
	worker, err := os.StartProcess(self, []string{self, InsideNode, configPath}, &os.ProcAttr{Env: os.Environ(), Files: files})
	if err != nil {
		return err
	}
	for _, socket := range files[len(streams):] {
		_ = socket.Close()
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for processes: %w", err)
		}
		if pid == worker.Pid {
			return fmt.Errorf("the lab's worker ended: exit status %d, signal %d", status.ExitStatus(), status.Signal())
		}
	}
}

// Run makes the node's surroundings, starts the cluster's processes and serves
// the loopback ports. It says on log what becomes of the processes, and returns
// only when the lab cannot go on.
func Run(configPath string, log io.Writer) error {
	c, err := Read(configPath)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := surroundings(ctx); err != nil {
		return err
	}
	client, err := kube.New(c.Path("kubeconfig"))
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	fail := func(what string, err error) {
		select {
		case failed <- fmt.Errorf("%s: %w", what, err):
		default: // one failure is enough to end
		}
	}
	if err := listeners(ctx, c, fail); err != nil {
		return err
	}
	var workers sync.WaitGroup
	for _, p := range components(c, client) {
		workers.Go(func() { supervise(ctx, c, p, log) })
	}
	workers.Go(func() {
		if dialled(net.JoinHostPort(address.Loopback, address.APIPort))(ctx) == nil {
			balance(ctx, client, log)
		}
	})
	err = <-failed
	cancel()
	workers.Wait()
	return err
}

func surroundings(ctx context.Context) error {
	if err := os.MkdirAll("/var/lib/cni", 0o755); err != nil {
		return err
	}
	if err := space.Mounts([]string{"/run", "/var/log", "/var/lib/cni"}); err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run/netns").CombinedOutput(); err != nil {
		return fmt.Errorf("the lab's own /run/netns: %w: %s", err, output)
	}
	plan, err := cgroup.OfMachine()
	if err != nil {
		return err
	}
	if err := plan.Make(); err != nil {
		return err
	}
	return space.Network(ctx, address.NodeNet)
}

// listeners serves the three loopback ports of the machine, and the registry
// on the lab's own loopback too, where containerd asks it.
func listeners(ctx context.Context, c Config, fail func(what string, err error)) error {
	outside := make([]net.Listener, 0, 3)
	for fd := apiFile; fd <= registryFile; fd++ {
		file := os.NewFile(uintptr(fd), "socket")
		listener, err := net.FileListener(file)
		_ = file.Close() // the listener has a duplicate
		if err != nil {
			return fmt.Errorf("the machine's socket %d: %w", fd, err)
		}
		outside = append(outside, listener)
	}
	inside, err := new(net.ListenConfig).Listen(ctx, "tcp", address.Registry())
	if err != nil {
		return err
	}
	api := net.JoinHostPort(address.Loopback, address.APIPort)
	gateway := net.JoinHostPort(address.GatewayBalancer, address.GatewayPort)
	go func() { fail("forwarding to the API server", serve.Forward(ctx, outside[0], api)) }()
	go func() { fail("forwarding to the gateway", serve.Forward(ctx, outside[1], gateway)) }()
	go func() { fail("the registry", serve.Registry(c.Path("blobs"), inside, outside[2])) }()
	return nil
}
