// Package address holds where everything of a lab is to be found. The lab has
// a network of its own, so these can clash only with what it runs itself; the
// three loopback ports are the machine's too.
package address

import "net"

// Hosts, ports, networks and names of a lab, the same for every one.
const (
	Loopback = "127.0.0.1"

	APIPort      = "16443" // the API server, on the loopback of the machine and of the lab
	GatewayPort  = "8000"  // the ingress gateway, on the machine's loopback
	RegistryPort = "5000"  // the registry, on the loopback of the machine and of the lab

	Node     = "10.97.0.1"
	NodeNet  = "10.97.0.1/24"
	NodeName = "lab"

	Pods       = "10.244.0.0/16"
	Services   = "10.96.0.0/16"
	Kubernetes = "10.96.0.1"  // the Service kubernetes, always the first address
	DNS        = "10.96.0.10" // the Service kube-dns

	// Balancers are the addresses that Services of type LoadBalancer get, the
	// first of them always the default ingress gateway's.
	Balancers       = "10.99.0.0/24"
	GatewayBalancer = "10.99.0.1"

	Domain = "cluster.local"
)

// API is the API server's URL, outside and inside.
func API() string { return "https://" + net.JoinHostPort(Loopback, APIPort) }

// Registry is the registry's host and port, outside and inside.
func Registry() string { return net.JoinHostPort(Loopback, RegistryPort) }

// Gateway is the ingress gateway's host and port on the machine.
func Gateway() string { return net.JoinHostPort(Loopback, GatewayPort) }
