package mesh

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"grpcmesh/lab/internal/option"
)

// shape is what the tests look at, read back from what istioctl would read.
type shape struct {
	Spec struct {
		Profile, Hub, Revision string
		Components             struct {
			IngressGateways []struct {
				Name, Namespace string
				Label           map[string]string
				K8s             struct {
					ReplicaCount int
					Service      struct {
						Ports []struct {
							Name             string
							Port, TargetPort int
						}
					}
				}
			}
		}
	}
}

func shapes(t *testing.T, o option.Options) []shape {
	t.Helper()
	var all []shape
	for _, operator := range Operators(o) {
		text, err := render(operator)
		if err != nil {
			t.Fatal(err)
		}
		var one shape
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func TestTheGatewayIsTheProceduresOwn(t *testing.T) {
	all := shapes(t, option.Options{GatewayReplicas: 2})
	if len(all) != 1 || len(all[0].Spec.Components.IngressGateways) != 1 || all[0].Spec.Revision != "" {
		t.Fatalf("got %+v", all)
	}
	gateway := all[0].Spec.Components.IngressGateways[0]
	// No labels of ours: the default ones are what the procedure selects by.
	if gateway.Name != "istio-ingressgateway" || gateway.Label != nil || gateway.K8s.ReplicaCount != 2 {
		t.Errorf("got %+v", gateway)
	}
	ports := map[int]int{}
	for _, p := range gateway.K8s.Service.Ports {
		ports[p.Port] = p.TargetPort
	}
	if want := map[int]int{15021: 15021, 80: 8080, 443: 8443, 8000: 8000}; !maps.Equal(ports, want) {
		t.Errorf("ports %v, want %v", ports, want)
	}
}

func TestTheSecondGatewaySharesNothing(t *testing.T) {
	gateways := shapes(t, option.Options{GatewayReplicas: 1, SecondGateway: true})[0].Spec.Components.IngressGateways
	if len(gateways) != 2 {
		t.Fatalf("got %+v", gateways)
	}
	edge := gateways[1]
	if edge.Namespace == "" || edge.Label["istio"] == "ingressgateway" || edge.Label["app"] == "istio-ingressgateway" {
		t.Errorf("got %+v", edge)
	}
	for _, p := range edge.K8s.Service.Ports {
		for _, q := range gateways[0].K8s.Service.Ports {
			if p.Port == q.Port && p.Port != 15021 {
				t.Errorf("port %d is both gateways'", p.Port)
			}
		}
	}
}

func TestRevisions(t *testing.T) {
	beside := shapes(t, option.Options{GatewayReplicas: 1, Revision: "1-31-0"})
	if len(beside) != 2 || beside[0].Spec.Revision != "" || beside[1].Spec.Revision != "1-31-0" || len(beside[1].Spec.Components.IngressGateways) != 0 || beside[1].Spec.Profile != "minimal" {
		t.Errorf("beside the default: %+v", beside)
	}
	only := shapes(t, option.Options{GatewayReplicas: 1, Revision: "1-31-0", OnlyRevision: true})
	if len(only) != 1 || only[0].Spec.Revision != "1-31-0" || len(only[0].Spec.Components.IngressGateways) != 1 {
		t.Errorf("alone: %+v", only)
	}
}

func TestDeploymentsFollowTheOptions(t *testing.T) {
	for want, o := range map[string]option.Options{
		"istio-system/istio-ingressgateway=3 istio-system/istiod=1":                              {GatewayReplicas: 3},
		"edge/edge-gateway=1 istio-system/istio-ingressgateway=1 istio-system/istiod=1":          {GatewayReplicas: 1, SecondGateway: true},
		"istio-system/istio-ingressgateway=1 istio-system/istiod=1 istio-system/istiod-canary=1": {GatewayReplicas: 1, Revision: "canary"},
		"istio-system/istio-ingressgateway=1 istio-system/istiod-canary=1":                       {GatewayReplicas: 1, Revision: "canary", OnlyRevision: true},
	} {
		got := Deployments(o)
		for _, word := range strings.Fields(want) {
			name, count, _ := strings.Cut(word, "=")
			if got[name] != int(count[0]-'0') {
				t.Errorf("%s: %d of %s, want %s", o, got[name], name, count)
			}
		}
		if len(got) != len(strings.Fields(want)) {
			t.Errorf("%s: got %v", o, got)
		}
	}
}
