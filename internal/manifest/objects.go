package manifest

import (
	"maps"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Names that grpcmesh writes into a cluster.
const (
	FieldManager  = "grpcmesh"
	ManagedBy     = "app.kubernetes.io/managed-by" // label; FieldManager on what grpcmesh made
	WorkloadLabel = "grpcmesh.dev/workload"        // label; "deployment.server": what the object exposes
	// PortAnnotation is on each VirtualService: the gateway's port that it was
	// exposed on, so that the Gateway can let go of what no one needs.
	PortAnnotation = "grpcmesh.dev/gateway-port"
	GatewayName    = "grpc" // the Gateway's name, as the procedure has it
	PortName       = "grpc" // begins with grpc: Istio reads the protocol from it
)

// ID names one object of the cluster.
type ID struct {
	Kind      string
	Namespace string // empty for a Namespace
	Name      string
}

// String is "Kind/name", as kubectl writes it.
func (id ID) String() string { return id.Kind + "/" + id.Name }

// Object is one object that should be in the cluster, as the fields that
// grpcmesh means to own.
type Object struct {
	ID
	Apply *Wanted
	// Adopt: one that someone else made is taken over, field by field as applied.
	Adopt bool
	// Manager is the field manager where it isn't FieldManager.
	Manager string
}

// Exposure is an Intent with every open question answered from the cluster:
// all that is needed to write the objects down.
type Exposure struct {
	Namespace    string
	NamespaceUID types.UID         // so that applying the label never creates a namespace; empty: no cluster was asked
	InjectLabel  map[string]string // the label to set on the namespace; nil: it is as it should be
	Inject       string            // as the Intent's; noted on the VirtualService where it isn't by the namespace
	Labelled     map[string]string // the label that grpcmesh had set on the namespace before, where that is written for its note alone
	Reuses       []string          // what the namespace notes: see ReusesAnnotation
	PodLabel     map[string]string // the label to set on the pod template; nil: it is as it should be

	WorkloadKind string
	WorkloadName string
	WorkloadUID  types.UID         // as NamespaceUID
	Selector     map[string]string // labels of the workload's pods

	Port       int
	TargetPort int
	// Reuse is the Service that already serves the workload and that the
	// route will lead to; empty: a Service is made.
	Reuse     string
	Service   string // the name of the Service to make; empty: the workload's
	ReusePort int    // the port to name in the route; 0 where the Service has only one

	// Adopt: a VirtualService of someone else's that holds the name is taken over.
	// Taken: so is the Service, of which just the protocol of its Port is set.
	// Replace: so is the value of the namespace's label.
	Adopt, Taken, Replace bool

	// UseGateway is someone else's Gateway that already listens as wanted, as
	// namespace/name: it is left alone, and the route is bound to it. Empty: the
	// namespace's own is made.
	UseGateway string
	// UseRoutes are VirtualServices of someone else's that already lead there what
	// the exposure's would, as namespace/name: none is made.
	UseRoutes       []string
	GatewaySelector map[string]string
	GatewayPort     int      // of the gateway's Service; noted on the VirtualService
	Servers         []Server // what the Gateway should listen on, others' needs of it included
	TLS             TLS      // of the port that this exposure asks for
	Host            string
	MatchServices   []string // full names of the gRPC services to route; nil: every call
	Route           Route
	Subsets         []Subset // of the Service's pods, with a canary; nil: none
	// ReuseRule: a DestinationRule of someone else's already says what this
	// exposure's would.
	ReuseRule bool
}

// Server is one listener of a Gateway that grpcmesh owns.
type Server struct {
	Port  int
	TLS   TLS
	Hosts []string
	// As is what someone else wrote of it, which stays but for the hosts; nil: it is
	// grpcmesh's.
	As *networking.Server
}

// ServiceName is the Service that the route leads to.
func (e Exposure) ServiceName() string {
	if e.Reuse != "" {
		return e.Reuse
	}
	if e.Service != "" {
		return e.Service
	}
	return e.WorkloadName
}

// GatewayObject is the Gateway alone: what it listens on, and nothing of an
// exposure.
func GatewayObject(namespace string, selector map[string]string, servers []Server) Object {
	e := Exposure{Namespace: namespace, GatewaySelector: selector, Servers: servers}
	return e.gateway()
}

// NamespaceObject owns nothing of a namespace: applied, it gives up what
// grpcmesh had set on it.
func NamespaceObject(name string, uid types.UID) Object {
	obj := newObject("Namespace", "", name)
	obj.Apply.Metadata.UID = uid
	return obj
}

// Objects lists what the exposure means, in the order in which it is applied:
// what is pointed at comes before what points.
func (e Exposure) Objects() []Object {
	var objs []Object
	if len(e.InjectLabel) > 0 || len(e.Labelled) > 0 {
		ns := NamespaceObject(e.Namespace, e.NamespaceUID)
		ns.Apply.Metadata.Labels, ns.Adopt = e.InjectLabel, e.Replace
		if len(e.InjectLabel) == 0 {
			ns.Apply.Metadata.Labels = e.Labelled
		}
		ns.Note(e.Reuses)
		objs = append(objs, ns)
	}
	if e.Reuse == "" {
		objs = append(objs, e.service())
	}
	if e.Route.WantsRule() && !e.ReuseRule {
		objs = append(objs, e.destinationRule())
	}
	if e.UseGateway == "" {
		objs = append(objs, e.gateway())
	}
	if len(e.UseRoutes) == 0 {
		objs = append(objs, e.virtualService())
	}
	if len(e.PodLabel) > 0 { // the last, as a restart is: it makes the pods anew
		objs = append(objs, WorkloadObject(e.WorkloadKind, e.Namespace, e.WorkloadName, e.WorkloadUID, e.PodLabel))
	}
	return objs
}

// Workload is the value of WorkloadLabel: kind and name, lower case, by a dot.
func (e Exposure) Workload() string {
	return workloadLabel(e.WorkloadKind, e.WorkloadName)
}

func (e Exposure) labels() map[string]string {
	return map[string]string{ManagedBy: FieldManager, WorkloadLabel: e.Workload()}
}

func (e Exposure) service() Object {
	svc := newObject("Service", e.Namespace, e.ServiceName())
	port := servicePort{Protocol: "TCP", AppProtocol: "grpc", Port: e.Port}
	if e.Taken { // of another's, just what Istio needs to take its port for gRPC
		svc.Adopt = true
		svc.Apply.Metadata.Labels = e.labels()
		svc.Apply.Spec = serviceSpec{Ports: []servicePort{port}}
		return svc
	}
	labels := map[string]string{}
	maps.Copy(labels, e.Selector)
	maps.Copy(labels, e.labels())
	target := intstr.FromInt32(int32(e.TargetPort))
	port.Name, port.TargetPort = PortName, &target
	svc.Apply.Metadata.Labels = labels
	svc.Apply.Spec = serviceSpec{Type: "ClusterIP", Selector: e.Selector, Ports: []servicePort{port}}
	return svc
}

func (e Exposure) gateway() Object {
	spec := &networking.Gateway{Selector: e.GatewaySelector}
	for _, s := range e.Servers {
		spec.Servers = append(spec.Servers, s.Spec())
	}
	gw := newObject("Gateway", e.Namespace, GatewayName)
	gw.Adopt = e.Adopt
	gw.Apply.Metadata.Labels = map[string]string{ManagedBy: FieldManager}
	gw.Apply.Spec = spec
	return gw
}

func (e Exposure) virtualService() Object {
	rule := &networking.HTTPRoute{Match: e.match(), Route: e.destinations()}
	e.Route.govern(rule)
	vs := newObject("VirtualService", e.Namespace, e.WorkloadName)
	vs.Adopt = e.Adopt
	vs.Apply.Metadata.Labels = e.labels()
	if e.GatewayPort != 0 {
		vs.Apply.annotate(PortAnnotation, strconv.Itoa(e.GatewayPort))
	}
	if e.Inject == InjectPod || e.Inject == InjectNone {
		vs.Apply.annotate(InjectAnnotation, e.Inject)
	}
	vs.Apply.Spec = &networking.VirtualService{
		Hosts:    []string{e.Host},
		Gateways: []string{e.Gateway().Namespace + "/" + e.Gateway().Name},
		Http:     []*networking.HTTPRoute{rule},
	}
	return vs
}

// Validate reports what in the exposure the API server would refuse for its
// name alone, as an *InvalidError: a workload may be named as no Service can.
func (e Exposure) Validate() error {
	if e.Reuse != "" {
		return nil
	}
	if msgs := validation.IsDNS1035Label(e.ServiceName()); len(msgs) > 0 {
		name := "its name"
		if e.Service != "" {
			name = "the name " + e.Service
		}
		return &InvalidError{"WORKLOAD", e.WorkloadName, "no Service can have " + name + ": " + msgs[0]}
	}
	return nil
}
