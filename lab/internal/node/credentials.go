package node

import (
	"os"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/pki"
)

// Credentials makes all certificates, keys and kubeconfigs of a new lab. The
// administrator's kubeconfig is the file kubeconfig of the run folder.
func Credentials(c Config) error {
	authority, err := pki.New(c.Path("pki"))
	if err != nil {
		return err
	}
	if err := authority.IssueKey("tokens"); err != nil {
		return err
	}
	inside := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + address.Domain}
	requests := []pki.Request{
		{Name: "apiserver", Hosts: append([]string{"localhost", address.Loopback, address.Node, address.Kubernetes}, inside...)},
		{Name: "kubelet-serving", Hosts: []string{address.NodeName, address.Node}},
		{Name: "apiserver-kubelet-client", Groups: []string{"system:masters"}},
	}
	for _, request := range requests {
		if err := authority.Issue(request); err != nil {
			return err
		}
	}
	for file, request := range map[string]pki.Request{
		"kubeconfig":                         {Name: "lab-admin", Groups: []string{"system:masters"}},
		"conf/controller-manager.kubeconfig": {Name: "controller-manager", User: "system:kube-controller-manager"},
		"conf/scheduler.kubeconfig":          {Name: "scheduler", User: "system:kube-scheduler"},
		"conf/proxy.kubeconfig":              {Name: "proxy", User: "system:kube-proxy"},
		"conf/kubelet.kubeconfig":            {Name: "kubelet", User: "system:node:" + address.NodeName, Groups: []string{"system:nodes"}},
		"conf/dns.kubeconfig":                {Name: "dns", Groups: []string{"system:masters"}},
	} {
		if err := authority.Issue(request); err != nil {
			return err
		}
		text, err := authority.Kubeconfig(address.API(), request.Name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Path(file), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
