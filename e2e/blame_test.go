package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"grpcmesh/internal/report"
)

// broken is one hop that is broken, for a service of its own, and what verify
// has to say of it: this code, and no other.
type broken struct {
	name string // of the Service, the VirtualService and, before the place's, the host
	code string
	exit int
	says string // the finding, or the error, says this too
	next string // and so does its next step
	args []string
	// service and route are what the Service and its VirtualService are made of,
	// and more other objects, while it is broken; mended replaces them, pair by
	// pair.
	service, route, more string
	mended               []string
	addr                 string // "own": through the place's own gateway; "layer 4": the Service's address
}

const plain = "http: [{route: [{destination: {host: NAME}}]}]"

func hops() []broken {
	const good, allow = "selector: {set: good}, ports: [{name: grpc, port: 8000, targetPort: 50051}]", `selector: {set: guarded}, ports: [{name: grpc, port: 8000, targetPort: 50051}]`
	return []broken{
		{name: "listener", code: "GM190", exit: 2, says: "no Gateway listens on port 8001 of gateway", next: "--gateway-port 8001", addr: "own",
			more:   "{apiVersion: networking.istio.io/v1alpha3, kind: Gateway, metadata: {name: own, namespace: NS}, spec: {selector: {istio: NS}, servers: [{port: {number: 8009, name: grpc, protocol: GRPC}, hosts: ['*']}]}}",
			mended: []string{"number: 8009", "number: 8001"}},
		{name: "route", code: "GM191", exit: 2, says: "no VirtualService serves the host route.", next: "--authority", route: "hosts: [other.HOST], " + plain, mended: []string{"other.HOST", "route.HOST"}},
		{name: "match", code: "GM203", exit: 3, says: "helloworld.Greeter", next: "compare its match", route: "http: [{match: [{uri: {prefix: /wrong.Greeter/}}], route: [{destination: {host: NAME}}]}]", mended: []string{"/wrong.Greeter/", "/helloworld.Greeter/"}},
		{name: "readonly", code: "GM202", exit: 3, says: "no route for this host", next: "compare hosts", args: []string{"--read-only"},
			route: "http: [{match: [{uri: {prefix: /wrong.Greeter/}}], route: [{destination: {host: NAME}}]}]", mended: []string{"/wrong.Greeter/", "/helloworld.Greeter/"}},
		{name: "nobody", code: "GM204", exit: 3, says: "without a ready endpoint", next: "bring its pods up", service: "selector: {set: nobody}, ports: [{name: grpc, port: 8000, targetPort: 50051}]", mended: []string{"set: nobody", "set: good"}},
		{name: "subset", code: "GM204", exit: 3, says: "subset v9 of Service", next: "take that destination out", route: "http: [{route: [{destination: {host: NAME, subset: v9}}]}]",
			more:   "{apiVersion: networking.istio.io/v1alpha3, kind: DestinationRule, metadata: {name: NAME, namespace: NS}, spec: {host: NAME, subsets: [{name: v9, labels: {set: nobody}}]}}",
			mended: []string{"set: nobody", "set: good"}},
		{name: "undefined", code: "GM207", exit: 3, says: "subset v8 of Service", next: "define it there", route: "http: [{route: [{destination: {host: NAME, subset: v8}}]}]",
			more:   "{apiVersion: networking.istio.io/v1alpha3, kind: DestinationRule, metadata: {name: NAME, namespace: NS}, spec: {host: NAME, subsets: [{name: v9, labels: {set: good}}]}}",
			mended: []string{"name: v9", "name: v8"}},
		{name: "port", code: "GM207", exit: 3, says: "port 9999 of Service", next: "mend its destination", route: "http: [{route: [{destination: {host: NAME, port: {number: 9999}}}]}]", mended: []string{"9999", "8000"}},
		{name: "unheard", code: "GM205", exit: 3, says: "sidecar, which could not reach the app", next: "listen on the Service's targetPort", service: "selector: {set: good}, ports: [{name: grpc, port: 8000, targetPort: 50999}]", mended: []string{"50999", "50051"}},
		{name: "protocol", code: "GM216", exit: 3, says: "its appProtocol is http", next: `"value":"grpc"`, service: "selector: {set: good}, ports: [{name: grpc, port: 8000, targetPort: 50051, appProtocol: http}]", mended: []string{"appProtocol: http", "appProtocol: grpc"}},
		{name: "strict", code: "GM213", exit: 3, says: "has tls mode DISABLE, and PeerAuthentication NS/strict has mode STRICT", next: "both sides must agree", service: "selector: {set: strict}, ports: [{name: grpc, port: 8000, targetPort: 50051}]",
			more: `{apiVersion: security.istio.io/v1beta1, kind: PeerAuthentication, metadata: {name: strict, namespace: NS}, spec: {selector: {matchLabels: {set: strict}}, mtls: {mode: STRICT}}}
---
{apiVersion: networking.istio.io/v1alpha3, kind: DestinationRule, metadata: {name: strict, namespace: NS}, spec: {host: strict, trafficPolicy: {tls: {mode: DISABLE}}}}`,
			mended: []string{"mode: DISABLE", "mode: ISTIO_MUTUAL"}},
		{name: "refused", code: "GM212", exit: 3, says: "authorization policy", next: "allow the gateway", service: allow,
			more:   "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, metadata: {name: refused, namespace: NS}, spec: {selector: {matchLabels: {set: guarded}}, action: DENY, rules: [{to: [{operation: {ports: ['50051']}}]}]}}",
			mended: []string{"'50051'", "'1'"}},
		{name: "fails", code: "GM217", exit: 3, says: "this is no good call", next: "--all-containers --tail=50", args: []string{"--call", "helloworld.Greeter/SayHello"}, service: "selector: {set: bad}, ports: [{name: grpc, port: 8000, targetPort: 50051}]", mended: []string{"set: bad", "set: good"}},
		{name: "sticky", code: "GM234", exit: 4, says: "consistent hashing on header x-user", next: "trafficPolicy.loadBalancer",
			more:   "{apiVersion: networking.istio.io/v1alpha3, kind: DestinationRule, metadata: {name: NAME, namespace: NS}, spec: {host: NAME, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}}",
			mended: []string{"consistentHash: {httpHeaderName: x-user}", "simple: ROUND_ROBIN"}},
		{name: "stuck", code: "GM220", exit: 3, says: "layer 4 picks a pod once per connection", next: "dial the gateway instead", addr: "layer 4"},
		{name: "ejected", code: "GM221", exit: 3, says: "of 4 endpoints got none", next: "listed and healthy", service: "selector: {out: 'yes'}, ports: [{name: grpc, port: 8000, targetPort: 50051}]",
			more:   "{apiVersion: networking.istio.io/v1alpha3, kind: DestinationRule, metadata: {name: NAME, namespace: NS}, spec: {host: NAME, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 180s, maxEjectionPercent: 50}}}}",
			mended: []string{"trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 180s, maxEjectionPercent: 50}}", "trafficPolicy: {connectionPool: {tcp: {maxConnections: 100}}}"}},
	}
}

