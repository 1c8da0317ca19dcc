package cmd

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/report"
)

func (x *exposer) document(dryRun string) *report.Expose {
	doc := &report.Expose{
		APIVersion: report.APIVersion, Kind: "ExposeReport",
		Namespace: x.workload.Namespace, Workload: x.workload.String(),
		TargetPort: x.port.Port, PortFrom: x.port.How, Injection: x.injection,
		Gateway: report.GatewayRef{Service: x.ingress.String(), Type: string(x.ingress.Type),
			Port: x.open.Port, Replicas: len(x.ingress.Pods)},
		Host:     x.exposure.Host,
		Warnings: x.warnings,
		Findings: finding.Sort(x.findings),
	}
	if tls := x.exposure.TLS; tls.On() {
		doc.TLS = &report.TLS{Secret: tls.Secret, Mode: tls.Mode()}
	}
	if dryRun != "none" {
		doc.DryRun = dryRun
	}
	for _, a := range x.ingress.Addresses {
		doc.Addresses = append(doc.Addresses, net.JoinHostPort(a, strconv.Itoa(x.open.Port)))
	}
	if len(doc.Addresses) == 0 && x.node != "" {
		doc.Gateway.NodePort = x.open.NodePort
		doc.Addresses = []string{net.JoinHostPort(x.node, strconv.Itoa(x.open.NodePort))}
	}
	if len(doc.Addresses) > 0 {
		doc.Verify = x.verifyCommand(doc.Addresses[0])
		return doc
	}
	local := localPort(x.open.Port)
	doc.Forward = x.o.called.kubectl("port-forward", "-n", x.ingress.Namespace,
		"service/"+x.ingress.Service, fmt.Sprintf("%d:%d", local, x.open.Port))
	doc.Verify = x.verifyCommand(net.JoinHostPort("127.0.0.1", strconv.Itoa(local)))
	return doc
}

// noted puts into the report why the run was cut short, and gives it back.
func (x *exposer) noted(err error) error {
	if x.failed = err; err != nil {
		x.doc.Error = err.Error()
	}
	return err
}

// verifyCommand proves what this run exposes, by the address.
func (x *exposer) verifyCommand(addr string) string {
	args := []string{"--addr", addr}
	if x.exposure.Host != "*" {
		args = append(args, "--authority", authorityFor(x.exposure.Host, ""))
	}
	metadata := x.exposure.Route.Metadata()
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		args = append(args, "--metadata", name+"="+metadata[name])
	}
	if x.exposure.TLS.On() {
		args = append(args, "--tls")
	}
	if x.ownCA {
		args = append(args, "--ca-file", "FILE")
	}
	if x.exposure.TLS.Mutual {
		args = append(args, "--cert", "FILE", "--key", "FILE")
	}
	if x.shared {
		ns, name, _ := strings.Cut(x.routedBy()[0], "/")
		args = append(args, "-n", ns, "--virtual-service", name)
	}
	return x.o.called.grpcmesh("verify", args...)
}

// localPort is a port of this machine to forward from: the same number, or
// where only root may listen there, one above.
func localPort(port int) int {
	if port < 1024 {
		return port + 8000
	}
	return port
}

// authorityFor is a name that the host pattern takes: itself, or some name
// below a wildcard; for "*" the address.
func authorityFor(host, address string) string {
	switch {
	case host == "*" && address != "":
		return address
	case host == "*":
		return "grpcmesh.invalid"
	case strings.HasPrefix(host, "*."):
		return "grpcmesh" + host[1:]
	}
	return host
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
