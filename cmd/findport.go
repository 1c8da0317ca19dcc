package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/probe"
)

func (x *exposer) findPort(ctx context.Context) error {
	services, err := x.cluster.Selecting(ctx, x.workload.Namespace, x.workload.Template.Labels)
	if err != nil {
		return err
	}
	wrong := x.decidePort(ctx, services)
	if _, rest := findingsIn(wrong); x.port.Port == 0 || len(rest) > 0 {
		return wrong
	}
	if wrong == nil {
		x.say("port       %d (%s)", x.port.Port, x.port.How)
	}
	err = x.decideService(ctx, services, x.strangers)
	x.served = err == nil
	return errors.Join(wrong, err, x.exposure.Validate()) // of the name that a new Service would have
}

// decidePort finds out which port the app speaks gRPC on: as given, as declared,
// as a Service leads there, or by asking a pod. What is known without asking is
// checked at a pod all the same, before anything is written.
func (x *exposer) decidePort(ctx context.Context, services []corev1.Service) error {
	pods, err := x.cluster.Pods(ctx, x.workload)
	if err != nil {
		return err
	}
	declared := k8s.DeclaredPorts(x.workload.Template)
	served, ok := k8s.ServedPort(services, pods)
	switch {
	case x.intent.TargetPort != 0:
		x.port = k8s.PortFound{Port: x.intent.TargetPort, How: x.named("--target-port")}
		return x.checkPort(ctx)
	case len(declared) == 1:
		x.port = declared[0]
		return x.checkPort(ctx)
	case ok:
		x.port = served
		return x.checkPort(ctx)
	}
	led := k8s.LedTo(services, pods)
	open := slices.DeleteFunc(k8s.OpenPorts(x.workload.Template), func(p k8s.PortFound) bool {
		return slices.ContainsFunc(led, func(l k8s.PortFound) bool { return l.Port == p.Port })
	})
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return k8s.Ready(&p) })
	if i < 0 {
		return unaskable(x.workload, declared, slices.Concat(led, open))
	}
	tried, err := x.tryPorts(ctx, &pods[i], [][]k8s.PortFound{declared, led, open})
	if len(tried) > 0 {
		x.say("           %s; asked pod %s: %s", declares(declared), pods[i].Name, strings.Join(tried, ", "))
	}
	var target *manifest.TargetError
	if !errors.As(err, &target) {
		return err
	}
	target.What = x.workload.String() + " " + strings.TrimPrefix(declares(declared), "it ") + "; " + target.What
	if len(target.Candidates) == 0 {
		return noPortError{target}
	}
	return target
}

// tryPorts asks a pod for its gRPC port, and where none answers again for a
// while, if the pod has just become ready. Of many workloads some speak no gRPC:
// there nobody is waited for. tried is what each port answered at last.
func (x *exposer) tryPorts(ctx context.Context, pod *corev1.Pod, guesses [][]k8s.PortFound) (tried []string, err error) {
	for start := time.Now(); ; {
		tried = nil
		x.port, err = x.cluster.TryPorts(ctx, pod, guesses, probe.SpeaksGRPC, func(port int, answer k8s.Answer) {
			tried = append(tried, fmt.Sprintf("%d %s", port, answer))
		})
		var none *manifest.TargetError
		if !errors.As(err, &none) || len(none.Candidates) > 0 || x.o.many() || time.Since(start) > listenGrace || readyFor(pod, x.cluster.Now()) > listenGrace {
			return tried, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return tried, ctx.Err()
		}
	}
}

// declares says what the pod template says of its ports.
func declares(declared []k8s.PortFound) string {
	if len(declared) == 0 {
		return "it declares no gRPC port"
	}
	var ports []int
	for _, d := range declared {
		ports = append(ports, d.Port)
	}
	return "it declares several gRPC ports: " + k8s.JoinInts(ports)
}

// unaskable is the refusal where no pod can be asked, with the ports that
// something speaks for.
func unaskable(w k8s.Workload, declared, led []k8s.PortFound) error {
	e := &manifest.TargetError{Code: finding.NoPort,
		What: w.String() + " " + strings.TrimPrefix(declares(declared), "it ") + ", and it has no ready pod that could be asked",
		Hint: "Say which port the app listens on: --target-port"}
	if len(declared) > 0 {
		e.Code = finding.WhichPort
		e.Candidates = k8s.PortFlags(declared)
		return e
	}
	e.Candidates = k8s.PortFlags(led)
	return noPortError{e}
}

// listenGrace is how long an app may take from its pod's being ready, which
// without a readiness probe says nothing, until it listens.
const listenGrace = 15 * time.Second

// checkPort refuses a port that a ready pod of the newest revision is asked on
// and does not answer as a gRPC server may. Where there is no such pod, or it
// can't be asked, it says so and goes on.
func (x *exposer) checkPort(ctx context.Context) error {
	pods, err := x.cluster.NewestPods(ctx, x.workload)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return k8s.Ready(&p) })
	if i < 0 {
		x.say("           port %d is not checked: no pod of the newest revision is ready", x.port.Port)
		return nil
	}
	pod := &pods[i]
	for start := time.Now(); ; {
		answer, err := x.cluster.AskPort(ctx, pod, x.port.Port, probe.SpeaksGRPC)
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil:
			x.say("           port %d is not checked: %s", x.port.Port, err)
			return nil
		case answer == k8s.NotAsked:
			x.say("           port %d is not checked: pod %s was %s", x.port.Port, pod.Name, answer)
			return nil
		case answer != k8s.NoAnswer || time.Since(start) > listenGrace || readyFor(pod, x.cluster.Now()) > listenGrace:
			return x.judgePort(pod.Name, answer)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// judgePort refuses what can't work behind a plaintext gRPC route.
func (x *exposer) judgePort(pod string, answer k8s.Answer) error {
	cause := fmt.Sprintf("pod %s does not answer gRPC on port %d (%s): ", pod, x.port.Port, x.port.How)
	switch answer {
	case k8s.SpokeGRPC:
		return nil
	case k8s.SpokeHTTP2:
		x.found(finding.New(finding.OddGRPC, x.workload.Namespace, x.workload.String(),
			fmt.Sprintf("pod %s answers on port %d (%s) by HTTP/2, but not as gRPC servers answer a call of an unknown service", pod, x.port.Port, x.port.How), ""))
		return nil
	case k8s.NoAnswer:
		if k8s.ProbedReady(x.workload.Template, x.port.Port) {
			return nil // it listens, though not on the loopback
		}
		cause += "no answer, so nothing listens there or it hangs up on HTTP/2 in plaintext"
	case k8s.NotAsked:
		return nil
	case k8s.SpokeOther:
		cause += "what answers there speaks no HTTP/2 in plaintext (HTTP/1, TLS or something else)"
	}
	return &k8s.NotReadyError{Code: finding.NotGRPC, Namespace: x.workload.Namespace, Subject: x.workload.String(), Cause: cause,
		Hint: fmt.Sprintf("Nothing was written. Name the port that the app speaks gRPC on: --target-port; or see whether the app is up: kubectl -n %s logs %s", x.workload.Namespace, pod)}
}

// noPortError says that a workload is not known to speak gRPC on any port.
type noPortError struct{ *manifest.TargetError }

// Unwrap gives the reason.
func (e noPortError) Unwrap() error { return e.TargetError }
