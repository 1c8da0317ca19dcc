package istio

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

func TestChooseIngress(t *testing.T) {
	one := Ingress{Namespace: "istio-system", Service: "istio-ingressgateway", Selector: map[string]string{"app": "istio-ingressgateway", "istio": "ingressgateway"}}
	two := Ingress{Namespace: "edge", Service: "gw-1", Selector: map[string]string{"app": "istio-ingressgateway-1", "istio": "ingressgateway"}}
	for _, tc := range []struct {
		name     string
		all      []Ingress
		selector map[string]string
		want     string // the one chosen, or how the error begins
		cands    []string
	}{
		{"the only one", []Ingress{one}, nil, "istio-system/istio-ingressgateway", nil},
		{"the only one, by part of its labels", []Ingress{one}, map[string]string{"istio": "ingressgateway"}, "istio-system/istio-ingressgateway", nil},
		{"one of two, by what tells them apart", []Ingress{one, two}, map[string]string{"app": "istio-ingressgateway-1"}, "edge/gw-1", nil},
		{"two", []Ingress{one, two}, nil, "GM151: 2 ingress gateways fit; which one?", []string{
			"istio-system/istio-ingressgateway: --gateway-selector app=istio-ingressgateway,istio=ingressgateway",
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"a label that Tencent's gateways share", []Ingress{one, two}, map[string]string{"istio": "ingressgateway"}, "GM151: 2 ingress gateways fit", []string{
			"istio-system/istio-ingressgateway: --gateway-selector app=istio-ingressgateway,istio=ingressgateway",
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"none fits", []Ingress{two}, map[string]string{"app": "nosuch"}, "GM151: no ingress gateway has the labels app=nosuch; there are", []string{
			"edge/gw-1: --gateway-selector app=istio-ingressgateway-1,istio=ingressgateway"}},
		{"none", nil, nil, "GM150: no ingress gateway in this cluster", nil},
	} {
		got, _, err := ChooseIngress(tc.all, tc.selector, 0, 8000)
		if err == nil {
			if got.String() != tc.want {
				t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
			}
			continue
		}
		var target *manifest.TargetError
		if !errors.As(err, &target) || !strings.HasPrefix(err.Error(), tc.want) || !slices.Equal(target.Candidates, tc.cands) {
			t.Errorf("%s: %v; want %q and the candidates %v", tc.name, err, tc.want, tc.cands)
		}
	}
}

// before is a Service before the pods of one gateway.
func before(service string, set func(*Ingress)) Ingress {
	selector := map[string]string{"istio": "ingressgateway"}
	in := Ingress{Namespace: "istio-system", Service: service, Selector: selector, Pods: []corev1.Pod{routerPod(selector, true)},
		Ports: []IngressPort{{Port: 80, Target: 8080}, {Port: 8000, Target: 8000}}}
	if set != nil {
		set(&in)
	}
	return in
}

// TestChooseServiceOfAGateway: Services before the same pods are one gateway;
// which of them is taken depends on what they open and how they are reached.
func TestChooseServiceOfAGateway(t *testing.T) {
	balanced := func(in *Ingress) { in.Addresses = []string{"203.0.113.10"} }
	nodePort := func(in *Ingress) { in.Ports[0].NodePort = 30080 }
	only80 := func(in *Ingress) { in.Ports = in.Ports[:1] }
	otherSelector := func(in *Ingress) { in.Selector = map[string]string{"app": "gateway"} }
	elsewhere := func(in *Ingress) { in.Namespace = "edge" }
	both := func(sets ...func(*Ingress)) func(*Ingress) {
		return func(in *Ingress) {
			for _, set := range sets {
				set(in)
			}
		}
	}
	otherPods := func(in *Ingress) {
		in.Pods = slices.Clone(in.Pods)
		in.Pods[0].Name = "another"
	}
	asleep := func(in *Ingress) { in.Pods, in.Asleep = nil, true }
	for _, tc := range []struct {
		name  string
		all   []Ingress
		asked int
		want  string // the one chosen, or what the error says
		alike string
	}{
		{"a load balancer beside a ClusterIP", []Ingress{before("a", nil), before("b", balanced)}, 0, "istio-system/b", ""},
		{"a node port beside a ClusterIP", []Ingress{before("a", nil), before("b", nodePort)}, 0, "istio-system/b", ""},
		{"a load balancer beside a node port", []Ingress{before("a", nodePort), before("b", balanced)}, 0, "istio-system/b", ""},
		{"two load balancers", []Ingress{before("b", balanced), before("a", balanced)}, 0, "istio-system/a", "istio-system/b"},
		{"two load balancers, one opens the Service's port", []Ingress{before("a", both(balanced, only80)), before("b", balanced)}, 0, "istio-system/b", ""},
		{"two load balancers, one opens the port asked for", []Ingress{before("a", both(balanced, only80)), before("b", balanced)}, 8000, "istio-system/b", ""},
		{"only the ClusterIP opens the port asked for", []Ingress{before("a", both(balanced, only80)), before("b", nil)}, 8000, "istio-system/b", ""},
		{"only the ClusterIP opens the Service's port: the load balancer's 80 will do", []Ingress{before("b", nil), before("a", both(balanced, only80))}, 0, "istio-system/a", ""},
		{"the same pods by another selector", []Ingress{before("a", nil), before("b", both(otherSelector, balanced))}, 0, "istio-system/b", ""},
		{"Knative's own", []Ingress{before("a", both(balanced, func(in *Ingress) { in.Untranslated = true })), before("b", nil)}, 0, "istio-system/b", ""},
		{"the same selector in another namespace", []Ingress{before("a", nil), before("b", elsewhere)}, 0, "2 ingress gateways fit", ""},
		{"other pods", []Ingress{before("a", nil), before("b", both(otherSelector, otherPods))}, 0, "2 ingress gateways fit", ""},
		{"one asleep", []Ingress{before("a", both(elsewhere, asleep)), before("b", nil)}, 0, "istio-system/b", ""},
		{"asleep", []Ingress{before("a", asleep)}, 0, "gateway istio-system/a is not ready: it has no pods: it is scaled to 0", ""},
	} {
		got, alike, err := ChooseIngress(tc.all, nil, tc.asked, 8000)
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v; want %q", tc.name, err, tc.want)
			}
			continue
		}
		var names []string
		for _, in := range alike {
			names = append(names, in.String())
		}
		if got.String() != tc.want || strings.Join(names, " ") != tc.alike {
			t.Errorf("%s: %s, as good as %v; want %s, %s", tc.name, got, names, tc.want, tc.alike)
		}
	}
	var not *k8s.NotReadyError
	if _, _, err := ChooseIngress([]Ingress{before("a", asleep)}, nil, 0, 8000); !errors.As(err, &not) || !strings.Contains(not.Hint, "istio=ingressgateway") {
		t.Errorf("asleep: %v; want a NotReadyError that names the labels", err)
	}
}

