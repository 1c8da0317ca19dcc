package check

import "strings"

// unasked says that nothing could tell pods apart, why, and what would.
func (d *digest) unasked() Finding {
	why, next, _ := strings.Cut(d.Unasked, "\n")
	if next == "" {
		next = "Name the cluster with --kubeconfig FILE or --context NAME."
	}
	flags := "--backend-from header:NAME --expect N"
	if !d.given("--call") {
		flags = "--call PACKAGE.SERVICE/METHOD " + flags
	}
	return found(codeNobody, d.where(), "no cluster could be asked which pods are behind the address, so that nothing tells who answered: "+why,
		strings.ReplaceAll(next, "\n", " ")+" Without a cluster the app itself can say which of N pods answered: "+d.verify(flags))
}
