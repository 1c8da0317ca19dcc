package istio

import (
	"strings"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
)

// memberOf is on the namespaces of a mesh of OpenShift Service Mesh 2, which
// its operator puts there by a member roll.
const memberOf = "maistra.io/member-of"

// notTaken is about a namespace that no label which grpcmesh sets brings to an
// injector: their selectors ask for more.
func notTaken(injectors []Injector, namespace string) error {
	var wants []string
	hint := "Nothing was written. Give the namespace what they ask for, as the mesh's own documents say."
	for _, inj := range injectors {
		asks := inj.namespace.String()
		wants = append(wants, inj.Name+" asks for "+asks)
		if strings.Contains(asks, memberOf) {
			hint = "Nothing was written. OpenShift Service Mesh 2 goes by a member roll: add the namespace to the ServiceMeshMemberRoll, " +
				"label the pod template sidecar.istio.io/inject: \"true\", and run the same command again."
		}
	}
	return &k8s.NotReadyError{Code: finding.NotTaken, Subject: "namespace " + namespace,
		Cause: "no label that grpcmesh sets makes an injector take namespace " + namespace + ": " + strings.Join(wants, "; "), Hint: hint}
}
