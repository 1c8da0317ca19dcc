package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"istio.io/client-go/pkg/clientset/versioned"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// fleet is so many workloads without replicas, spread over namespaces: to an API
// server they are as good as running ones.
type fleet struct {
	client     kubernetes.Interface
	selector   map[string]string // of the gateway
	prefix     string
	services   int
	namespaces int
	replicas   int32
	image      string
}

func (f fleet) namespace(i int) string { return fmt.Sprintf("%s-%d", f.prefix, i%f.namespaces) }
func (f fleet) workload(i int) string  { return fmt.Sprintf("svc-%d", i) }

// make creates the namespaces and the workloads, and waits until the controllers
// have seen them.
func (f fleet) make(ctx context.Context) error {
	if err := each(f.namespaces, func(i int) error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace(i)}}
		_, err := f.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	if err := each(f.services, func(i int) error {
		_, err := f.client.AppsV1().Deployments(f.namespace(i)).Create(ctx, f.deployment(i), metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	return each(f.namespaces, func(i int) error {
		return f.seen(ctx, i, func(d appsv1.Deployment) bool { return d.Status.ReadyReplicas >= f.replicas })
	})
}

// seen waits until the controllers have seen a namespace's workloads as they now
// are, and more.
func (f fleet) seen(ctx context.Context, i int, more func(appsv1.Deployment) bool) error {
	return wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list, err := f.client.AppsV1().Deployments(f.namespace(i)).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, d := range list.Items {
			if d.Status.ObservedGeneration < d.Generation || !more(d) {
				return false, nil
			}
		}
		return true, nil
	})
}

func (f fleet) deployment(i int) *appsv1.Deployment {
	name, grace := f.workload(i), int64(0)
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: f.namespace(i)},
		Spec: appsv1.DeploymentSpec{
			Replicas: &f.replicas,
			Paused:   f.replicas == 0, // of one without pods its controller then has one write to make, not four, at 20 a second
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{
					Name: "app", Image: f.image,
					Ports:           []corev1.ContainerPort{{Name: "grpc", ContainerPort: 50051}},
					ReadinessProbe:  &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(50051)}}},
					ImagePullPolicy: corev1.PullIfNotPresent,
				}}},
			},
		},
	}
}

// host is the name that a workload is exposed under.
func (f fleet) host(i int) string { return f.workload(i) + "." + f.namespace(i) + ".bench.example" }

// exposures is the file that exposes all of them; it is complete, so that it can
// be rendered without a cluster.
func (f fleet) exposures() (string, error) {
	selector, err := json.Marshal(f.selector)
	var b strings.Builder
	for i := range f.services {
		fmt.Fprintf(&b, "---\napiVersion: grpcmesh.dev/v1alpha1\nkind: Exposure\nmetadata: {namespace: %s}\nspec:\n  workload: deployment/%s\n  host: %s\n  targetPort: 50051\n  gatewayPort: 8000\n  gatewaySelector: %s\n  podLabels: {app: %s}\n",
			f.namespace(i), f.workload(i), f.host(i), selector, f.workload(i))
	}
	return b.String(), err
}

// conceal takes back all that was exposed, by whichever client.
func (f fleet) conceal(ctx context.Context, mesh versioned.Interface) error {
	mine := metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=grpcmesh"}
	return each(f.namespaces, func(i int) error {
		ns := f.namespace(i)
		label := []byte(`{"metadata": {"labels": {"istio-injection": null}}}`)
		_, err := f.client.CoreV1().Namespaces().Patch(ctx, ns, types.MergePatchType, label, metav1.PatchOptions{})
		if err != nil {
			return err
		}
		services, err := f.client.CoreV1().Services(ns).List(ctx, mine)
		if err != nil {
			return err
		}
		for _, svc := range services.Items { // they can't be deleted all at once
			err = errors.Join(err, f.client.CoreV1().Services(ns).Delete(ctx, svc.Name, metav1.DeleteOptions{}))
		}
		return errors.Join(err,
			mesh.NetworkingV1alpha3().VirtualServices(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, mine),
			mesh.NetworkingV1alpha3().Gateways(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	})
}

// remove deletes the namespaces with all that is in them.
func (f fleet) remove(ctx context.Context) error {
	if err := each(f.namespaces, func(i int) error {
		err := f.client.CoreV1().Namespaces().Delete(ctx, f.namespace(i), metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	return each(f.namespaces, func(i int) error {
		return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
			_, err := f.client.CoreV1().Namespaces().Get(ctx, f.namespace(i), metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil
		})
	})
}

// each calls do for each number below n, many at a time, and returns the first
// error.
func each(n int, do func(i int) error) error {
	gate := make(chan struct{}, 32)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			errs[i] = do(i)
			<-gate
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
