package e2e

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// webhookMode in the environment makes the test binary a webhook, which the
// lab's API server can reach only inside the lab's network.
const webhookMode = "E2E_WEBHOOK"

// serveWebhook answers reviews until stdin ends: /deny says no, /flaky fails
// three times and then says yes, /broken always fails. Its address and
// certificate are the first line on stdout.
func serveWebhook() {
	failed := atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if r.URL.Path == "/broken" || r.URL.Path == "/flaky" && failed.Add(1) <= 3 {
			http.Error(w, "the hook is out of order", http.StatusInternalServerError)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: r.URL.Path != "/deny",
			Result: &metav1.Status{Message: "Services need an owner, says the platform team"}}
		_ = json.NewEncoder(w).Encode(review)
	}))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	fmt.Println(server.URL, base64.StdEncoding.EncodeToString(ca))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startWebhook runs one in the lab's network.
func startWebhook(t *testing.T) (address, ca string) {
	t.Helper()
	cmd := exec.Command(root("lab/run"), os.Args[0])
	cmd.Env = append(os.Environ(), webhookMode+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(stdout, &address, &ca); err != nil {
		t.Fatalf("the webhook does not start: %v", err)
	}
	return address, ca
}

// faults: 26
//
// What a webhook denies is told in its words after one try; one that fails is
// asked again, and one that goes on failing is told of long before the timeout.
func TestWebhook(t *testing.T) {
	t.Parallel()
	address, ca := startWebhook(t)
	for mode, tc := range map[string]struct {
		code, least, most int // tries
		says              string
	}{
		"deny":   {1, 1, 1, "Services need an owner, says the platform team"},
		"flaky":  {0, 5, 5, "failed calling webhook"}, // 4 dry runs and the write; then it is looked at again
		"broken": {1, 6, 6, "the hook is out of order"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			place := newPlace(t)
			place.apply(fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: owners.e2e.example.com
  clientConfig: {url: "%[2]s/%[3]s", caBundle: %[4]s}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}]
  sideEffects: None
  admissionReviewVersions: [v1]
`, place.ns, address, mode, ca))
			t.Cleanup(func() {
				if out, err := kubectl("delete", "validatingwebhookconfiguration", place.ns); err != nil {
					t.Error(err, out)
				}
			})
			p := newProxy(t, nil)
			r := grpcmesh(t, p.kubeconfig, nil, place.expose()...)
			r.wants(t, tc.code, tc.says)
			tries := p.count(func(c *call) bool { return c.verb == http.MethodPatch && strings.HasSuffix(c.path, "/services/app") })
			if wrote := p.committed(); tc.code != 0 && len(wrote) > 0 || tc.code == 0 && len(wrote) != 5 {
				t.Errorf("it wrote %v: %s", wrote, r)
			}
			if tries < tc.least || tries > tc.most+1 && tc.code == 0 || tc.code != 0 && tries > tc.most {
				t.Errorf("%d tries: %s", tries, r)
			}
		})
	}
}
