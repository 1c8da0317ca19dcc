// Package manifest holds what the user asked for, the Intent, and the objects
// that it means. It is pure: it reads no cluster and no clock.
package manifest

import (
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// DefaultPort is the Service's port where --port is silent; it is the one that
// the procedure uses, and a load balancer's listener is opened under the same
// number.
const DefaultPort = 8000

// Intent is what the user asked expose for, before the cluster has been read.
// A zero field means "find out".
type Intent struct {
	Namespace       string
	Workload        string            // "NAME" or "KIND/NAME"; empty: the only one there
	Port            int               // the Service's port
	TargetPort      int               // the port the app listens on; 0: find it
	Host            string            // the host that the route serves, or a pattern for HostFor; "*": any
	MatchService    string            // full names of gRPC services by commas, or AutoServices; empty: every call
	Gateway         string            // "NAME" or "NAMESPACE/NAME" of the Gateway to bind the route to; empty: find one that serves, or make one
	GatewayPort     int               // the gateway's port; 0: choose one that is open
	GatewaySelector map[string]string // labels of the gateway's pods; nil: find the gateway
	Inject          string            // InjectNamespace (also empty), InjectPod or InjectNone
	Revision        string            // the mesh's revision; empty: read it from the injector
	TLSSecret       string            // of the gateway's certificate; empty: plaintext
	TLSMode         string            // ModeSimple or ModeMutual; empty: simple
	PodLabels       map[string]string // of the workload's pods; only read where no cluster is asked
	Route           Route
}

// HostFor fills {workload} and {namespace} into a host pattern.
func HostFor(pattern, workload, namespace string) string {
	return strings.NewReplacer("{workload}", workload, "{namespace}", namespace).Replace(pattern)
}

// protoName is a protobuf full name: identifiers joined by dots.
var protoName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// Validate reports the first thing in the Intent that cannot be right, as an
// *InvalidError, or nil. It looks at the Intent alone.
func (i Intent) Validate() error {
	if msgs := validation.IsDNS1123Label(i.Namespace); len(msgs) > 0 {
		return &InvalidError{"--namespace", i.Namespace, msgs[0]}
	}
	if i.Workload != "" {
		if _, _, err := ParseWorkload(i.Workload); err != nil {
			return err
		}
	}
	if err := validPort("--port", i.Port, false); err != nil {
		return err
	}
	if err := validPort("--target-port", i.TargetPort, true); err != nil {
		return err
	}
	if err := validPort("--gateway-port", i.GatewayPort, true); err != nil {
		return err
	}
	if err := validHost(HostFor(i.Host, "workload", "namespace")); err != nil {
		return err
	}
	if err := i.validServices(); err != nil {
		return err
	}
	if err := i.Route.validate(); err != nil {
		return err
	}
	if err := i.validTLS(); err != nil {
		return err
	}
	if err := i.validGateway(); err != nil {
		return err
	}
	if err := validLabels("--gateway-selector", i.GatewaySelector); err != nil {
		return err
	}
	if err := validLabels("--pod-labels", i.PodLabels); err != nil {
		return err
	}
	if !slices.Contains([]string{"", InjectNamespace, InjectPod, InjectNone}, i.Inject) {
		return &InvalidError{"--inject", i.Inject, "is none of namespace, pod and none"}
	}
	if i.Revision != "" && i.Inject == InjectNone {
		return &InvalidError{"--revision", i.Revision, "a revision injects, and with --inject none nothing is to"}
	}
	if i.Revision != "" {
		if msgs := validation.IsDNS1123Label(i.Revision); len(msgs) > 0 {
			return &InvalidError{"--revision", i.Revision, msgs[0]}
		}
	}
	return nil
}

// ParseWorkload splits "NAME" or "KIND/NAME". The kind is one of Deployment,
// StatefulSet and DaemonSet, in any of kubectl's spellings; it is empty where
// only a name was given.
func ParseWorkload(arg string) (kind, name string, err error) {
	name = arg
	if k, n, ok := strings.Cut(arg, "/"); ok {
		kind, name = workloadKind(k), n
		if kind == "" {
			return "", "", &InvalidError{"WORKLOAD", arg,
				"the kind is none of deployment, statefulset and daemonset"}
		}
	}
	if msgs := validation.IsDNS1123Subdomain(name); len(msgs) > 0 {
		return "", "", &InvalidError{"WORKLOAD", arg, msgs[0]}
	}
	return kind, name, nil
}

// workloadKind is the kind that one of kubectl's spellings names, or "".
func workloadKind(spelling string) string {
	switch strings.TrimSuffix(strings.ToLower(spelling), ".apps") {
	case "deployment", "deployments", "deploy":
		return "Deployment"
	case "statefulset", "statefulsets", "sts":
		return "StatefulSet"
	case "daemonset", "daemonsets", "ds":
		return "DaemonSet"
	}
	return ""
}

// validLabels reports the first label that the API server would refuse, as an
// *InvalidError of the flag that gave it.
func validLabels(flag string, labels map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if msgs := slices.Concat(validation.IsQualifiedName(k), validation.IsValidLabelValue(labels[k])); len(msgs) > 0 {
			return &InvalidError{flag, k + "=" + labels[k], msgs[0]}
		}
	}
	return nil
}

// ValidName says whether calls can ask for a host of that name: a DNS name in
// any case, or an address.
func ValidName(host string) bool {
	return net.ParseIP(host) != nil || len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0
}

func validPort(field string, port int, zeroOK bool) error {
	if port == 0 && zeroOK {
		return nil
	}
	if port < 1 || port > 65535 {
		return &InvalidError{field, strconv.Itoa(port), "a port is a number from 1 to 65535"}
	}
	return nil
}

// hostOf is the name in a URL, or an example of one.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	name, _, _ := strings.Cut(rest, "/")
	if name, _, _ = strings.Cut(name, ":"); ValidName(name) {
		return name
	}
	return "greeter.example.com"
}

func validHost(host string) error {
	invalid := func(reason string) error { return &InvalidError{"--host", host, reason} }
	switch {
	case host == "*":
		return nil
	case strings.HasPrefix(host, "*"):
		if msgs := validation.IsWildcardDNS1123Subdomain(host); len(msgs) > 0 {
			return invalid(`a wildcard host is "*" or "*.example.com"`)
		}
	case net.ParseIP(strings.Trim(host, "[]")) != nil && strings.Contains(host, ":"):
		return invalid("Istio takes no IPv6 address as a host; name a domain, or \"*\" for any")
	case net.ParseIP(host) != nil:
		return nil
	case strings.Contains(host, "://"):
		return invalid("it is a URL; a host is just its name, such as " + hostOf(host))
	case strings.Contains(host, ":"):
		return invalid("a host carries no port here; --gateway-port sets it")
	default:
		if msgs := validation.IsDNS1123Subdomain(host); len(msgs) > 0 {
			return invalid(msgs[0])
		}
	}
	return nil
}
