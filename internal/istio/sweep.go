package istio

import (
	"context"
	"fmt"
	"slices"
	"time"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/manifest"
)

// Left are the namespace's probe routes, by name.
func (r Routes) Left(namespace string) []ProbeRoute {
	var left []ProbeRoute
	for _, vs := range r.Probes {
		if vs.Namespace == namespace {
			left = append(left, ProbeRoute{vs.Namespace, vs.Name})
		}
	}
	return left
}

// Sweep removes the namespace's probe routes whose run must be over, and says
// which. What time it is the server is asked by the dry run of one more of them:
// a client's clock has no effect. Where there is none to remove nothing is asked.
func (m *Mesh) Sweep(ctx context.Context, r Routes, namespace string) ([]ProbeRoute, error) {
	probes := slices.DeleteFunc(slices.Clone(r.Probes), func(vs *clientnet.VirtualService) bool { return vs.Namespace != namespace })
	if len(probes) == 0 {
		return nil, nil
	}
	clock := &clientnet.VirtualService{ObjectMeta: metav1.ObjectMeta{Name: "grpcmesh-probe-clock", Namespace: namespace}}
	probes[0].Spec.DeepCopyInto(&clock.Spec)
	made, err := m.networking.VirtualServices(namespace).Create(ctx, clock,
		metav1.CreateOptions{FieldManager: manifest.FieldManager, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, fmt.Errorf("asking the API server for its time: %w", err)
	}
	return m.sweep(ctx, probes, made.CreationTimestamp.Time)
}

// sweep removes those of the probe routes whose time is over at now.
func (m *Mesh) sweep(ctx context.Context, probes []*clientnet.VirtualService, now time.Time) (swept []ProbeRoute, err error) {
	for _, vs := range probes {
		if !expired(vs, now) {
			continue
		}
		route := ProbeRoute{vs.Namespace, vs.Name}
		if _, err := m.RemoveProbe(ctx, route); err != nil {
			return swept, err
		}
		swept = append(swept, route)
	}
	return swept, nil
}
