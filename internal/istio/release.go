package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Gateway is the Gateway of that name, or nil.
func (r Routes) Gateway(namespace, name string) *clientnet.Gateway {
	for _, gw := range r.Gateways {
		if gw.Namespace == namespace && gw.Name == name {
			return gw
		}
	}
	return nil
}

// Version is the resource version of the VirtualService of that name, or "".
func (r Routes) Version(namespace, name string) string {
	for _, vs := range r.VirtualServices {
		if vs.Namespace == namespace && vs.Name == name {
			return vs.ResourceVersion
		}
	}
	return ""
}

// Own are the VirtualServices of a namespace that are labelled as grpcmesh's.
func (r Routes) Own(namespace string) ([]plan.State, error) {
	var found []plan.State
	for _, vs := range r.VirtualServices {
		if vs.Namespace != namespace || !manifest.Owned(vs.Labels) {
			continue
		}
		s, err := k8s.StateOf(vs, nil)
		if err != nil {
			return nil, err
		}
		found = append(found, *s)
	}
	return found, nil
}

// Release is what a Gateway still has to listen on once the VirtualServices of
// its namespace with the names are gone, and which others lean on it. Those that
// grpcmesh made say which port they want; any other may mean every server that
// admits it. An adopted one keeps what it listened on before.
func (r Routes) Release(gw *clientnet.Gateway, gone ...string) (servers []manifest.Server, users []string) {
	var rest []*clientnet.VirtualService
	for _, vs := range r.VirtualServices {
		if Bound(vs, gw) && (vs.Namespace != gw.Namespace || !slices.Contains(gone, vs.Name)) {
			rest = append(rest, vs)
			users = append(users, fmt.Sprintf("VirtualService %s/%s", vs.Namespace, vs.Name))
		}
	}
	for _, s := range gw.Spec.Servers {
		port := int(s.Port.GetNumber())
		var hosts []string
		for _, vs := range rest {
			if manifest.Owned(vs.Labels) && cmp.Or(vs.Annotations[manifest.PortAnnotation], strconv.Itoa(port)) != strconv.Itoa(port) {
				continue
			}
			hosts = append(hosts, claims(Listener{Gateway: gw, Server: s}, vs.Namespace, vs.Spec.Hosts)...)
		}
		slices.Sort(hosts)
		if hosts = widest(slices.Compact(hosts)); len(hosts) > 0 {
			tls, _ := tlsOf(s)
			servers = append(servers, manifest.Server{Port: port, TLS: tls, Hosts: hosts})
		}
	}
	return Keeping(gw, servers), users
}

// widest leaves out the hosts that another of them covers, as MergeServers
// does: beside b.example.com on the same server, a route for *.example.com
// would answer there as well.
func widest(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool {
		return slices.ContainsFunc(hosts, func(other string) bool { return other != host && manifest.Covers(other, host) })
	})
}

// With is what the routes will be once the objects are applied.
func (r Routes) With(objs []manifest.Object) Routes {
	r.Gateways, r.VirtualServices = slices.Clone(r.Gateways), slices.Clone(r.VirtualServices)
	for _, obj := range objs {
		meta := metav1.ObjectMeta{Namespace: obj.Namespace, Name: obj.Name, Labels: obj.Apply.Metadata.Labels, Annotations: obj.Apply.Metadata.Annotations}
		switch spec := obj.Apply.Spec.(type) {
		case *networking.Gateway:
			gw := &clientnet.Gateway{ObjectMeta: meta}
			spec.DeepCopyInto(&gw.Spec)
			if was := r.Gateway(gw.Namespace, gw.Name); was != nil && marked(was) != "" {
				gw.Annotations = maps.Clone(gw.Annotations)
				metav1.SetMetaDataAnnotation(&gw.ObjectMeta, manifest.AdoptedAnnotation, marked(was))
			}
			r.Gateways = append(slices.DeleteFunc(r.Gateways, func(o *clientnet.Gateway) bool { return o.Namespace == gw.Namespace && o.Name == gw.Name }), gw)
		case *networking.VirtualService:
			vs := &clientnet.VirtualService{ObjectMeta: meta}
			spec.DeepCopyInto(&vs.Spec)
			r.VirtualServices = append(slices.DeleteFunc(r.VirtualServices, func(o *clientnet.VirtualService) bool { return o.Namespace == vs.Namespace && o.Name == vs.Name }), vs)
		}
	}
	return r
}
