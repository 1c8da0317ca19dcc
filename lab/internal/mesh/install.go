package mesh

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/kube"
	"grpcmesh/lab/internal/option"
)

// Installer brings a cluster to what the options ask.
type Installer struct {
	Istioctl   string // path of the program
	Kubeconfig string
	Folder     string // where the operator files go, for people to read
	Client     *kube.Client
}

// Install installs or changes Istio, and returns once its Deployments are
// available.
func (i Installer) Install(ctx context.Context, o option.Options) error {
	if o.SecondGateway {
		namespace := object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": EdgeNamespace}}
		if err := i.Client.Apply(ctx, "/api/v1/namespaces/"+EdgeNamespace, namespace); err != nil {
			return fmt.Errorf("namespace %s: %w", EdgeNamespace, err)
		}
	}
	for n, operator := range Operators(o) {
		text, err := render(operator)
		if err != nil {
			return err
		}
		file := filepath.Join(i.Folder, fmt.Sprintf("istio-operator-%d.json", n))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		if err := i.istioctl(ctx, "install", "--skip-confirmation", "--filename", file); err != nil {
			return err
		}
	}
	if o.OnlyRevision {
		// The first revision of a cluster is tagged default by istioctl, and
		// the tag would honour istio-injection=enabled after all.
		return i.istioctl(ctx, "tag", "remove", "default", "--skip-confirmation")
	}
	return nil
}

func (i Installer) istioctl(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, i.Istioctl, append(arguments, "--kubeconfig", i.Kubeconfig)...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("istioctl %s: %w\n%s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// Deployments names, as namespace/name, what must be available for the
// options to be met.
func Deployments(o option.Options) map[string]int {
	wanted := map[string]int{"istio-system/istio-ingressgateway": o.GatewayReplicas}
	if !o.OnlyRevision {
		wanted["istio-system/istiod"] = 1
	}
	if o.Revision != "" {
		wanted["istio-system/istiod-"+o.Revision] = 1
	}
	if o.SecondGateway {
		wanted[EdgeNamespace+"/"+EdgeName] = 1
	}
	return wanted
}

// Healthy returns nil when everything that the options ask for is up, and
// otherwise what is not.
func Healthy(ctx context.Context, client *kube.Client, o option.Options) error {
	for key, replicas := range Deployments(o) {
		namespace, name, _ := strings.Cut(key, "/")
		var deployment struct {
			Spec   struct{ Replicas int }
			Status struct{ AvailableReplicas, UpdatedReplicas int }
		}
		if err := client.Get(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &deployment); err != nil {
			return fmt.Errorf("deployment %s: %w", key, err)
		}
		if deployment.Spec.Replicas != replicas || deployment.Status.AvailableReplicas < replicas || deployment.Status.UpdatedReplicas < replicas {
			return fmt.Errorf("deployment %s: %d of %d pods are available, %d wanted", key, deployment.Status.AvailableReplicas, deployment.Spec.Replicas, replicas)
		}
	}
	var service struct {
		Status struct {
			LoadBalancer struct {
				Ingress []struct{ IP string }
			}
		}
	}
	if err := client.Get(ctx, "/api/v1/namespaces/istio-system/services/istio-ingressgateway", &service); err != nil {
		return fmt.Errorf("service istio-system/istio-ingressgateway: %w", err)
	}
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) != 1 || ingress[0].IP != address.GatewayBalancer {
		return fmt.Errorf("service istio-system/istio-ingressgateway has not its address %s yet", address.GatewayBalancer)
	}
	return nil
}

// Await waits until the options are met or ctx ends; its error is what was
// missing last.
func Await(ctx context.Context, client *kube.Client, o option.Options) error {
	return kube.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error { return Healthy(ctx, client, o) })
}
