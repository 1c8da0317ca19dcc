package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/kube"
)

// component is one process of the cluster.
type component struct {
	name      string
	command   []string
	await     func(ctx context.Context) error // what must answer before it starts; nil: nothing
	extraPath string                          // folder of helpers that it looks for in PATH
}

func components(c Config, client *kube.Client) []component {
	kubernetes := func(name string) string { return filepath.Join(c.Kubernetes, name) }
	certificate := func(name string) string { return c.Path("pki", name) }
	ready := func(ctx context.Context) error {
		return kube.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error { return client.Get(ctx, "/readyz", nil) })
	}
	return []component{
		{name: "containerd", extraPath: c.Containerd, command: []string{
			filepath.Join(c.Containerd, "containerd"), "--config", c.Path("conf", "containerd.toml"),
		}},
		{name: "etcd", command: []string{
			filepath.Join(c.Etcd, "etcd"),
			// The state is thrown away at the next start: no need to wait for disks.
			"--unsafe-no-fsync", "--data-dir", c.Path("etcd"),
			"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
			"--listen-peer-urls", "http://127.0.0.1:2380",
			"--initial-advertise-peer-urls", "http://127.0.0.1:2380", "--initial-cluster", "default=http://127.0.0.1:2380",
		}},
		{name: "kube-apiserver", await: dialled("127.0.0.1:2379"), command: []string{
			kubernetes("kube-apiserver"),
			"--etcd-servers=http://127.0.0.1:2379",
			"--bind-address=0.0.0.0", "--advertise-address=" + address.Node, "--secure-port=" + address.APIPort,
			"--service-cluster-ip-range=" + address.Services,
			"--tls-cert-file=" + certificate("apiserver.crt"), "--tls-private-key-file=" + certificate("apiserver.key"),
			"--client-ca-file=" + certificate("ca.crt"),
			"--kubelet-client-certificate=" + certificate("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + certificate("apiserver-kubelet-client.key"),
			"--kubelet-certificate-authority=" + certificate("ca.crt"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--api-audiences=api,istio-ca,https://kubernetes.default.svc",
			"--service-account-key-file=" + certificate("tokens.pub"),
			"--service-account-signing-key-file=" + certificate("tokens.key"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true", "--profiling=false",
			"--audit-policy-file=" + c.Path("conf", "audit.yaml"), "--audit-log-path=" + filepath.Join(c.Logs, "audit.log"),
		}},
		{name: "kube-controller-manager", await: ready, command: []string{
			kubernetes("kube-controller-manager"),
			"--kubeconfig=" + c.Path("conf", "controller-manager.kubeconfig"),
			"--service-account-private-key-file=" + certificate("tokens.key"),
			"--root-ca-file=" + certificate("ca.crt"),
			"--cluster-signing-cert-file=" + certificate("ca.crt"), "--cluster-signing-key-file=" + certificate("ca.key"),
			"--use-service-account-credentials=true", "--leader-elect=false", "--bind-address=127.0.0.1",
		}},
		{name: "kube-scheduler", await: ready, command: []string{
			kubernetes("kube-scheduler"),
			"--kubeconfig=" + c.Path("conf", "scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1",
		}},
		{name: "kubelet", await: ready, command: []string{
			kubernetes("kubelet"),
			"--config=" + c.Path("conf", "kubelet.yaml"), "--kubeconfig=" + c.Path("conf", "kubelet.kubeconfig"),
			"--root-dir=" + c.Path("kubelet"), "--cert-dir=" + c.Path("kubelet", "pki"),
			"--hostname-override=" + address.NodeName, "--node-ip=" + address.Node,
		}},
		{name: "kube-proxy", await: ready, command: []string{kubernetes("kube-proxy"), "--config=" + c.Path("conf", "proxy.yaml")}},
		{name: "coredns", await: ready, command: []string{filepath.Join(c.CoreDNS, "coredns"), "-conf", c.Path("conf", "Corefile")}},
	}
}

// dialled waits until something listens at target.
func dialled(target string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		return kube.Until(ctx, 50*time.Millisecond, func(ctx context.Context) error {
			connection, err := new(net.Dialer).DialContext(ctx, "tcp", target)
			if err != nil {
				return err
			}
			return connection.Close()
		})
	}
}

// environment is that of a component: the machine's without what could make a
// component talk to the machine's own cluster or proxy.
func (p component) environment() []string {
	environment := []string{"HOME=/", "LANG=C.UTF-8"}
	path := os.Getenv("PATH")
	if p.extraPath != "" {
		path = fmt.Sprintf("%s:%s", p.extraPath, path)
	}
	return append(environment, "PATH="+path)
}
