package istio

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"grpcmesh/internal/k8s"
)

// recordedTotal is rq_total of inbound|50051|| in what was recorded.
const recordedTotal = 56

// clusters are what the sidecar of a pod of the lab answers on /clusters, its
// outbound clusters left out.
func clusters(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/clusters.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequestTotal(t *testing.T) {
	recorded := string(clusters(t))
	host := func(stats string) string {
		return `{"cluster_statuses":[{"name":"inbound|50051||","host_statuses":[` + stats + `]}]}`
	}
	stat := func(value string) string { return `{"stats":[{"name":"rq_total","value":"` + value + `"}]}` }
	for _, tc := range []struct {
		name, body string
		want       int
		err        string // in the error; empty: none
	}{
		{"recorded", recorded, recordedTotal, ""},
		{"one host", host(stat("7")), 7, ""},
		{"hosts are summed", host(stat("7") + "," + stat("5")), 12, ""},
		{"Envoy leaves a zero out", host(`{"stats":[{"name":"rq_total"}]}`), 0, ""},
		{"other counters don't count", host(`{"stats":[{"name":"rq_error","value":"9"},{"name":"rq_total","value":"3"},{"name":"rq_totals","value":"4"}]}`), 3, ""},
		{"no host", host(``), 0, ""},
		{"only other clusters", strings.ReplaceAll(recorded, "inbound|50051||", "inbound|8080||"), 0, "no cluster inbound|50051||"},
		{"nothing", `{}`, 0, "no cluster"},
		{"no number", host(stat("many")), 0, `rq_total is "many"`},
		{"a fraction", host(stat("1.5")), 0, "no number"},
		{"below zero", host(stat("-1")), 0, "no number"},
		{"more than fits", host(stat("99999999999999999999")), 0, "no number"},
		{"more than fits together", host(stat("9223372036854775807") + "," + stat("9223372036854775807")), 0, "no number"},
		{"Envoy's words for no such page", "invalid path. admin commands are:", 0, "not the JSON expected"},
		{"cut short", recorded[:len(recorded)/2], 0, "not the JSON expected"},
		{"empty", "", 0, "not the JSON expected"},
	} {
		got, err := requestTotal([]byte(tc.body), "inbound|50051||")
		if tc.err == "" {
			if err != nil || got != tc.want {
				t.Errorf("%s: %d, %v; want %d", tc.name, got, err, tc.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.err) || got != 0 {
			t.Errorf("%s: %d, %v; want an error: %s", tc.name, got, err, tc.err)
		}
	}
}

// FuzzRequestTotal: whatever a pod's sidecar answers, a count is what stands
// there, and never below zero; anything else is an error.
func FuzzRequestTotal(f *testing.F) {
	f.Add(clusters(f), "inbound|50051||")
	f.Add([]byte(`{"cluster_statuses":[{"name":"a","host_statuses":[{"stats":[{"name":"rq_total","value":"1"}]}]}]}`), "a")
	f.Add([]byte(`{"cluster_statuses":[{"name":"a","host_statuses":[{"stats":[{"name":"rq_total","value":"-1"}]}]}]}`), "a")
	f.Add([]byte(`{"cluster_statuses":[{"name":"a","host_statuses":[{"stats":[{"name":"rq_total","value":"9223372036854775807"},{"name":"rq_total","value":"9223372036854775807"}]}]}]}`), "a")
	f.Add([]byte(`{"cluster_statuses":null}`), "")
	f.Add([]byte(`[]`), "a")
	f.Add([]byte{0xff}, "a")
	f.Fuzz(func(t *testing.T, body []byte, cluster string) {
		n, err := requestTotal(body, cluster)
		if n < 0 || err != nil && n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		if err == nil && !json.Valid(body) {
			t.Errorf("%d read from what is no JSON", n)
		}
	})
}

// direct is a Forwarder that dials a server of this process.
type direct struct {
	to      string
	port    int
	wanted  string
	refused error
	broken  error // what reading gives
}

// broken is a connection on which nothing arrives.
type broken struct {
	net.Conn
	err error
}

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func (d *direct) Forward(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	if d.refused != nil {
		return nil, d.refused
	}
	d.wanted, d.port = namespace+"/"+pod, port
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.to)
	if d.broken != nil {
		return broken{conn, d.broken}, err
	}
	return conn, err
}

func TestInboundRequests(t *testing.T) {
	body := clusters(t)
	var asked atomic.Value // each connection has a goroutine of its own
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.URL.String())
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	d := &direct{to: srv.Listener.Addr().String()}
	n, err := InboundRequests(t.Context(), d, "test", "server-0", 50051)
	if err != nil || n != recordedTotal {
		t.Errorf("InboundRequests = %d, %v; want %d", n, err, recordedTotal)
	}
	if asked.Load() != "GET /clusters?format=json" || d.wanted != "test/server-0" || d.port != 15000 {
		t.Errorf("%s of %s port %d; want the clusters of Envoy's own port", asked.Load(), d.wanted, d.port)
	}
	if _, err := InboundRequests(t.Context(), d, "test", "server-0", 8080); err == nil || !strings.Contains(err.Error(), "pod test/server-0") {
		t.Errorf("another port: %v; want an error that names the pod", err)
	}
	none := errors.New("no pod")
	if _, err := InboundRequests(t.Context(), &direct{refused: none}, "test", "server-0", 50051); !errors.Is(err, none) {
		t.Errorf("a port that can't be forwarded: %v, want %v", err, none)
	}
	// The kubelet's own word for a port that nothing listens on.
	refused := &k8s.ForwardError{Namespace: "test", Pod: "server-0", Port: 15000, Reason: "failed to connect to localhost:15000 inside namespace: connection refused"}
	if _, err := InboundRequests(t.Context(), &direct{to: d.to, broken: refused}, "test", "server-0", 50051); !errors.Is(err, ErrNoSidecar) || !strings.Contains(err.Error(), "pod test/server-0 has no sidecar") {
		t.Errorf("no sidecar: %v", err)
	}
	body = []byte(strings.Repeat(" ", 10))
	if _, err := InboundRequests(t.Context(), d, "test", "server-0", 50051); err == nil {
		t.Error("no JSON: no error")
	}
}

func TestForbiddenByRole(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"by role", apierrors.NewForbidden(pods, "", errors.New(`User "u" cannot create resource "pods" in API group "" in the namespace "test"`)), true},
		{"by Pod Security", apierrors.NewForbidden(pods, "server", errors.New(`violates PodSecurity "restricted:latest": unrestricted capabilities (container "istio-init" must not include "NET_ADMIN")`)), false},
		{"by quota", apierrors.NewForbidden(pods, "server", errors.New("exceeded quota: compute")), false},
		{"another error", errors.New("cannot create resource"), false},
		{"not found", apierrors.NewNotFound(pods, "cannot create resource "+strconv.Itoa(1)), false},
	} {
		if got := forbiddenByRole(tc.err); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestUpstreamRequests: by address, of one cluster, and nothing of an unknown
// one.
func TestUpstreamRequests(t *testing.T) {
	host := func(ip, port, total string) string {
		return `{"address":{"socket_address":{"address":"` + ip + `","port_value":` + port + `}},"stats":[{"name":"rq_error","value":"9"},{"name":"rq_total","value":"` + total + `"}]}`
	}
	body := `{"cluster_statuses":[{"name":"outbound|8000||one.test.svc.cluster.local","host_statuses":[` + host("10.0.0.1", "50051", "7") + "," + host("fd00::1", "50051", "") + `]},
		{"name":"outbound|8000||two.test.svc.cluster.local","host_statuses":[` + host("10.0.0.9", "50051", "5") + `]},
		{"name":"broken","host_statuses":[` + host("10.0.0.9", "50051", "-5") + `]}]}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	defer srv.Close()
	d := &direct{to: srv.Listener.Addr().String()}
	got, err := UpstreamRequests(t.Context(), d, "istio-system", "gw-0", OutboundCluster(Destination{Namespace: "test", Service: "one"}, 8000))
	if err != nil || len(got) != 2 || got["10.0.0.1:50051"] != 7 || got["[fd00::1]:50051"] != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := UpstreamRequests(t.Context(), d, "istio-system", "gw-0", OutboundCluster(Destination{Namespace: "test", Service: "one", Subset: "v1"}, 8000)); got != nil || err != nil {
		t.Errorf("an unknown cluster: %v, %v", got, err)
	}
	if _, err := UpstreamRequests(t.Context(), d, "istio-system", "gw-0", "broken"); err == nil || !strings.Contains(err.Error(), "gw-0") {
		t.Errorf("no number: %v", err)
	}
}
