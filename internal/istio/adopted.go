package istio

import (
	"encoding/json"
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Adoptable says whether a Gateway of someone else's can be taken over: its servers
// are one list to the API server, so each must be one that can stay as it is beside
// what is added. If not it is a *plan.ConflictError.
func Adoptable(gw *clientnet.Gateway) error {
	for _, s := range gw.Spec.Servers {
		if _, ok := tlsOf(s); !ok || s.Bind != "" {
			return &plan.ConflictError{Code: finding.NotOurs, ID: idOf("Gateway", gw),
				Reason: fmt.Sprintf("it exists and was not made by grpcmesh, and --adopt takes over no Gateway with a server like its %s", words([]*networking.Server{s})),
				Hint:   plan.WayPast(idOf("Gateway", gw))}
		}
	}
	return nil
}

// written is a server as its Gateway has it, where that is someone else's or was:
// it is to stay so.
func written(gw *clientnet.Gateway, s *networking.Server) *networking.Server {
	if manifest.Owned(gw.Labels) && gw.Annotations[manifest.AdoptedAnnotation] == "" {
		return nil
	}
	return s
}

// listenedBefore is what an adopted Gateway listened on before; nil: it was not adopted,
// or its record can't be read, which its Removal tells.
func listenedBefore(gw *clientnet.Gateway) []manifest.Server {
	record := gw.Annotations[manifest.AdoptedAnnotation]
	if record == "" {
		return nil
	}
	var was clientnet.Gateway
	if json.Unmarshal([]byte(record), &was) != nil {
		return nil
	}
	var servers []manifest.Server
	for _, s := range was.Spec.Servers {
		tls, _ := tlsOf(s)
		servers = append(servers, manifest.Server{Port: int(s.GetPort().GetNumber()), TLS: tls, Hosts: s.Hosts, As: s})
	}
	return servers
}

// Keeping are the servers and what an adopted Gateway listened on before, which
// whoever made it still counts on.
func Keeping(gw *clientnet.Gateway, servers []manifest.Server) []manifest.Server {
	was := listenedBefore(gw)
	if was == nil {
		return servers
	}
	kept := was
	for _, s := range servers {
		for _, host := range s.Hosts {
			kept = manifest.MergeServers(kept, s.Port, s.TLS, host)
		}
	}
	return kept
}

// OwnUsers says whether a route of grpcmesh's is bound to the Gateway beside those
// that go.
func (r Routes) OwnUsers(gw *clientnet.Gateway, gone []string) bool {
	return slices.ContainsFunc(r.VirtualServices, func(vs *clientnet.VirtualService) bool {
		return manifest.Owned(vs.Labels) && Bound(vs, gw) && (vs.Namespace != gw.Namespace || !slices.Contains(gone, vs.Name))
	})
}

// marked is the record of what a Gateway is, as With gives it to one that is to be
// adopted, or was: "" for grpcmesh's own.
func marked(gw *clientnet.Gateway) string {
	if record := gw.Annotations[manifest.AdoptedAnnotation]; record != "" || manifest.Owned(gw.Labels) {
		return record
	}
	b, err := json.Marshal(map[string]any{"spec": &gw.Spec})
	if err != nil { // it was read from JSON
		return ""
	}
	return string(b)
}
