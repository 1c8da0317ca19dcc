package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
)

// Keeper is who writes the ports of a gateway's Service, by the field managers
// that the API server notes.
type Keeper struct {
	Manager string    // the only one that owns a port beside the status port; "": there are several, or none
	Wrote   time.Time // when it last changed what it owns
}

// keeper reads who owns the ports that calls come by; where there is none yet,
// who owns the status port.
func keeper(svc *corev1.Service) Keeper {
	var calls, status []Keeper
	for _, m := range svc.ManagedFields {
		var fields struct {
			Spec struct {
				Ports map[string]json.RawMessage `json:"f:ports"`
			} `json:"f:spec"`
		}
		if m.Subresource != "" || m.FieldsV1 == nil || json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		k := Keeper{Manager: m.Manager}
		if m.Time != nil {
			k.Wrote = m.Time.Time
		}
		owns := func(status bool) bool {
			for key := range fields.Spec.Ports {
				if strings.HasPrefix(key, "k:") && strings.Contains(key, fmt.Sprintf(`"port":%d,`, statusPort)) == status {
					return true
				}
			}
			return false
		}
		if owns(false) {
			calls = append(calls, k)
		}
		if owns(true) {
			status = append(status, k)
		}
	}
	if len(calls) == 0 {
		calls = status
	}
	if len(calls) != 1 {
		return Keeper{}
	}
	return calls[0]
}

// byHand says whether people write under the name, or tools that copy what
// people keep elsewhere: these follow no Gateway.
func byHand(manager string) bool {
	tools := []string{"kubectl", "helm", "istio-operator", "istioctl", "argocd", "kustomize-controller", "flux", "terraform", "pulumi", "before-first-apply"}
	return slices.ContainsFunc(tools, func(tool string) bool { return strings.HasPrefix(strings.ToLower(manager), tool) })
}

// Follower is the manager that opens on the ingress's Service what the Gateways
// ask for, and nothing else, as far as the cluster's objects tell; or "". Of
// Tencent's mesh it is known that a controller does so; by what name it writes
// is not, so it is known by what it does: the Service opens exactly the ports
// that Gateways name for its pods, beside the status port, one manager that is
// no tool of people's keeps them all, and it wrote after each of them was first
// asked for. What never opened a port tells nothing against it.
func (r Routes) Follower(in Ingress) string {
	k := in.Keeper
	if k.Manager == "" || byHand(k.Manager) {
		return ""
	}
	first := map[int]time.Time{} // when each port was first asked for
	for _, l := range r.Listeners(in, 0) {
		port, made := int(l.Server.Port.GetNumber()), l.Gateway.CreationTimestamp.Time
		if since, ok := first[port]; !ok || made.Before(since) {
			first[port] = made
		}
	}
	open := 0
	for _, p := range in.Ports {
		if p.Port == statusPort || p.Target == statusPort {
			continue
		}
		since, asked := first[p.Port]
		if !asked || since.After(k.Wrote) {
			return ""
		}
		open++
	}
	if open != len(first) {
		return ""
	}
	return k.Manager
}

// FollowedPort is the port of that number as a following controller is expected
// to open it on the ingress's Service, once a Gateway asks for it. Where none
// follows, or the pods can't serve calls on it, refused is given back, with the
// way on where there is one.
func (r Routes) FollowedPort(in Ingress, asked, servicePort int, refused *k8s.NotReadyError) (port IngressPort, follower string, err error) {
	if follower = r.Follower(in); refused.Code != finding.PortClosed || follower == "" {
		return IngressPort{}, "", refused
	}
	number := asked
	switch {
	case number == 0 && in.secured():
		number = manifest.TLSPort
	case number == 0:
		number = servicePort
	}
	p := IngressPort{Port: number, Target: number, Secured: in.secured()}
	for i := range in.Pods {
		if why := unprivileged(in.Pods[i].Spec, number); number < firstFreePort && why != "" && p.Barred == "" {
			p.Barred = fmt.Sprintf("would lead to port %d of its pods, %s", number, why)
		}
	}
	if p.CannotServe() != "" {
		return IngressPort{}, "", refused
	}
	if asked == 0 {
		refused.Hint += fmt.Sprintf("\nIts ports are just those that Gateways name, and %s keeps them: it may open what a Gateway asks for. "+
			"To make the Gateway first and wait for the port: --gateway-port %d", follower, number)
		return IngressPort{}, "", refused
	}
	return p, follower, nil
}

// Again is the ingress as it is now.
func (m *Mesh) Again(ctx context.Context, in Ingress) (Ingress, error) {
	list, err := m.core.CoreV1().Services(in.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + in.Service})
	if err != nil {
		return in, fmt.Errorf("reading Service %s: %w", in, err)
	}
	if len(list.Items) == 0 {
		return in, &manifest.TargetError{What: "Service " + in.String() + " is gone", Hint: "Run the same command again."}
	}
	svc := &list.Items[0]
	pods, err := m.core.CoreV1().Pods(svc.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return in, fmt.Errorf("listing the pods of Service %s: %w", in, err)
	}
	return ingress(svc, pods.Items), nil
}
