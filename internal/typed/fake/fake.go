// Package fake is typed.Core over client-go's fake clientset: a cluster in
// memory, for tests.
package fake

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"grpcmesh/internal/typed"
)

// Core keeps its objects in the clientset's tracker.
type Core struct{ *fake.Clientset }

// NewClientset holds the objects.
func NewClientset(objects ...runtime.Object) Core { return Core{fake.NewClientset(objects...)} }

// CoreV1 implements typed.Core.
func (c Core) CoreV1() *typed.CoreV1 {
	g := c.Clientset.CoreV1()
	return &typed.CoreV1{
		ConfigMaps: func(ns string) typed.Objects[*corev1.ConfigMap, *corev1.ConfigMapList] { return g.ConfigMaps(ns) },
		Events:     func(ns string) typed.Objects[*corev1.Event, *corev1.EventList] { return g.Events(ns) },
		Namespaces: func() typed.Objects[*corev1.Namespace, *corev1.NamespaceList] { return g.Namespaces() },
		Nodes:      func() typed.Objects[*corev1.Node, *corev1.NodeList] { return g.Nodes() },
		Pods:       func(ns string) typed.Objects[*corev1.Pod, *corev1.PodList] { return g.Pods(ns) },
		Secrets:    func(ns string) typed.Objects[*corev1.Secret, *corev1.SecretList] { return g.Secrets(ns) },
		Services:   func(ns string) typed.Objects[*corev1.Service, *corev1.ServiceList] { return g.Services(ns) },
		RESTClient: func() rest.Interface { return g.RESTClient() },
	}
}

// AppsV1 implements typed.Core.
func (c Core) AppsV1() *typed.AppsV1 {
	g := c.Clientset.AppsV1()
	return &typed.AppsV1{
		ControllerRevisions: func(ns string) typed.Objects[*appsv1.ControllerRevision, *appsv1.ControllerRevisionList] {
			return g.ControllerRevisions(ns)
		},
		DaemonSets:   func(ns string) typed.Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList] { return g.DaemonSets(ns) },
		Deployments:  func(ns string) typed.Objects[*appsv1.Deployment, *appsv1.DeploymentList] { return g.Deployments(ns) },
		ReplicaSets:  func(ns string) typed.Objects[*appsv1.ReplicaSet, *appsv1.ReplicaSetList] { return g.ReplicaSets(ns) },
		StatefulSets: func(ns string) typed.Objects[*appsv1.StatefulSet, *appsv1.StatefulSetList] { return g.StatefulSets(ns) },
	}
}

// AuthorizationV1 implements typed.Core.
func (c Core) AuthorizationV1() *typed.AuthorizationV1 {
	return &typed.AuthorizationV1{SelfSubjectAccessReviews: func() typed.Reviews[*authv1.SelfSubjectAccessReview] {
		return c.Clientset.AuthorizationV1().SelfSubjectAccessReviews()
	}}
}

// BatchV1 implements typed.Core.
func (c Core) BatchV1() *typed.BatchV1 {
	g := c.Clientset.BatchV1()
	return &typed.BatchV1{
		CronJobs: func(ns string) typed.Objects[*batchv1.CronJob, *batchv1.CronJobList] { return g.CronJobs(ns) },
		Jobs:     func(ns string) typed.Objects[*batchv1.Job, *batchv1.JobList] { return g.Jobs(ns) },
	}
}

// DiscoveryV1 implements typed.Core.
func (c Core) DiscoveryV1() *typed.DiscoveryV1 {
	return &typed.DiscoveryV1{EndpointSlices: func(ns string) typed.Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
		return c.Clientset.DiscoveryV1().EndpointSlices(ns)
	}}
}

// PolicyV1 implements typed.Core.
func (c Core) PolicyV1() *typed.PolicyV1 {
	return &typed.PolicyV1{PodDisruptionBudgets: func(ns string) typed.Objects[*policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList] {
		return c.Clientset.PolicyV1().PodDisruptionBudgets(ns)
	}}
}

// AdmissionregistrationV1 implements typed.Core.
func (c Core) AdmissionregistrationV1() *typed.AdmissionregistrationV1 {
	return &typed.AdmissionregistrationV1{MutatingWebhookConfigurations: func() typed.Objects[*admissionv1.MutatingWebhookConfiguration, *admissionv1.MutatingWebhookConfigurationList] {
		return c.Clientset.AdmissionregistrationV1().MutatingWebhookConfigurations()
	}}
}