// TestContradiction: where two Services of a gateway lead one port number to
// different ports of the pods, nobody knows which one istiod listens on.
func TestContradiction(t *testing.T) {
	other := before("b", func(in *Ingress) { in.Ports[1].Target = 9000 })
	in, _, err := ChooseIngress([]Ingress{before("a", nil), other}, nil, 0, 8000)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ChoosePort(in, 0, 8000); err != nil || p.Port != 80 {
		t.Errorf("port %d, %v; want 80, on which they agree", p.Port, err)
	}
	const want = "port 8000 leads to port 8000 of its pods and, by Service istio-system/b, to their port 9000"
	if _, err := ChoosePort(in, 8000, 8000); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
	other.Untranslated = true // istiod does not look at it
	if in, _, err = ChooseIngress([]Ingress{before("a", nil), other}, nil, 0, 8000); err != nil || in.Ports[1].Barred != "" {
		t.Errorf("beside Knative's own: %v, barred %q", err, in.Ports[1].Barred)
	}
}

// TestCandidatesChoose: whatever candidate is printed, its flag chooses it.
func TestCandidatesChoose(t *testing.T) {
	gw := func(namespace string, selector, labels map[string]string) Ingress {
		pod := routerPod(labels, true)
		return Ingress{Namespace: namespace, Service: "gw", Selector: selector, Pods: []corev1.Pod{pod}}
	}
	type m = map[string]string
	for _, tc := range []struct {
		name string
		all  []Ingress
		want []string
	}{
		{"one's selector takes the other's pods", []Ingress{
			gw("a", m{"istio": "ig"}, m{"istio": "ig", "app": "a"}), gw("b", m{"istio": "ig", "app": "b"}, m{"istio": "ig", "app": "b"})},
			[]string{"a/gw: --gateway-selector istio=ig", "b/gw: --gateway-selector app=b,istio=ig"}},
		{"one selector, other labels", []Ingress{
			gw("a", m{"istio": "ig"}, m{"istio": "ig", "pod-template-hash": "1", "zone": "x"}), gw("b", m{"istio": "ig"}, m{"istio": "ig", "pod-template-hash": "2", "zone": "y"})},
			[]string{"a/gw: --gateway-selector istio=ig,zone=x", "b/gw: --gateway-selector istio=ig,zone=y"}},
		{"three", []Ingress{gw("a", m{"i": "g"}, m{"i": "g", "k": "1", "l": "1"}), gw("b", m{"i": "g"}, m{"i": "g", "k": "2", "l": "1"}), gw("c", m{"i": "g"}, m{"i": "g", "k": "1", "l": "2"})},
			[]string{"a/gw: --gateway-selector i=g,k=1,l=1", "b/gw: --gateway-selector i=g,k=2", "c/gw: --gateway-selector i=g,l=2"}},
		{"nothing tells them apart", []Ingress{gw("a", m{"istio": "ig"}, m{"istio": "ig"}), gw("b", m{"istio": "ig"}, m{"istio": "ig"})},
			[]string{"a/gw: its pods have no label that tells them from the others'; give them one", "b/gw: its pods have no label that tells them from the others'; give them one"}},
	} {
		_, _, err := ChooseIngress(tc.all, nil, 0, 8000)
		var target *manifest.TargetError
		if !errors.As(err, &target) || !slices.Equal(target.Candidates, tc.want) {
			t.Errorf("%s: %v; want the candidates %q", tc.name, err, tc.want)
			continue
		}
		for i, line := range target.Candidates {
			_, flag, ok := strings.Cut(line, "--gateway-selector ")
			if !ok {
				continue
			}
			selector := m{}
			for _, part := range strings.Split(flag, ",") {
				k, v, _ := strings.Cut(part, "=")
				selector[k] = v
			}
			if got, _, err := ChooseIngress(tc.all, selector, 0, 8000); err != nil || got.String() != tc.all[i].String() {
				t.Errorf("%s: --gateway-selector %s chooses %s, %v; want %s", tc.name, flag, got, err, tc.all[i])
			}
		}
	}
}
