package manifest

import (
	"cmp"
	"slices"
	"strings"
)

// Covers says whether every name that host stands for is one that pattern
// takes. Both are "*", "*.example.com" or a name; case does not count.
func Covers(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
	}
	return pattern == host
}

// MergeServers adds the listener that is wanted to those that a Gateway has
// already, so that two exposures of one namespace can share it. Where the port
// is there, secured alike, and its hosts cover the wanted one, nothing changes.
//
// Hosts that the wanted one covers are dropped: Istio gives a route a virtual
// host of its own for each of the server's hosts that the route's cover, so
// beside a.example.com a route for *.example.com would answer there as well.
func MergeServers(have []Server, port int, tls TLS, host string) []Server {
	merged := slices.Clone(have)
	for i, s := range merged {
		if s.Port != port || s.TLS != tls {
			continue
		}
		if !slices.ContainsFunc(s.Hosts, func(h string) bool { return Covers(h, host) }) {
			hosts := slices.DeleteFunc(slices.Clone(s.Hosts), func(h string) bool {
				return host == "*" || Covers(host, h) && !strings.Contains(h, "/")
			})
			merged[i].Hosts = append(hosts, host)
			slices.Sort(merged[i].Hosts)
		}
		return merged
	}
	merged = append(merged, Server{Port: port, TLS: tls, Hosts: []string{host}})
	slices.SortFunc(merged, func(a, b Server) int {
		return cmp.Or(a.Port-b.Port, strings.Compare(a.TLS.Secret, b.TLS.Secret), strings.Compare(a.TLS.Mode(), b.TLS.Mode()))
	})
	return merged
}
