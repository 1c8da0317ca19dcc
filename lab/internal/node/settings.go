package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/cgroup"
)

// Settings writes the configuration file of every component.
func Settings(c Config) error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("%w; install the package runc", err)
	}
	values := strings.NewReplacer(
		"{run}", c.Run, "{logs}", c.Logs, "{runc}", runc, "{registry}", address.Registry(),
		"{pods}", address.Pods, "{dns}", address.DNS, "{domain}", address.Domain,
		"{node}", address.Node, "{name}", address.NodeName, "{cgroup}", "/"+cgroup.Name, "{pause}", PauseImage,
	)
	for file, text := range map[string]string{
		"conf/audit.yaml":                  audit,
		"conf/containerd.toml":             containerd,
		"conf/certs.d/_default/hosts.toml": mirror,
		"conf/cni/10-lab.conflist":         cni,
		"conf/kubelet.yaml":                kubelet,
		"conf/proxy.yaml":                  proxy,
		"conf/Corefile":                    corefile,
		"conf/resolv.conf":                 resolver,
		"conf/node-resolv.conf":            "",
	} {
		path := c.Path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(values.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// PauseImage is the image of every pod's first container.
const PauseImage = "docker.io/lab/pause:1"

// Every request is recorded once, when it is answered.
const audit = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj, hence
// restrict_oom_score_adj.
const containerd = `version = 3
root = "{run}/containerd/root"
state = "{run}/containerd/state"

[grpc]
  address = "{run}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{run}/containerd/opt"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  max_concurrent_downloads = 6
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{run}/conf/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  # A profile would be loaded into the machine's kernel and stay there.
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{run}/conf/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
`

// The lab's registry answers for every registry, Docker's included, so that
// manifests made for the world run unchanged.
const mirror = `server = "http://{registry}"

[host."http://{registry}"]
  capabilities = ["pull", "resolve"]
`

// ptp routes each pod by itself. With a bridge, traffic from a pod to a
// Service and back to a pod beside it would pass the kernel's address
// translation only with the br_netfilter module, which not every kernel has.
const cni = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni/addresses",
        "ranges": [[{"subnet": "{pods}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

const kubelet = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: "{run}/pki/ca.crt"}
authorization: {mode: Webhook}
tlsCertFile: "{run}/pki/kubelet-serving.crt"
tlsPrivateKeyFile: "{run}/pki/kubelet-serving.key"
containerRuntimeEndpoint: "unix://{run}/containerd.sock"
cgroupDriver: cgroupfs
cgroupRoot: "{cgroup}"
failCgroupV1: false
failSwapOn: false
clusterDNS: ["{dns}"]
clusterDomain: "{domain}"
resolvConf: "{run}/conf/node-resolv.conf"
podLogsDir: "{run}/pods"
volumePluginDir: "{run}/kubelet/volume-plugins"
serializeImagePulls: false
registryPullQPS: 0
imageGCHighThresholdPercent: 100
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
`

// Connection tracking is the machine's: the lab leaves its limits alone.
const proxy = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: "{pods}"
hostnameOverride: "{name}"
clientConnection: {kubeconfig: "{run}/conf/proxy.kubeconfig"}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 100ms}
`

const corefile = `.:53 {
    bind {node}
    errors
    ready 127.0.0.1:8181
    kubernetes {domain} in-addr.arpa {
        kubeconfig {run}/conf/dns.kubeconfig
        pods insecure
        ttl 2
    }
    cache 2
}
`

// For programs that lab/run starts: they are in no namespace, so a Service is
// named with its own, as in server.test or server.test.svc.
const resolver = `nameserver {node}
search svc.{domain} {domain}
options ndots:5
`
