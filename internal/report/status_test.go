package report

import (
	"strings"
	"testing"
)

func TestStatusTable(t *testing.T) {
	doc := &Status{Exposures: []Exposure{
		{Namespace: "a", VirtualService: "one", ManagedBy: "grpcmesh", Hosts: []string{"*"}, Services: []string{"one"}, Workloads: []string{"Deployment/one"},
			Gateways: []string{"istio-system/gw"}, Uses: []string{"Gateway/edge/web"}, Addresses: []string{"203.0.113.10:80", "203.0.113.10:8000"}, Pods: 3, Ready: 2, Sidecars: 3},
		{Namespace: "b", VirtualService: "tw\x1bo", Injection: "pod", Hosts: []string{"b.com", "c.com"}, Paths: []string{"/x.Y/*"}, Routing: []string{"retries 2", "header a"}, Problems: []string{"no pod is ready", "again"}},
	}}
	text := func(wide bool) string {
		var b strings.Builder
		if err := doc.Table(&b, wide); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := `NAMESPACE   WORKLOAD         HOSTS         ADDRESS                             PODS   SIDECARS   MANAGED BY
a           Deployment/one   *             203.0.113.10:80,203.0.113.10:8000   2/3    3/3        grpcmesh
b           <none>           b.com,c.com   <none>                              0/0    0/0        <none>

VirtualService b/tw` + "\\x1b" + `o: no pod is ready
VirtualService b/tw` + "\\x1b" + `o: again
`
	if got := text(false); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := strings.SplitN(text(true), "\n", 4); !strings.HasSuffix(got[0], "VIRTUALSERVICE   SERVICE   GATEWAY           PATHS    ROUTING              INJECTION   USES") || !strings.HasSuffix(got[2], "/x.Y/*   retries 2,header a   pod         <none>") || !strings.HasSuffix(got[1], " Gateway/edge/web") {
		t.Errorf("wide:\n%s", strings.Join(got, "\n"))
	}
	doc.Namespace = "a"
	if got := text(false); strings.Contains(got, "NAMESPACE") || !strings.HasPrefix(got, "WORKLOAD ") {
		t.Errorf("of one namespace:\n%s", got)
	}
}
