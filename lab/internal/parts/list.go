package parts

import "path/filepath"

// The versions that programs say of themselves. They follow the go.mod of
// each part: change both together.
const (
	KubernetesVersion = "v1.37.2"
	IstioVersion      = "1.31.0"
	istioCommit       = "eed52ebb66ad"
	containerdVersion = "v2.4.2"
)

// BootstrapFile is what the part istio holds beside its programs: the template
// of Envoy's first configuration.
const BootstrapFile = "envoy_bootstrap.json"

// Set is every part of a lab, by what it is for.
type Set struct {
	Etcd, Kubernetes, Containerd, CoreDNS, Istio, Pause, Server Part
}

// List returns the parts as pinned by the checkout.
func List(checkout string) Set {
	lab := filepath.Join(checkout, "lab")
	source := func(name string) string { return filepath.Join(lab, "parts", name) }
	return Set{
		Etcd: Part{Name: "etcd", Source: source("etcd"), Packages: []string{"."}},
		Kubernetes: Part{
			Name: "kubernetes", Source: source("kubernetes"),
			Packages: []string{
				"k8s.io/kubernetes/cmd/kube-apiserver",
				"k8s.io/kubernetes/cmd/kube-controller-manager",
				"k8s.io/kubernetes/cmd/kube-scheduler",
				"k8s.io/kubernetes/cmd/kubelet",
				"k8s.io/kubernetes/cmd/kube-proxy",
				"k8s.io/kubernetes/cmd/kubectl",
			},
			Stamps: []string{
				"k8s.io/component-base/version.gitVersion=" + KubernetesVersion,
				"k8s.io/component-base/version.gitMajor=1",
				"k8s.io/component-base/version.gitMinor=37",
				"k8s.io/component-base/version.gitTreeState=clean",
				"k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion,
			},
		},
		Containerd: Part{
			Name: "containerd", Source: source("containerd"), Tags: "no_btrfs",
			Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			},
			Stamps: []string{"github.com/containerd/containerd/v2/version.Version=" + containerdVersion},
		},
		CoreDNS: Part{Name: "coredns", Source: source("coredns"), Packages: []string{"."}},
		Istio: Part{
			Name: "istio", Source: source("istio"),
			Packages: []string{
				"istio.io/istio/istioctl/cmd/istioctl",
				"istio.io/istio/pilot/cmd/pilot-agent",
				"istio.io/istio/pilot/cmd/pilot-discovery",
			},
			Files: []File{{"istio.io/istio", "tools/packaging/common/" + BootstrapFile}},
			Stamps: []string{
				"istio.io/istio/pkg/version.buildVersion=" + IstioVersion,
				"istio.io/istio/pkg/version.buildTag=" + IstioVersion,
				"istio.io/istio/pkg/version.buildGitRevision=" + istioCommit,
				"istio.io/istio/pkg/version.buildStatus=Clean",
				"istio.io/istio/pkg/version.buildHub=docker.io/istio",
			},
		},
		Pause: Part{
			Name: "pause", Source: lab, Packages: []string{"./pause"},
			Inputs: []string{filepath.Join(lab, "pause")},
		},
		Server: Part{
			Name: "server", Source: checkout, Packages: []string{"./testdata/server"},
			Inputs: []string{
				filepath.Join(checkout, "go.mod"), filepath.Join(checkout, "go.sum"),
				filepath.Join(checkout, "testdata", "server"),
			},
		},
	}
}
