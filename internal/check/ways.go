package check

import "fmt"

// counter is who counted, on the rungs that do.
func (d *digest) counter() string {
	if d.Rung == RungAdmin {
		return "replica of the gateway"
	}
	return "sidecar"
}

// otherWay is the command that tells pods apart in the other way, if there is
// one.
func (d *digest) otherWay() string {
	switch {
	case d.Layer4:
		return "run it again"
	case d.counting() && d.given("--read-only"):
		return "without --read-only, so that a VirtualService stands for the time of the check: " + d.verify("--identify=route")
	case d.counting():
		return d.verify("--identify=route")
	}
	return d.verify("--identify=sidecars")
}

// answerable is how to make calls that show whether they are answered.
func (d *digest) answerable() string {
	if d.Real {
		return d.otherWay()
	}
	return d.realCall() + "; or " + d.otherWay()
}

// moreReplicas is how to get pods to balance over.
func (d *digest) moreReplicas() string {
	namespace, service, _ := d.names()
	if d.Workload != "" {
		return fmt.Sprintf("kubectl -n %s scale %s --replicas=3", namespace, d.Workload)
	}
	return fmt.Sprintf("kubectl -n %s get service %s -o wide: then more replicas, ready, of the workload whose pods it selects: kubectl -n %s get deployments,statefulsets -o wide", namespace, service, namespace)
}
