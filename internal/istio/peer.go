package istio

import (
	"context"
	"fmt"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	clientsec "istio.io/client-go/pkg/apis/security/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/typed"
)

// effectiveTLS is the mode by which a rule has the gateway speak to the pods, ""
// where it leaves that to the mesh, which then agrees with them by itself.
func effectiveTLS(rule, subset *networking.TrafficPolicy, port int) string {
	tls := rule.GetTls()
	if p := portLevel(rule, port); p != nil {
		tls = p.Tls
	}
	if p := portLevel(subset, port); p != nil {
		tls = p.Tls
	} else if subset.GetTls() != nil {
		tls = subset.Tls
	}
	if tls == nil {
		return ""
	}
	return tls.Mode.String()
}

// Disagrees says why a gateway under the policy and a Service's pods can't
// speak to each other, in words, or "": the one is told to use TLS, and the
// other not to take it, or the other way round. Of the pods one stands for all.
// Where this user may not see what they take, the words say so.
func (m *Mesh) Disagrees(ctx context.Context, p Policy, pods []corev1.Pod, number int) (string, error) {
	if p.TLS == "" || len(pods) == 0 {
		return "", nil
	}
	rule := fmt.Sprintf("DestinationRule %s has tls mode %s", p.Rule, p.TLS)
	pod := pods[0]
	if !k8s.HasSidecar(pod.Spec) {
		if p.TLS == networking.ClientTLSSettings_ISTIO_MUTUAL.String() {
			return rule + ", and the pods have no sidecar that speaks it", nil
		}
		return "", nil
	}
	root := m.config(ctx).RootNamespace
	var all []*clientsec.PeerAuthentication
	for _, namespace := range []string{pod.Namespace, root} {
		list, err := typed.In[clientsec.PeerAuthentication, clientsec.PeerAuthenticationList](m.peers, "peerauthentications", namespace).List(ctx, metav1.ListOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return rule + ", and whether a PeerAuthentication says otherwise this user may not see", nil
		case err != nil && !apierrors.IsNotFound(err):
			return "", fmt.Errorf("listing PeerAuthentications in namespace %s: %w", namespace, err)
		case err == nil:
			all = append(all, list.Items...)
		}
	}
	mode, by := peerMode(all, pod.Namespace, root, pod.Labels, number)
	speaks := p.TLS != networking.ClientTLSSettings_DISABLE.String()
	if speaks && mode == security.PeerAuthentication_MutualTLS_DISABLE || !speaks && mode == security.PeerAuthentication_MutualTLS_STRICT {
		return fmt.Sprintf("%s, and PeerAuthentication %s has mode %s", rule, by, mode), nil
	}
	return "", nil
}

// peerMode is what pods with the labels take on a port of theirs, and which
// PeerAuthentication says so: one that selects them goes before the namespace's,
// that before the mesh's, and of equals the older one (istiod's
// ComposePeerAuthentication). PERMISSIVE is where none says anything.
func peerMode(all []*clientsec.PeerAuthentication, namespace, root string, podLabels map[string]string, port int) (security.PeerAuthentication_MutualTLS_Mode, string) {
	const unset = security.PeerAuthentication_MutualTLS_UNSET
	pick := func(of string, selecting bool) *clientsec.PeerAuthentication {
		var oldest *clientsec.PeerAuthentication
		for _, pa := range all {
			wanted := pa.Spec.GetSelector().GetMatchLabels()
			if pa.Namespace == of && (len(wanted) > 0) == selecting && labels.SelectorFromSet(wanted).Matches(labels.Set(podLabels)) &&
				(oldest == nil || pa.CreationTimestamp.Before(&oldest.CreationTimestamp)) {
				oldest = pa
			}
		}
		return oldest
	}
	own := pick(namespace, true)
	if p := own; p != nil {
		if at := p.Spec.PortLevelMtls[uint32(port)]; at.GetMode() != unset {
			return at.Mode, p.Namespace + "/" + p.Name
		}
	}
	for _, p := range []*clientsec.PeerAuthentication{own, pick(namespace, false), pick(root, false)} {
		if p != nil && p.Spec.GetMtls().GetMode() != unset {
			return p.Spec.Mtls.Mode, p.Namespace + "/" + p.Name
		}
	}
	return security.PeerAuthentication_MutualTLS_PERMISSIVE, ""
}
