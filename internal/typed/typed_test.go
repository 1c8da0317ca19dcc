package typed_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	clientnet "istio.io/client-go/pkg/apis/networking/v1alpha3"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"grpcmesh/internal/typed"
)

// TestSpeaks: Kubernetes' own kinds are asked for, and sent, as protobuf, at the
// paths that the API server has them; what is sent by server-side apply is what
// that takes, and Istio's kinds are JSON. What the server says of a refusal is
// read either way.
func TestSpeaks(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		first, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
		sent := r.Header.Get("Content-Type")
		if strings.HasPrefix(string(body), "k8s\x00") {
			sent += " (is it)"
		}
		mu.Lock()
		asked = append(asked, strings.TrimSpace(strings.Join([]string{r.Method, r.URL.RequestURI(), first, sent}, " ")))
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","code":404,"reason":"NotFound","message":"not in this test"}`)
	}))
	t.Cleanup(server.Close)
	cfg := &rest.Config{Host: server.URL, QPS: -1}
	core, err := typed.NewCore(cfg, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	mesh, err := typed.NewGroup(cfg, server.Client(), clientnet.SchemeGroupVersion, clientnet.AddToScheme)
	if err != nil {
		t.Fatal(err)
	}
	gateways := typed.In[clientnet.Gateway, clientnet.GatewayList](mesh, "gateways", "test")
	const protobuf = "application/vnd.kubernetes.protobuf"
	ctx, get, list, create := t.Context(), metav1.GetOptions{}, metav1.ListOptions{LabelSelector: "app=x"}, metav1.CreateOptions{DryRun: []string{"All"}}
	for _, tc := range []struct {
		does func() error
		want string
	}{
		{func() error { _, err := core.CoreV1().ConfigMaps("test").Get(ctx, "x", get); return err }, "GET /api/v1/namespaces/test/configmaps/x " + protobuf},
		{func() error { _, err := core.CoreV1().Events("test").List(ctx, list); return err }, "GET /api/v1/namespaces/test/events?labelSelector=app%3Dx " + protobuf},
		{func() error { _, err := core.CoreV1().Namespaces().Get(ctx, "x", get); return err }, "GET /api/v1/namespaces/x " + protobuf},
		{func() error { _, err := core.CoreV1().Nodes().List(ctx, list); return err }, "GET /api/v1/nodes?labelSelector=app%3Dx " + protobuf},
		{func() error { _, err := core.CoreV1().Pods("").List(ctx, list); return err }, "GET /api/v1/pods?labelSelector=app%3Dx " + protobuf},
		{func() error { _, err := core.CoreV1().Pods("test").Create(ctx, &corev1.Pod{}, create); return err },
			"POST /api/v1/namespaces/test/pods?dryRun=All " + protobuf + " " + protobuf + " (is it)"},
		{func() error { _, err := core.CoreV1().Secrets("test").Get(ctx, "x", get); return err }, "GET /api/v1/namespaces/test/secrets/x " + protobuf},
		{func() error { return core.CoreV1().Services("test").Delete(ctx, "x", metav1.DeleteOptions{}) },
			"DELETE /api/v1/namespaces/test/services/x " + protobuf + " " + protobuf + " (is it)"},
		{func() error {
			_, err := core.CoreV1().Services("test").Patch(ctx, "x", types.ApplyPatchType, []byte("{}"), metav1.PatchOptions{FieldManager: "me"})
			return err
		}, "PATCH /api/v1/namespaces/test/services/x?fieldManager=me " + protobuf + " application/apply-patch+yaml"},
		{func() error { _, err := core.AppsV1().ControllerRevisions("test").List(ctx, list); return err },
			"GET /apis/apps/v1/namespaces/test/controllerrevisions?labelSelector=app%3Dx " + protobuf},
		{func() error { _, err := core.AppsV1().DaemonSets("test").Get(ctx, "x", get); return err }, "GET /apis/apps/v1/namespaces/test/daemonsets/x " + protobuf},
		{func() error { _, err := core.AppsV1().Deployments("test").Watch(ctx, list); return err },
			"GET /apis/apps/v1/namespaces/test/deployments?labelSelector=app%3Dx&watch=true " + protobuf},
		{func() error { _, err := core.AppsV1().ReplicaSets("test").Get(ctx, "x", get); return err }, "GET /apis/apps/v1/namespaces/test/replicasets/x " + protobuf},
		{func() error { _, err := core.AppsV1().StatefulSets("test").Get(ctx, "x", get); return err }, "GET /apis/apps/v1/namespaces/test/statefulsets/x " + protobuf},
		{func() error {
			_, err := core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{}, metav1.CreateOptions{})
			return err
		}, "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews " + protobuf + " " + protobuf + " (is it)"},
		{func() error { _, err := core.BatchV1().CronJobs("test").Get(ctx, "x", get); return err }, "GET /apis/batch/v1/namespaces/test/cronjobs/x " + protobuf},
		{func() error { _, err := core.BatchV1().Jobs("test").Get(ctx, "x", get); return err }, "GET /apis/batch/v1/namespaces/test/jobs/x " + protobuf},
		{func() error { _, err := core.DiscoveryV1().EndpointSlices("test").Get(ctx, "x", get); return err },
			"GET /apis/discovery.k8s.io/v1/namespaces/test/endpointslices/x " + protobuf},
		{func() error { _, err := core.PolicyV1().PodDisruptionBudgets("test").Get(ctx, "x", get); return err },
			"GET /apis/policy/v1/namespaces/test/poddisruptionbudgets/x " + protobuf},
		{func() error {
			_, err := core.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "x", get)
			return err
		}, "GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/x " + protobuf},
		{func() error { _, err := gateways.Get(ctx, "x", get); return err }, "GET /apis/networking.istio.io/v1alpha3/namespaces/test/gateways/x application/json"},
		{func() error { _, err := gateways.Create(ctx, &clientnet.Gateway{}, metav1.CreateOptions{}); return err },
			"POST /apis/networking.istio.io/v1alpha3/namespaces/test/gateways application/json application/json"},
	} {
		asked = nil
		if err := tc.does(); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "not in this test") {
			t.Errorf("%s: %v", tc.want, err)
		}
		if len(asked) != 1 || asked[0] != tc.want {
			t.Errorf("asked was\n%s, want\n%s", strings.Join(asked, "\n"), tc.want)
		}
	}
}