// faults: 45, 47
//
// TestBlame breaks each hop on the way from the gateway to the app, each for a
// service of its own, and holds that verify blames that hop alone, by its code
// and with a next step, and passes once it is mended.
func TestBlame(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.apply(fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {istio-injection: enabled}}}", p.ns))
	pods := ""
	for name, labels := range map[string]string{"good": "out: 'yes'", "bad": "out: 'yes'", "strict": "x: x", "guarded": "x: x"} {
		odd := ""
		if name == "bad" {
			odd = ", env: [{name: ODD, value: always}]"
		}
		pods += fmt.Sprintf(`
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: 2
  selector: {matchLabels: {set: %[1]s}}
  template:
    metadata:
      labels: {set: %[1]s, %[3]s}
      annotations: {sidecar.istio.io/proxyCPU: 5m, sidecar.istio.io/proxyMemory: 32Mi}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: "docker.io/imroc/grpc_server:latest"%[4]s}]}`, name, p.ns, labels, odd)
	}
	p.apply(fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway, namespace: %[1]s}
spec:
  selector: {matchLabels: {gateway: %[1]s}}
  template:
    metadata:
      annotations: {inject.istio.io/templates: gateway}
      labels: {gateway: %[1]s, sidecar.istio.io/inject: "true", istio: %[1]s}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: istio-proxy, image: auto, resources: {requests: {cpu: 5m, memory: 32Mi}}}]
