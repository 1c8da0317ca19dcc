package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"

	"grpcmesh/internal/k8s"
)

// adminPort is where Envoy answers for itself, on its pod's loopback only.
const adminPort = 15000

// Forwarder opens a connection to a pod's port, however it does that.
type Forwarder interface {
	Forward(ctx context.Context, namespace, pod string, port int) (net.Conn, error)
}

// ErrNoSidecar is of a pod that has no Envoy beside the app.
var ErrNoSidecar = errors.New("no sidecar")

// maxClusters bounds what is read of an Envoy's answer, in bytes: a gateway of
// a large mesh lists every endpoint that it knows.
const maxClusters = 64 << 20

// InboundRequests is how many requests a pod's own sidecar has passed to the
// app's port since it started, whichever way they came. A pod without a
// sidecar is ErrNoSidecar.
func InboundRequests(ctx context.Context, f Forwarder, namespace, pod string, port int) (int, error) {
	body, err := askClusters(ctx, f, namespace, pod)
	if err != nil {
		return 0, err
	}
	n, err := requestTotal(body, "inbound|"+strconv.Itoa(port)+"||")
	if err != nil {
		return 0, fmt.Errorf("the sidecar of pod %s/%s: %w", namespace, pod, err)
	}
	return n, nil
}

// askClusters is what the Envoy of a pod says of its clusters, as JSON. A pod that
// has none is ErrNoSidecar.
func askClusters(ctx context.Context, f Forwarder, namespace, pod string) ([]byte, error) {
	conn, err := f.Forward(ctx, namespace, pod, adminPort)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:15000/clusters?format=json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if refused := new(k8s.ForwardError); errors.As(err, &refused) && strings.Contains(refused.Reason, "refused") {
		return nil, fmt.Errorf("pod %s/%s has %w: nothing listens on its port %d", namespace, pod, ErrNoSidecar, adminPort)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the sidecar of pod %s/%s for its counters: %w", namespace, pod, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClusters))
	if err != nil {
		return nil, fmt.Errorf("reading the counters of pod %s/%s: %w", namespace, pod, err)
	}
	return body, nil
}

// envoyClusters is what of Envoy's /clusters is read.
type envoyClusters struct {
	Clusters []struct {
		Name  string `json:"name"`
		Hosts []struct {
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"address"`
			Stats []struct {
				Name  string `json:"name"`
				Value string `json:"value"`
			} `json:"stats"`
		} `json:"host_statuses"`
	} `json:"cluster_statuses"`
}

// requestTotal sums rq_total over the hosts of one cluster in the JSON that
// Envoy's /clusters gives. A cluster that is not there is an error: a count of
// 0 would read as a pod that got no calls.
func requestTotal(body []byte, cluster string) (int, error) {
	byHost, found, err := requestsByHost(body, cluster)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("it has no cluster %s: does the app listen on another port?", cluster)
	}
	total := 0
	for _, n := range byHost {
		if n > math.MaxInt-total { // what a pod answers is untrusted
			return 0, fmt.Errorf("its rq_total is over %d, no number of requests", n)
		}
		total += n
	}
	return total, nil
}

// requestsByHost sums rq_total by the ip:port of one cluster's hosts, if there is
// such a cluster.
func requestsByHost(body []byte, cluster string) (byHost map[string]int, found bool, err error) {
	var doc envoyClusters
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, false, fmt.Errorf("its /clusters is not the JSON expected: %w", err)
	}
	for _, c := range doc.Clusters {
		if c.Name != cluster {
			continue
		}
		byHost = map[string]int{}
		for _, h := range c.Hosts {
			host := net.JoinHostPort(h.Address.Socket.Address, strconv.Itoa(h.Address.Socket.Port))
			byHost[host] += 0
			for _, s := range h.Stats {
				if s.Name != "rq_total" || s.Value == "" { // Envoy leaves a zero out
					continue
				}
				n, err := strconv.Atoi(s.Value)
				if err != nil || n < 0 || n > math.MaxInt-byHost[host] {
					return nil, false, fmt.Errorf("its rq_total is %q, no number of requests", s.Value)
				}
				byHost[host] += n
			}
		}
		return byHost, true, nil
	}
	return nil, false, nil
}
