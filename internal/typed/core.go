// Package typed has clients of just the kinds that grpcmesh reads and writes,
// made of client-go's own parts. client-go's clientset, which knows every group
// of Kubernetes in every version, would make the binary a third larger and its
// start slower.
package typed

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Objects reads and writes the objects of one kind, in one namespace, or in all
// where none is given.
type Objects[T, L any] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
	Create(ctx context.Context, obj T, opts metav1.CreateOptions) (T, error)
	Patch(ctx context.Context, name string, form types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (T, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// Reviews asks questions about what a user may do.
type Reviews[T any] interface {
	Create(ctx context.Context, question T, opts metav1.CreateOptions) (T, error)
}

// Core are Kubernetes' own kinds, by their groups, named as in client-go.
type Core interface {
	CoreV1() *CoreV1
	AppsV1() *AppsV1
	AuthorizationV1() *AuthorizationV1
	BatchV1() *BatchV1
	DiscoveryV1() *DiscoveryV1
	PolicyV1() *PolicyV1
	AdmissionregistrationV1() *AdmissionregistrationV1
}

// CoreV1 are kinds of v1.
type CoreV1 struct {
	ConfigMaps func(namespace string) Objects[*corev1.ConfigMap, *corev1.ConfigMapList]
	Events     func(namespace string) Objects[*corev1.Event, *corev1.EventList]
	Namespaces func() Objects[*corev1.Namespace, *corev1.NamespaceList]
	Nodes      func() Objects[*corev1.Node, *corev1.NodeList]
	Pods       func(namespace string) Objects[*corev1.Pod, *corev1.PodList]
	Secrets    func(namespace string) Objects[*corev1.Secret, *corev1.SecretList]
	Services   func(namespace string) Objects[*corev1.Service, *corev1.ServiceList]
	RESTClient func() rest.Interface
}

// AppsV1 are kinds of apps/v1.
type AppsV1 struct {
	ControllerRevisions func(namespace string) Objects[*appsv1.ControllerRevision, *appsv1.ControllerRevisionList]
	DaemonSets          func(namespace string) Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList]
	Deployments         func(namespace string) Objects[*appsv1.Deployment, *appsv1.DeploymentList]
	ReplicaSets         func(namespace string) Objects[*appsv1.ReplicaSet, *appsv1.ReplicaSetList]
	StatefulSets        func(namespace string) Objects[*appsv1.StatefulSet, *appsv1.StatefulSetList]
}

// AuthorizationV1 are kinds of authorization.k8s.io/v1.
type AuthorizationV1 struct {
	SelfSubjectAccessReviews func() Reviews[*authv1.SelfSubjectAccessReview]
}

// BatchV1 are kinds of batch/v1.
type BatchV1 struct {
	CronJobs func(namespace string) Objects[*batchv1.CronJob, *batchv1.CronJobList]
	Jobs     func(namespace string) Objects[*batchv1.Job, *batchv1.JobList]
}

// DiscoveryV1 are kinds of discovery.k8s.io/v1.
type DiscoveryV1 struct {
	EndpointSlices func(namespace string) Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList]
}

// PolicyV1 are kinds of policy/v1.
type PolicyV1 struct {
	PodDisruptionBudgets func(namespace string) Objects[*policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList]
}

// AdmissionregistrationV1 are kinds of admissionregistration.k8s.io/v1.
type AdmissionregistrationV1 struct {
	MutatingWebhookConfigurations func() Objects[*admissionv1.MutatingWebhookConfiguration, *admissionv1.MutatingWebhookConfigurationList]
}