---
{apiVersion: v1, kind: Service, metadata: {name: gateway, namespace: %[1]s}, spec: {selector: {istio: %[1]s}, ports: [{name: status-port, port: 15021}, {name: tcp-8001, port: 8001}]}}
---
{apiVersion: networking.istio.io/v1alpha3, kind: Gateway, metadata: {name: grpc, namespace: %[1]s}, spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8000, name: grpc, protocol: GRPC}, hosts: ["*.%[2]s"]}]}}
`, p.ns, p.host) + pods)
	all := hops()
	set := func(mended bool) {
		var docs []string
		for _, b := range all {
			docs = append(docs, b.objects(p, mended))
		}
		p.apply(strings.Join(docs, "\n---\n"))
	}
	set(false)
	if out, err := kubectl("-n", p.ns, "wait", "--for=condition=Available", "--timeout=120s", "deployment/good", "deployment/bad", "deployment/strict", "deployment/guarded", "deployment/gateway"); err != nil {
		t.Fatal(err, out)
	}
	time.Sleep(3 * time.Second) // for the sidecars and the gateways to hear of it all
	// The gateway puts out the pods that fail, once it has seen them fail.
	grpcmesh(t, root(".lab/kubeconfig"), nil, p.verify("ejected", "--call", "helloworld.Greeter/SayHello")...)
	p.each(all, func(b broken) {
		r, codes, told := b.verify(t, p)
		if r.code != b.exit || !slices.Equal(codes, []string{b.code}) || !strings.Contains(told, strings.ReplaceAll(b.says, "NS", p.ns)) || !strings.Contains(told, b.next) {
			t.Errorf("%s: exit code %d and %v, want %d and %s, with %q and %q: %s", b.name, r.code, codes, b.exit, b.code, b.says, b.next, r)
		}
	})
	set(true)
	heard := time.Now().Add(30 * time.Second) // the latest that sidecars and gateways have heard of it
	p.each(all, func(b broken) {
		if b.addr == "layer 4" {
			b.addr = "" // the gateway is what mends it
		}
		r, codes, _ := b.verify(t, p)
		for (r.code != 0 || len(codes) > 0) && time.Now().Before(heard) {
			time.Sleep(time.Second)
			r, codes, _ = b.verify(t, p)
		}
		if r.code != 0 || len(codes) > 0 {
			t.Errorf("%s, mended: %v %s", b.name, codes, r)
		}
	})
}

// each does so for all, some at once; but alone, where the sidecars' counters are
// read: they are of pods that several have.
func (p *place) each(all []broken, do func(broken)) {
	var wg sync.WaitGroup
	gate := make(chan struct{}, 3)
	for _, b := range all {
		if b.addr == "layer 4" {
			continue
		}
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			do(b)
		})
	}
	wg.Wait()
	for _, b := range all {
		if b.addr == "layer 4" {
			do(b)
		}
	}
}

// objects are the case's, as they are while it is broken, or after.
func (b broken) objects(p *place, mended bool) string {
	service, route := b.service, b.route
	if service == "" {
		service = "selector: {set: good}, ports: [{name: grpc, port: 8000, targetPort: 50051}]"
	}
	if route == "" {
		route = plain
	}
	if !strings.Contains(route, "hosts:") {
		route = "hosts: [NAME.HOST], " + route
	}
	gateway := "grpc"
	if b.addr == "own" {
		gateway = "own"
	}
	text := "{apiVersion: v1, kind: Service, metadata: {name: NAME, namespace: NS}, spec: {" + service + "}}\n---\n" +
		"{apiVersion: networking.istio.io/v1alpha3, kind: VirtualService, metadata: {name: NAME, namespace: NS}, spec: {gateways: [" + gateway + "], " + route + "}}\n"
	if b.more != "" {
		text += "---\n" + b.more + "\n"
	}
	if mended {
		text = strings.NewReplacer(b.mended...).Replace(text)
	}
	return strings.NewReplacer("NAME", b.name, "NS", p.ns, "HOST", p.host).Replace(text)
}

func (p *place) verify(name string, more ...string) []string {
	return append([]string{"verify", "--addr", "127.0.0.1:8000", "--authority", name + "." + p.host, "--control=never", "-o", "json"}, more...)
}

// verify runs it for the case. The codes are those of the report, or of the
// error that there was instead; told is all that was said.
func (b broken) verify(t *testing.T, p *place) (r ran, codes []string, told string) {
	args := p.verify(b.name, b.args...)
	lab := root(".lab/kubeconfig")
	if b.addr == "" {
		r = grpcmesh(t, lab, nil, args...)
	} else {
		service, port := "gateway", "8001"
		if b.addr == "layer 4" {
			service, port = b.name, "8000"
		}
		out, err := kubectl("-n", p.ns, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")
		if err != nil {
			t.Error(err, out)
		}
		args[2] = strings.TrimSpace(out) + ":" + port
		r = withinLab(t, args)
	}
	var doc report.Verify
	if err := json.Unmarshal([]byte(r.stdout), &doc); err == nil && doc.Error == "" {
		for _, f := range doc.Findings {
			codes, told = append(codes, f.Code), told+f.Message+f.Hint
		}
		return r, codes, told
	}
	for word := range strings.FieldsSeq(r.stderr) {
		if code := strings.TrimRight(word, ":"); strings.HasPrefix(code, "GM") && len(code) == len("GM190") {
			codes = append(codes, code)
		}
	}
	return r, codes, r.stderr
}

// withinLab runs grpcmesh inside the lab's network, where its addresses lead
// somewhere.
func withinLab(t *testing.T, args []string) ran {
	cmd := exec.CommandContext(t.Context(), root("lab/run"), append([]string{root("bin/grpcmesh")}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+root(".lab/kubeconfig"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	_ = cmd.Run() // the exit code tells
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}
