// Package mesh installs Istio into the lab's cluster and keeps what is asked
// of it: gateways, their pods, revisions.
package mesh

import (
	"encoding/json"

	"grpcmesh/lab/internal/option"
	"grpcmesh/lab/internal/parts"
)

// The images that the lab makes for Istio.
const (
	Hub   = "docker.io/istio"
	Proxy = Hub + "/proxyv2:" + parts.IstioVersion
	Pilot = Hub + "/pilot:" + parts.IstioVersion
)

// The second gateway, which is unlike the first in all that a tool could
// guess: name, namespace, selector and ports.
const (
	EdgeName      = "edge-gateway"
	EdgeNamespace = "edge"
	EdgeLabel     = "edge"
)

type object = map[string]any

func port(name string, number, target int) object {
	return object{"name": name, "port": number, "targetPort": target, "protocol": "TCP"}
}

// Operators is what to give to istioctl install, one after the other.
func Operators(o option.Options) []object {
	first := operator(o.GatewayReplicas, o.SecondGateway)
	if o.OnlyRevision {
		spec(first)["revision"] = o.Revision
		return []object{first}
	}
	if o.Revision == "" {
		return []object{first}
	}
	second := operator(0, false)
	spec(second)["revision"] = o.Revision
	// A gateway belongs to one control plane: the default one keeps it.
	spec(second)["profile"] = "minimal"
	delete(spec(second), "components")
	return []object{first, second}
}

func spec(operator object) object { return operator["spec"].(object) }

func operator(replicas int, edge bool) object {
	small := object{"requests": object{"cpu": "10m", "memory": "64Mi"}}
	gateways := []any{object{
		"name": "istio-ingressgateway", "enabled": true,
		"k8s": object{
			"replicaCount": replicas, "resources": small,
			"service": object{"ports": []any{
				port("status-port", 15021, 15021),
				port("http2", 80, 8080),
				port("https", 443, 8443),
				// A listener of the load balancer, as its owner adds it. The
				// name tells no protocol: that is the Gateway's to say.
				port("tcp-clb-8000", 8000, 8000),
			}},
		},
	}}
	if edge {
		gateways = append(gateways, object{
			"name": EdgeName, "namespace": EdgeNamespace, "enabled": true,
			"label": object{"app": EdgeName, "istio": EdgeLabel},
			"k8s": object{
				"replicaCount": 1, "resources": small,
				"service": object{"ports": []any{
					port("status-port", 15021, 15021),
					port("tls-edge", 9443, 9443),
					port("tcp-edge", 31400, 31400),
					port("grpc-edge", 18000, 18000),
				}},
			},
		})
	}
	return object{
		"apiVersion": "install.istio.io/v1alpha1",
		"kind":       "IstioOperator",
		"metadata":   object{"name": "lab", "namespace": "istio-system"},
		"spec": object{
			"profile": "default", "hub": Hub, "tag": parts.IstioVersion,
			"components": object{"ingressGateways": gateways},
			"values": object{
				// These need filters that only Istio's own build of Envoy has.
				"telemetry": object{"enabled": false},
				"pilot": object{
					"env": object{
						"PILOT_ENABLE_METADATA_EXCHANGE": "false",
						"PILOT_ENABLE_ALPN_FILTER":       "false",
					},
					// Without metrics an autoscaler only fights who scales by hand.
					"autoscaleEnabled": false,
					"resources":        small,
				},
				"gateways": object{"istio-ingressgateway": object{"autoscaleEnabled": false}},
				"global":   object{"proxy": object{"resources": object{"requests": object{"cpu": "5m", "memory": "32Mi"}}}},
			},
		},
	}
}

// render is the operator as istioctl reads it; JSON is YAML.
func render(operator object) ([]byte, error) { return json.MarshalIndent(operator, "", "  ") }
