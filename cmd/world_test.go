package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"
	"pgregory.net/rapid"

	"grpcmesh/internal/fieldowners"
	"grpcmesh/internal/istio"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
	"grpcmesh/internal/report"
	"grpcmesh/internal/typed/fake"
)

// world is one namespace, test, with two workloads, a and b, that grpcmesh and
// others write into.
type world struct {
	*fieldowners.Server
	ingress istio.Ingress
}

// wish is what one run of expose is asked for.
type wish struct {
	Workload, Host, Match         string
	Gateway                       string
	Port, TargetPort, GatewayPort int
}

var (
	workloads = []string{"a", "b"}
	hosts     = []string{"*", "*.example.com", "a.example.com", "b.example.com"}
)

func drawWish(t *rapid.T) wish {
	return wish{
		Workload: rapid.SampledFrom(workloads).Draw(t, "workload"), Host: rapid.SampledFrom(hosts).Draw(t, "host"),
		Match:   rapid.SampledFrom([]string{"", "", "pkg.A"}).Draw(t, "match"),
		Gateway: rapid.SampledFrom([]string{"", "", "", "", "web", "edge/web", "grpc"}).Draw(t, "gateway"),
		Port:    rapid.SampledFrom([]int{8000, 8001}).Draw(t, "port"), TargetPort: rapid.SampledFrom([]int{50051, 9000}).Draw(t, "targetPort"),
		GatewayPort: rapid.SampledFrom([]int{8000, 80}).Draw(t, "gatewayPort"),
	}
}

func newWorld() *world {
	labels := map[string]string{"istio": "ingressgateway"}
	w := &world{fieldowners.New(), istio.Ingress{
		Namespace: "istio-system", Service: "gw", Selector: labels,
		Ports: []istio.IngressPort{{Port: 80, Target: 8080}, {Port: 8000, Target: 8000}},
		Pods:  []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "gw-1", Labels: labels}}},
	}}
	ns := fieldowners.Empty("Namespace")
	ns.SetName("test")
	ns.SetLabels(map[string]string{"kubernetes.io/metadata.name": "test"})
	w.must(w.Update(namespaceID, ns, "kubectl-create"))
	return w
}

var namespaceID = manifest.ID{Kind: "Namespace", Name: "test"}

func (w *world) must(err error) {
	if err != nil {
		panic(err)
	}
}

// routes reads the world's Gateways and VirtualServices as a client does.
func (w *world) routes() istio.Routes {
	var r istio.Routes
	for _, id := range w.IDs() {
		b, err := json.Marshal(w.Objects[id])
		w.must(err)
		switch id.Kind {
		case "Gateway":
			gw := &clientnet.Gateway{}
			w.must(json.Unmarshal(b, gw))
			r.Gateways = append(r.Gateways, gw)
		case "VirtualService":
			vs := &clientnet.VirtualService{}
			w.must(json.Unmarshal(b, vs))
			r.VirtualServices = append(r.VirtualServices, vs)
		}
	}
	return r
}

func (w *world) appliers() k8s.Appliers {
	return k8s.Appliers{"Namespace": w, "Service": w, "Gateway": w, "VirtualService": w, "DestinationRule": w}
}

// allowing is a cluster whose user may do everything, and that has nothing else to
// say.
func (w *world) allowing() *k8s.Cluster {
	core := fake.NewClientset()
	core.PrependReactor("create", "selfsubjectaccessreviews", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	return &k8s.Cluster{Core: core}
}

// exposes is one run of expose as far as its plan: what it decides by itself is
// its own code's, what it asks of the cluster is answered from the world.
func (w *world) exposes(v wish) (*exposer, error) {
	x := exposing()
	x.appliers, x.again, x.doc = w.appliers(), newReplanning(), &report.Expose{}
	x.o.output = "json"
	x.ingress, x.intent.Host, x.intent.MatchService = w.ingress, v.Host, v.Match
	x.intent.Namespace, x.intent.Gateway = "test", v.Gateway
	x.open, _ = w.ingress.Port(v.GatewayPort)
	x.exposure = manifest.Exposure{
		Namespace: "test", NamespaceUID: w.Objects[namespaceID].GetUID(), WorkloadKind: "Deployment", WorkloadName: v.Workload,
		Selector: map[string]string{"app": v.Workload}, Port: v.Port, TargetPort: v.TargetPort,
		GatewaySelector: w.ingress.Selector, GatewayPort: v.GatewayPort, Host: v.Host, MatchServices: x.intent.Services(),
	}
	switch w.Objects[namespaceID].GetLabels()["istio-injection"] {
	case "":
		x.exposure.InjectLabel = map[string]string{"istio-injection": "enabled"}
	case "disabled":
		return nil, &plan.ConflictError{ID: namespaceID, Reason: "an opt-out"}
	}
	x.routes, x.cluster = w.routes(), w.allowing()
	if err := x.lead(x.routes); err != nil {
		return nil, err
	}
	return x, batch{x}.plan(context.Background())
}

// expose carries a run of expose out.
func (w *world) expose(v wish) error {
	x, err := w.exposes(v)
	if err != nil {
		return err
	}
	return k8s.Carry(context.Background(), w.appliers(), x.planned, func(plan.Change) {})
}

// unexpose is a run of unexpose.
func (w *world) unexpose(workload string) error {
	u := &undoer{
		o:         &unexposeOptions{IO: IO{Out: io.Discard, Err: io.Discard}, output: "json", called: called{program: "grpcmesh"}},
		namespace: "test", appliers: w.appliers(), named: []string{workload}, doc: &report.Unexpose{},
		workloads: []k8s.Workload{{Kind: "Deployment", Name: "a"}, {Kind: "Deployment", Name: "b"}},
	}
	routes := w.routes()
	virtualServices, err := routes.Own("test")
	w.must(err)
	var services []plan.State
	for _, id := range w.IDs() {
		if id.Kind == "Service" && manifest.Owned(w.Objects[id].GetLabels()) {
			services = append(services, *fieldowners.StateOf(w.Objects[id]))
		}
	}
	p, _, err := u.decide(context.Background(), fieldowners.StateOf(w.Objects[namespaceID]), services, virtualServices, routes)
	if err != nil || u.stays != nil {
		return err
	}
	return k8s.Carry(context.Background(), w.appliers(), p, func(plan.Change) {})
}

// snapshot is the world as it is now.
func (w *world) snapshot() map[manifest.ID]*unstructured.Unstructured {
	all := map[manifest.ID]*unstructured.Unstructured{}
	for id, u := range w.Objects {
		all[id] = u.DeepCopy()
	}
	return all
}

// expected says whether an error is one of those by which a run may end: with
// nothing written.
func expected(err error) bool {
	return err == nil || errors.As(err, new(*plan.ConflictError)) || errors.As(err, new(*manifest.TargetError)) ||
		errors.As(err, new(*k8s.NotReadyError)) || errors.As(err, new(*manifest.InvalidError))
}
