package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"istio.io/client-go/pkg/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// cmdCluster is `cluster NAME [RESOURCE...]`: makes NAME.conf, a kubeconfig of
// the lab as a mesh of the script's own. Of Services and webhooks only the
// script's are listed, so that the lab's gateway and injectors are not in the
// way; and what is written of the RESOURCEs is taken, and kept by no one.
func cmdCluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: cluster NAME [RESOURCE...]")
	}
	upstream := lab(ts)
	upstream.NextProtos = []string{"http/1.1"} // or an upgrade could not be handed on
	transport, err := rest.TransportFor(upstream)
	ts.Check(err)
	target, err := url.Parse(upstream.Host)
	ts.Check(err)
	own := []string{ts.Getenv("NS"), ts.Getenv("NS2")}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Accept-Encoding")
			parts := strings.Split(r.In.URL.Path, "/")
			forgets := slices.ContainsFunc(args[1:], func(resource string) bool { return slices.Contains(parts, resource) })
			if q := r.Out.URL.Query(); r.In.Method != http.MethodGet && forgets {
				q.Set("dryRun", "All")
				r.Out.URL.RawQuery = q.Encode()
			}
			if r.In.Method == http.MethodGet && filtered(r.In.URL.Path) {
				r.Out.Header.Set("Accept", "application/json")
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method != http.MethodGet || r.StatusCode != http.StatusOK || !filtered(r.Request.URL.Path) {
				return nil
			}
			return filter(r, func(namespace, name string) bool {
				return slices.Contains(own, namespace) || namespace == "" && strings.Contains(name, ts.Getenv("ID"))
			})
		},
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	ts.Defer(func() {
		_ = server.Config.Close()
		if out, err := kubectl("delete", "mutatingwebhookconfigurations", "-l", "e2e="+ts.Getenv("ID")); err != nil {
			ts.Logf("%v: %s", err, out)
		}
	})
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"lab","contexts":[{"name":"lab","context":{"cluster":"lab"}}],"clusters":[{"name":"lab","cluster":{"server":%q}}]}`, server.URL)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".conf"), []byte(text), 0o600))
}

// filtered says whether the path lists what a script sees only its own of.
func filtered(path string) bool {
	return path == "/api/v1/services" || strings.HasSuffix(path, "/mutatingwebhookconfigurations")
}

func filter(r *http.Response, keep func(namespace, name string) bool) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var list map[string]any
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	items, _ := list["items"].([]any)
	list["items"] = slices.DeleteFunc(items, func(item any) bool {
		meta, _ := item.(map[string]any)["metadata"].(map[string]any)
		namespace, _ := meta["namespace"].(string)
		name, _ := meta["name"].(string)
		return !keep(namespace, name)
	})
	if body, err = json.Marshal(list); err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	return nil
}

func lab(ts *testscript.TestScript) *rest.Config {
	config, err := clientcmd.BuildConfigFromFlags("", root(".lab/kubeconfig"))
	ts.Check(err)
	return config
}

// cmdFollower is `follower NAMESPACE NAME KEY=VALUE,...`: makes a gateway's
// Service with that selector and no port but the gateway's health, and from then
// on opens on it just what the Gateways for these pods ask for, a second after
// they do, until the Service is deleted: so much Tencent's mesh is documented to do.
func cmdFollower(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: follower NAMESPACE NAME KEY=VALUE,...")
	}
	selector, err := labels.ConvertSelectorToLabelsMap(args[2])
	ts.Check(err)
	config := lab(ts)
	core, err := kubernetes.NewForConfig(config)
	ts.Check(err)
	istio, err := versioned.NewForConfig(config)
	ts.Check(err)
	services := core.CoreV1().Services(args[0])
	ctx, cancel := context.WithCancel(context.Background())
	svc, err := services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: args[1]},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: selector, Ports: ports(15021)}}, metav1.CreateOptions{FieldManager: "gateway-controller"})
	ts.Check(err)
	ended := make(chan struct{})
	ts.Defer(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			time.Sleep(time.Second)
			gateways, err := istio.NetworkingV1alpha3().Gateways("").List(ctx, metav1.ListOptions{})
			if err != nil {
				continue
			}
			want := []int32{15021}
			for _, gw := range gateways.Items {
				for _, s := range gw.Spec.Servers {
					if labels.SelectorFromSet(gw.Spec.Selector).Matches(selector) {
						want = append(want, int32(s.Port.Number))
					}
				}
			}
			slices.Sort(want)
			if want = slices.Compact(want); len(want) == len(svc.Spec.Ports) {
				continue
			}
			svc.Spec.Ports = ports(want...)
			if changed, err := services.Update(ctx, svc, metav1.UpdateOptions{FieldManager: "gateway-controller"}); err == nil {
				svc = changed
			} else if changed, err := services.Get(ctx, args[1], metav1.GetOptions{}); err == nil && changed.UID == svc.UID {
				svc = changed
			} else {
				return // its Service is gone
			}
		}
	}()
}

func ports(numbers ...int32) []corev1.ServicePort {
	var all []corev1.ServicePort
	for _, n := range numbers {
		all = append(all, corev1.ServicePort{Name: fmt.Sprintf("tcp-%d", n), Port: n, TargetPort: intstr.FromInt32(n)})
	}
	return all
}
