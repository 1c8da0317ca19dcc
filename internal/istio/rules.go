package istio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// OtherRule is what governs a client's calls to the exposure's Service beside
// the exposure's own DestinationRule; names is "" where nothing does. Where
// istiod would not heed the exposure's own it is a *k8s.NotReadyError.
func (m *Mesh) OtherRule(ctx context.Context, client Client, e manifest.Exposure) (rule *networking.DestinationRule, names string, err error) {
	mesh := m.config(ctx)
	var all []*clientnet.DestinationRule
	namespaces := []string{client.Namespace, e.Namespace, mesh.RootNamespace}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		rules, err := m.rules(ctx, namespace)
		if err != nil {
			return nil, "", fmt.Errorf("listing DestinationRules in namespace %s: %w", namespace, err)
		}
		all = append(all, rules...)
	}
	return otherRule(all, mesh, client, e)
}

// rules lists the DestinationRules of a namespace.
func (m *Mesh) rules(ctx context.Context, namespace string) ([]*clientnet.DestinationRule, error) {
	return k8s.Recall(m.reads, "DestinationRule", namespace, func() ([]*clientnet.DestinationRule, error) {
		list, err := m.networking.DestinationRules(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	})
}

// recallRule is the state of a DestinationRule as the run has listed those of
// all namespaces; who may not do that reads it alone.
func (m *Mesh) recallRule(ctx context.Context, id manifest.ID) (*plan.State, error) {
	all, err := m.rules(ctx, metav1.NamespaceAll)
	if apierrors.IsForbidden(err) {
		return k8s.StateOf(m.networking.DestinationRules(id.Namespace).Get(ctx, id.Name, metav1.GetOptions{}))
	}
	if err != nil {
		return nil, err
	}
	for _, dr := range all {
		if dr.Namespace == id.Namespace && dr.Name == id.Name {
			return k8s.StateOf(dr, nil)
		}
	}
	return nil, nil //nolint:nilnil // absent is an answer here, not an error
}

func otherRule(all []*clientnet.DestinationRule, mesh meshConfig, client Client, e manifest.Exposure) (*networking.DestinationRule, string, error) {
	others := slices.DeleteFunc(slices.Clone(all), func(dr *clientnet.DestinationRule) bool {
		return dr.Namespace == e.Namespace && dr.Name == e.WorkloadName && manifest.OwnedBy(dr.Labels, e.WorkloadKind, e.WorkloadName)
	})
	if rule, names := ruleFor(others, mesh, client, e.ServiceName(), e.Namespace); len(names) > 0 {
		return rule, strings.Join(names, ", "), nil
	}
	own := &clientnet.DestinationRule{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.WorkloadName}}
	e.Rule().DeepCopyInto(&own.Spec)
	if _, names := ruleFor(append(others, own), mesh, client, e.ServiceName(), e.Namespace); len(names) == 0 {
		return nil, "", &k8s.NotReadyError{Subject: "the mesh", Cause: "a DestinationRule of namespace " + e.Namespace + " would not reach the gateway (defaultDestinationRuleExportTo)",
			Hint: "Nothing was written. Do without --lb and --canary, or have the mesh export DestinationRules."}
	}
	return nil, "", nil
}

// Says says whether a rule gives what the exposure's own would: the same load
// balancing, and each of its subsets.
func Says(rule *networking.DestinationRule, e manifest.Exposure) bool {
	wanted := e.Rule()
	lb, _ := effective(rule.GetTrafficPolicy(), nil, e.Port)
	if want := wanted.GetTrafficPolicy().GetLoadBalancer(); want != nil && !proto.Equal(lb, want) {
		return false
	}
	for _, s := range wanted.Subsets {
		if !slices.ContainsFunc(rule.GetSubsets(), func(have *networking.Subset) bool {
			return have.Name == s.Name && maps.Equal(have.Labels, s.Labels)
		}) {
			return false
		}
	}
	return true
}

// Wanted is what the exposure's own rule would say, as JSON.
func Wanted(e manifest.Exposure) string {
	wanted := e.Rule()
	wanted.Host = ""
	b, err := wanted.MarshalJSON()
	if err != nil { // it is of plain strings
		return err.Error()
	}
	return string(b)
}

// OwnRules are the DestinationRules of a namespace that are labelled as
// grpcmesh's; none where this user may not look.
func (m *Mesh) OwnRules(ctx context.Context, namespace string) ([]plan.State, error) {
	list, err := m.networking.DestinationRules(namespace).List(ctx, metav1.ListOptions{LabelSelector: manifest.ManagedBy + "=" + manifest.FieldManager})
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing DestinationRules in namespace %s: %w", namespace, err)
	}
	var found []plan.State
	for _, dr := range list.Items {
		s, err := k8s.StateOf(dr, nil)
		if err != nil {
			return nil, err
		}
		found = append(found, *s)
	}
	return found, nil
}
