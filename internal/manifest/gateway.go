package manifest

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Gateway is the Gateway that the exposure's route is bound to: the namespace's
// own, or the one that it uses.
func (e Exposure) Gateway() ID {
	if ns, name, ok := strings.Cut(e.UseGateway, "/"); ok {
		return ID{"Gateway", ns, name}
	}
	return ID{"Gateway", e.Namespace, GatewayName}
}

// AskedGateway is the Gateway that the Intent names; ok is false where it leaves
// that open. A name alone is of the workload's namespace.
func (i Intent) AskedGateway() (id ID, ok bool) {
	ns, name, both := strings.Cut(i.Gateway, "/")
	if !both {
		ns, name = i.Namespace, i.Gateway
	}
	return ID{"Gateway", ns, name}, i.Gateway != ""
}

// UsesGateway is the Gateway of someone else's that the Intent names, as
// namespace/name, or "".
func (i Intent) UsesGateway() string {
	id, ok := i.AskedGateway()
	if !ok || id == (Exposure{Namespace: i.Namespace}).Gateway() {
		return ""
	}
	return id.Namespace + "/" + id.Name
}

func (i Intent) validGateway() error {
	id, ok := i.AskedGateway()
	if !ok {
		return nil
	}
	if msgs := validation.IsDNS1123Label(id.Namespace); len(msgs) > 0 {
		return &InvalidError{"--gateway", i.Gateway, "it is NAME or NAMESPACE/NAME: " + msgs[0]}
	}
	if msgs := validation.IsDNS1123Subdomain(id.Name); len(msgs) > 0 {
		return &InvalidError{"--gateway", i.Gateway, "it is NAME or NAMESPACE/NAME: " + msgs[0]}
	}
	return nil
}
