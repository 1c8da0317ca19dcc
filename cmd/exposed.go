package cmd

import (
	"net"
	"strconv"
	"strings"

	"grpcmesh/internal/report"
)

func (x *exposer) document(dryRun string) *report.Expose {
	doc := &report.Expose{
		APIVersion: report.APIVersion, Kind: "ExposeReport",
		Namespace: x.workload.Namespace, Workload: x.workload.String(),
		TargetPort: x.port.Port, PortFrom: x.port.How, Injection: x.injection,
		Gateway:  report.GatewayRef{Service: x.ingress.String(), Port: x.open.Port, Replicas: len(x.ingress.Pods)},
		Host:     x.exposure.Host,
		Warnings: x.warnings,
	}
	if dryRun != "none" {
		doc.DryRun = dryRun
	}
	for _, a := range x.ingress.Addresses {
		doc.Addresses = append(doc.Addresses, net.JoinHostPort(a, strconv.Itoa(x.open.Port)))
	}
	addr := "HOST:" + strconv.Itoa(x.open.Port)
	if len(doc.Addresses) > 0 {
		addr = doc.Addresses[0]
	}
	doc.Verify = "grpcmesh verify --addr " + addr
	if x.exposure.Host != "*" {
		doc.Verify += " --authority " + authorityFor(x.exposure.Host, "")
	}
	return doc
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
