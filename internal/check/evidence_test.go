package check

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
	"grpcmesh/internal/spread"
)

const (
	podA  = "10.42.0.11:50051"
	podB  = "10.42.1.12:50051"
	podC  = "10.42.2.13:50051"
	nobod = "10.42.9.99:50051"
)

func pods(addresses ...string) []Endpoint {
	var endpoints []Endpoint
	for i, share := range spread.Equal(len(addresses)) {
		endpoints = append(endpoints, Endpoint{
			Address: addresses[i], Pod: fmt.Sprintf("app-7d9c-%c", 'a'+i), Node: fmt.Sprintf("node-%d", i), Zone: "z1", Share: share,
		})
	}
	return endpoints
}

// stamped is one answer as the lab's gateway stamps it: the app does not know
// the method, so status 12, trailers only.
func stamped(backend string) probe.Sample {
	return probe.Sample{
		Conn: 1, Start: time.Unix(1_800_000_000, 0), Latency: 2 * time.Millisecond, Path: "/grpcmesh.Probe/None",
		Code: codes.Unimplemented, Message: "unknown service grpcmesh.Probe", Stamped: true, Upstream: true, Server: "istio-envoy",
		Stamp: probe.Stamp{Backend: backend, Gateway: "istio-ingressgateway-6b7-x2x", Connection: "4711", Cluster: "outbound|50051||app.demo.svc.cluster.local", Flags: "-", Attempts: "1"},
	}
}

func witnessed() probe.Sample {
	return probe.Sample{Conn: 1, Path: "/app.Echo/Say", Code: codes.InvalidArgument, Message: "empty", Upstream: true, Server: "istio-envoy"}
}

// local is an answer of the gateway's own Envoy.
func local(code codes.Code, message string) probe.Sample {
	return probe.Sample{Conn: 1, Path: "/app.Echo/Say", Code: code, Message: message, Server: "istio-envoy"}
}

func flagged(flags, message string) probe.Sample {
	s := stamped("")
	s.Upstream, s.Code, s.Message, s.Stamp.Flags = false, codes.Unavailable, message, flags
	return s
}

func repeat(n int, samples ...probe.Sample) []probe.Sample {
	var all []probe.Sample
	for range n {
		all = append(all, samples...)
	}
	for i := range all {
		all[i].Seq = i + 1
	}
	return all
}

// route is evidence that passes: three pods, one connection, twelve calls.
func route() Evidence {
	return Evidence{
		Rung: RungRoute, Expected: pods(podA, podB, podC),
		Samples: repeat(4, stamped(podA), stamped(podC), stamped(podB)),
		Witness: repeat(3, witnessed()),
		Alpha:   0.001, Limit: 1000,
		Where: Where{Address: "127.0.0.1:8080", Namespace: "demo", Service: "app", VirtualService: "app"},
	}
}

// sidecars is evidence that passes by counters.
func sidecars() Evidence {
	return Evidence{
		Rung: RungSidecars, Expected: pods(podA, podB, podC),
		Samples: repeat(60, witnessed()), Counts: map[string]int{podA: 20, podB: 21, podC: 20},
		Own: 60, Foreign: 1, ConnectionsUsed: 1, Alpha: 0.001, Limit: 1000,
	}
}

// each changes all samples.
func each(change func(i int, s *probe.Sample)) func(*Evidence) {
	return func(e *Evidence) {
		for i := range e.Samples {
			change(i, &e.Samples[i])
		}
	}
}

// calls replaces the samples.
func calls(samples []probe.Sample) func(*Evidence) {
	return func(e *Evidence) { e.Samples = repeat(1, samples...) }
}

func witness(samples ...probe.Sample) func(*Evidence) {
	return func(e *Evidence) { e.Witness = samples }
}

func both(changes ...func(*Evidence)) func(*Evidence) {
	return func(e *Evidence) {
		for _, change := range changes {
			change(e)
		}
	}
}

// noApp is what a sidecar answers for an app that does not listen.
const noApp = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: 111"

// manyAnd is a hundred pods, all covered by round robin but that the answers
// of one are changed.
func manyAnd(change func(*probe.Sample)) func(*Evidence) {
	return func(e *Evidence) {
		var addresses []string
		e.Samples = nil
		for i := range 100 {
			addresses = append(addresses, fmt.Sprintf("10.0.0.%d:50051", i))
			s := stamped(addresses[i])
			if i == 7 {
				change(&s)
			}
			e.Samples = append(e.Samples, s)
		}
		e.Expected = pods(addresses...)
	}
}

// rollout adds a load that was held while the workload restarted.
func rollout(r Rollout) func(*Evidence) {
	r.Workload = "Deployment/app"
	return func(e *Evidence) { e.Rollout = &r }
}
