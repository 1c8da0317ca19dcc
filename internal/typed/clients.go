package typed

import (
	"net/http"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
)

// Codecs read and write the kinds of Core, as JSON and as protobuf.
var Codecs = codecsOf( //nolint:gochecknoglobals // made once, when it is first called
	corev1.AddToScheme, appsv1.AddToScheme, authv1.AddToScheme, batchv1.AddToScheme,
	discoveryv1.AddToScheme, policyv1.AddToScheme, admissionv1.AddToScheme)

// kinds are what a client needs to know of the kinds that it reads and writes.
type kinds struct {
	serializer.CodecFactory
	params runtime.ParameterCodec
}

// codecsOf are made when they are first asked for: a run that speaks to no
// cluster does without.
func codecsOf(add ...func(*runtime.Scheme) error) func() kinds {
	return sync.OnceValue(func() kinds {
		scheme := runtime.NewScheme()
		metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // Status
		for _, register := range add {
			utilruntime.Must(register(scheme))
		}
		return kinds{serializer.NewCodecFactory(scheme), runtime.NewParameterCodec(scheme)}
	})
}

// Group is a client of one version of an API group.
type Group struct {
	rest.Interface
	params   runtime.ParameterCodec
	protobuf bool
}

// NewGroup is a client of a group whose kinds are JSON only, as those of custom
// resources are. It opens no connection.
func NewGroup(cfg *rest.Config, over *http.Client, version schema.GroupVersion, add func(*runtime.Scheme) error) (Group, error) {
	return newGroup(cfg, over, version, codecsOf(add)())
}

func newGroup(cfg *rest.Config, over *http.Client, version schema.GroupVersion, all kinds) (Group, error) {
	own := *cfg
	own.GroupVersion, own.APIPath = &version, "/apis"
	if version.Group == "" {
		own.APIPath = "/api"
	}
	own.NegotiatedSerializer = all.WithoutConversion()
	client, err := rest.RESTClientForConfigAndClient(&own, over)
	return Group{Interface: client, params: all.params}, err
}

// clients implements Core.
type clients struct {
	core      CoreV1
	apps      AppsV1
	auth      AuthorizationV1
	batch     BatchV1
	discovery DiscoveryV1
	policy    PolicyV1
	admission AdmissionregistrationV1
}

func (c *clients) CoreV1() *CoreV1                   { return &c.core }
func (c *clients) AppsV1() *AppsV1                   { return &c.apps }
func (c *clients) AuthorizationV1() *AuthorizationV1 { return &c.auth }
func (c *clients) BatchV1() *BatchV1                 { return &c.batch }
func (c *clients) DiscoveryV1() *DiscoveryV1         { return &c.discovery }
func (c *clients) PolicyV1() *PolicyV1               { return &c.policy }
func (c *clients) AdmissionregistrationV1() *AdmissionregistrationV1 {
	return &c.admission
}

// NewCore makes the clients of Kubernetes' own kinds, which speak protobuf. It
// opens no connection.
func NewCore(cfg *rest.Config, over *http.Client) (Core, error) {
	groups := map[schema.GroupVersion]Group{}
	for _, version := range []schema.GroupVersion{corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, authv1.SchemeGroupVersion, batchv1.SchemeGroupVersion,
		discoveryv1.SchemeGroupVersion, policyv1.SchemeGroupVersion, admissionv1.SchemeGroupVersion} {
		g, err := newGroup(cfg, over, version, Codecs())
		if err != nil {
			return nil, err
		}
		g.protobuf = true
		groups[version] = g
	}
	core, apps, batch := groups[corev1.SchemeGroupVersion], groups[appsv1.SchemeGroupVersion], groups[batchv1.SchemeGroupVersion]
	return &clients{
		core: CoreV1{
			ConfigMaps: of[corev1.ConfigMap, corev1.ConfigMapList](core, "configmaps"),
			Events:     of[corev1.Event, corev1.EventList](core, "events"),
			Namespaces: all[corev1.Namespace, corev1.NamespaceList](core, "namespaces"),
			Nodes:      all[corev1.Node, corev1.NodeList](core, "nodes"),
			Pods:       of[corev1.Pod, corev1.PodList](core, "pods"),
			Secrets:    of[corev1.Secret, corev1.SecretList](core, "secrets"),
			Services:   of[corev1.Service, corev1.ServiceList](core, "services"),
			RESTClient: func() rest.Interface { return core },
		},
		apps: AppsV1{
			ControllerRevisions: of[appsv1.ControllerRevision, appsv1.ControllerRevisionList](apps, "controllerrevisions"),
			DaemonSets:          of[appsv1.DaemonSet, appsv1.DaemonSetList](apps, "daemonsets"),
			Deployments:         of[appsv1.Deployment, appsv1.DeploymentList](apps, "deployments"),
			ReplicaSets:         of[appsv1.ReplicaSet, appsv1.ReplicaSetList](apps, "replicasets"),
			StatefulSets:        of[appsv1.StatefulSet, appsv1.StatefulSetList](apps, "statefulsets"),
		},
		auth: AuthorizationV1{SelfSubjectAccessReviews: func() Reviews[*authv1.SelfSubjectAccessReview] {
			return In[authv1.SelfSubjectAccessReview, metav1.List](groups[authv1.SchemeGroupVersion], "selfsubjectaccessreviews", "")
		}},
		batch: BatchV1{
			CronJobs: of[batchv1.CronJob, batchv1.CronJobList](batch, "cronjobs"),
			Jobs:     of[batchv1.Job, batchv1.JobList](batch, "jobs"),
		},
		discovery: DiscoveryV1{EndpointSlices: of[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](groups[discoveryv1.SchemeGroupVersion], "endpointslices")},
		policy:    PolicyV1{PodDisruptionBudgets: of[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList](groups[policyv1.SchemeGroupVersion], "poddisruptionbudgets")},
		admission: AdmissionregistrationV1{MutatingWebhookConfigurations: all[admissionv1.MutatingWebhookConfiguration, admissionv1.MutatingWebhookConfigurationList](
			groups[admissionv1.SchemeGroupVersion], "mutatingwebhookconfigurations")},
	}, nil
}
