package istio

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// recorded reads webhook configurations as Istio 1.31 writes them (the lab's
// default install by kubectl, a revisioned one by istioctl manifest generate;
// the CA bundles are taken out), with other revisions' names put in.
func recorded(t testing.TB, file string, rename ...string) []admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var list admissionv1.MutatingWebhookConfigurationList
	if err := json.Unmarshal([]byte(strings.NewReplacer(rename...).Replace(string(b))), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Fatalf("%s holds no configuration", file)
	}
	return list.Items
}

const (
	defaultInstall = "webhooks-default.json" // istio-injection, the tag "default", and four webhooks switched off
	revisioned     = "webhooks-revision-canary.json"
)

// meshes are the sets of webhooks that people's clusters have.
func meshes(t testing.TB) map[string][]Injector {
	t.Helper()
	canary := recorded(t, revisioned)
	byURL := recorded(t, revisioned)
	url := "https://istiod.example.com/inject"
	for i := range byURL[0].Webhooks {
		byURL[0].Webhooks[i].ClientConfig = admissionv1.WebhookClientConfig{URL: &url}
	}
	led := recorded(t, defaultInstall)[:1] // as after istioctl tag set default --revision canary
	led[0].Labels["istio.io/rev"] = "canary"
	everywhere := recorded(t, defaultInstall)[:1]
	everywhere[0].Webhooks = everywhere[0].Webhooks[2:3] // the one for istio-injection=enabled
	everywhere[0].Webhooks[0].NamespaceSelector = nil
	other := []admissionv1.MutatingWebhookConfiguration{{Webhooks: []admissionv1.MutatingWebhook{{
		Name: "webhook.cert-manager.io", Rules: everywhere[0].Webhooks[0].Rules,
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"cert-manager.io/inject": "true"}},
	}}}}
	configs := map[string][]admissionv1.MutatingWebhookConfiguration{
		"default":               append(recorded(t, defaultInstall), other...),
		"canary":                canary,
		"tcm":                   recorded(t, revisioned, "canary", "1-8-1"),
		"aks":                   recorded(t, revisioned, "canary", "asm-1-24"),
		"default+canary":        slices.Concat(recorded(t, defaultInstall), canary),
		"two revisions":         slices.Concat(canary, recorded(t, revisioned, "canary", "stable")),
		"tag":                   slices.Concat(canary, recorded(t, revisioned, `"canary"`, `"prod"`, "istio-sidecar-injector-canary", "istio-revision-tag-prod")),
		"default led to canary": slices.Concat(led, canary),
		"url":                   byURL,
		"everywhere":            everywhere,
		"none":                  nil,
		"others' only":          other,
		"switched off only":     recorded(t, defaultInstall)[1:],
	}
	found := map[string][]Injector{}
	for name, cfg := range configs {
		inj, err := injectors(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found[name] = inj
	}
	return found
}

// outcome is DecideInjection's answer in a few words.
func outcome(inj Injection, err error) string {
	var (
		conflict *plan.ConflictError
		target   *manifest.TargetError
		not      *k8s.NotReadyError
	)
	switch {
	case errors.As(err, &conflict):
		return "conflict: " + conflict.Code + ": " + conflict.Reason
	case errors.As(err, &target):
		return "which: " + target.Code + ": " + strings.Join(target.Candidates, ", ")
	case errors.As(err, &not):
		return "refused: " + not.Code + ": " + not.Subject
	case err != nil:
		return "error: " + err.Error()
	case inj.Set == nil:
		return "has " + inj.Label
	}
	return "set " + FormatSelector(inj.Set)
}

func TestDecideInjectionByNamespace(t *testing.T) {
	all := meshes(t)
	// LIVE stands for a revision that the mesh has.
	live := map[string]string{"default": "default", "tcm": "1-8-1", "aks": "asm-1-24", "tag": "prod"}
	namespaces := map[string]map[string]string{
		"unset":             nil,
		"other labels":      {"team": "a"},
		"enabled":           {"istio-injection": "enabled"},
		"disabled":          {"istio-injection": "disabled"},
		"live":              {"istio.io/rev": "LIVE"},
		"stale":             {"istio.io/rev": "1-6-9"},
		"ambient":           {"istio.io/dataplane-mode": "ambient"},
		"both":              {"istio-injection": "enabled", "istio.io/rev": "LIVE"},
		"disabled+live":     {"istio-injection": "disabled", "istio.io/rev": "LIVE"},
		"ambient+enabled":   {"istio.io/dataplane-mode": "ambient", "istio-injection": "enabled"},
		"ambient+live":      {"istio.io/dataplane-mode": "ambient", "istio.io/rev": "LIVE"},
		"enabled+stale":     {"istio-injection": "enabled", "istio.io/rev": "1-6-9"},
		"enabled, misspelt": {"istio-injection": "true"},
	}
	// What no injector answers to is never papered over by a second label.
	const (
		enabled  = "conflict: GM111: it carries istio-injection=enabled,"
		disabled = "conflict: GM110: it carries istio-injection=disabled, an opt-out"
		misspelt = "conflict: GM111: it carries istio-injection=true,"
		stale    = "conflict: GM111: it carries istio.io/rev=1-6-9,"
		ambient  = "conflict: GM115: it carries istio.io/dataplane-mode=ambient,"
	)
	withDefault := func(unset string) map[string]string {
		return map[string]string{
			"unset": unset, "other labels": unset, "enabled": "has istio-injection=enabled", "disabled": disabled,
			"live": "has istio.io/rev=LIVE", "stale": stale, "ambient": ambient, "both": "has istio-injection=enabled",
			"disabled+live": disabled, "ambient+enabled": "has istio-injection=enabled", "ambient+live": "has istio.io/rev=LIVE",
			"enabled+stale": "has istio-injection=enabled", "enabled, misspelt": misspelt,
		}
	}
	revisionsOnly := func(unset string) map[string]string {
		return map[string]string{
			"unset": unset, "other labels": unset, "enabled": enabled, "disabled": disabled,
			"live": "has istio.io/rev=LIVE", "stale": stale, "ambient": ambient, "both": enabled,
			"disabled+live": disabled, "ambient+enabled": enabled, "ambient+live": "has istio.io/rev=LIVE",
			"enabled+stale": enabled, "enabled, misspelt": misspelt,
		}
	}
	same := func(answer string) map[string]string {
		m := map[string]string{}
		for name := range namespaces {
			m[name] = answer
		}
		return m
	}
	for mesh, wants := range map[string]map[string]string{
		"default":           withDefault("set istio-injection=enabled"),
		"default+canary":    withDefault("set istio-injection=enabled"),
		"canary":            revisionsOnly("set istio.io/rev=canary"),
		"tcm":               revisionsOnly("set istio.io/rev=1-8-1"),
		"aks":               revisionsOnly("set istio.io/rev=asm-1-24"),
		"url":               revisionsOnly("set istio.io/rev=canary"),
		"two revisions":     revisionsOnly("which: GM113: --revision canary, --revision stable"),
		"tag":               revisionsOnly("which: GM113: --revision canary, --revision prod"),
		"everywhere":        same("has "),
		"none":              same("refused: GM105: the mesh"),
		"others' only":      same("refused: GM105: the mesh"),
		"switched off only": same("refused: GM105: the mesh"),
	} {
		rev := live[mesh]
		if rev == "" {
			rev = "canary"
		}
		for name, labels := range namespaces {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: maps.Clone(labels)}}
			if ns.Labels["istio.io/rev"] == "LIVE" {
				ns.Labels["istio.io/rev"] = rev
			}
			want := strings.ReplaceAll(wants[name], "LIVE", rev)
			got := outcome(DecideInjection(all[mesh], ns, "Deployment/server", corev1.PodTemplateSpec{}, ""))
			if want == "" || !strings.HasPrefix(got, want) || strings.HasPrefix(want, "set ") && got != want {
				t.Errorf("mesh %s, namespace %s %v: %s; want %s", mesh, name, ns.Labels, got, want)
			}
		}
	}
}

func TestDecideInjectionByRevision(t *testing.T) {
	all := meshes(t)
	for _, tc := range []struct {
		mesh     string
		labels   map[string]string
		revision string
		want     string // how the answer begins
	}{
		{"default", nil, "default", "set istio.io/rev=default"},
		{"default", nil, "canary", "which: GM114: --revision default"},
		{"default+canary", nil, "canary", "set istio.io/rev=canary"},
		{"default+canary", nil, "default", "set istio.io/rev=default"},
		{"default+canary", nil, "nosuch", "which: GM114: --revision canary, --revision default"},
		{"two revisions", nil, "stable", "set istio.io/rev=stable"},
		{"tag", nil, "prod", "set istio.io/rev=prod"},
		{"tcm", nil, "1-8-1", "set istio.io/rev=1-8-1"},
		{"tcm", nil, "1-10-0", "which: GM114: --revision 1-8-1"},
		{"aks", nil, "asm-1-24", "set istio.io/rev=asm-1-24"},
		{"none", nil, "canary", "refused: GM105: the mesh"},
		{"two revisions", map[string]string{"istio.io/rev": "canary"}, "canary", "has istio.io/rev=canary"},
		{"two revisions", map[string]string{"istio.io/rev": "canary"}, "stable",
			"conflict: GM112: it is injected already, by istio.io/rev=canary, and --revision asks for stable"},
		// The webhook for istio-injection names no revision in its selectors; its
		// configuration's labels say which it is.
		{"default", map[string]string{"istio-injection": "enabled"}, "default", "has istio-injection=enabled"},
		{"default+canary", map[string]string{"istio-injection": "enabled"}, "default", "has istio-injection=enabled"},
		{"default led to canary", map[string]string{"istio-injection": "enabled"}, "default", "has istio-injection=enabled"},
		{"default led to canary", map[string]string{"istio-injection": "enabled"}, "canary", "has istio-injection=enabled"},
		{"default led to canary", map[string]string{"istio-injection": "enabled"}, "stable",
			"conflict: GM112: it is injected already, by istio-injection=enabled, and --revision asks for stable"},
		{"default led to canary", map[string]string{"istio.io/rev": "default"}, "canary", "has istio.io/rev=default"},
		{"default led to canary", nil, "stable", "which: GM114: --revision canary, --revision default"},
		{"default+canary", map[string]string{"istio-injection": "enabled"}, "canary",
			"conflict: GM112: it is injected already, by istio-injection=enabled, and --revision asks for canary"},
		// Beside istio-injection the revision has no say (istio#43621).
		{"default+canary", map[string]string{"istio-injection": "enabled", "istio.io/rev": "canary"}, "canary",
			"conflict: GM112: it is injected already, by istio-injection=enabled, and --revision asks for canary"},
		{"default+canary", map[string]string{"istio-injection": "disabled", "istio.io/rev": "canary"}, "canary",
			"conflict: GM110: it carries istio-injection=disabled"},
		{"two revisions", map[string]string{"istio.io/rev": "old"}, "canary", "conflict: GM111: it carries istio.io/rev=old"},
	} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: tc.labels}}
		if got := outcome(DecideInjection(all[tc.mesh], ns, "Deployment/server", corev1.PodTemplateSpec{}, tc.revision)); !strings.HasPrefix(got, tc.want) {
			t.Errorf("mesh %s, namespace %v, --revision %s: %s; want %s", tc.mesh, tc.labels, tc.revision, got, tc.want)
		}
	}
}

func TestDecideInjectionByPod(t *testing.T) {
	all := meshes(t)
	pod := func(labels, annotations map[string]string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations}}
	}
	host := pod(nil, nil)
	host.Spec.HostNetwork = true
	yes, no := map[string]string{podInjectLabel: "true"}, map[string]string{podInjectLabel: "false"}
	enabled := map[string]string{"istio-injection": "enabled"}
	for _, tc := range []struct {
		name   string
		mesh   string
		labels map[string]string
		pod    corev1.PodTemplateSpec
		want   string
	}{
		{"it asks itself", "default", nil, pod(yes, nil), "has the pod's own label sidecar.istio.io/inject=true"},
		{"it asks itself, where only a revision could answer", "canary", nil, pod(yes, nil), "set istio.io/rev=canary"},
		{"it asks, the namespace is switched off", "default", map[string]string{"istio-injection": "disabled"}, pod(yes, nil), "conflict: GM110: it carries istio-injection=disabled"},
		{"it names a revision", "default+canary", nil, pod(map[string]string{"istio.io/rev": "canary"}, nil), "has the pod's own label istio.io/rev=canary"},
		{"it names a stale revision", "default", nil, pod(map[string]string{"istio.io/rev": "old"}, nil), "set istio-injection=enabled"},
		{"it declines by label", "default", nil, pod(no, nil), "refused: GM116: Deployment/server"},
		{"it declines in a namespace that injects", "default", enabled, pod(no, nil), "refused: GM116: Deployment/server"},
		{"it declines by annotation", "default", enabled, pod(nil, no), "refused: GM116: Deployment/server"},
		{"the label beats the annotation", "default", enabled, pod(yes, no), "has istio-injection=enabled"},
		{"the label beats the annotation, the other way", "default", enabled, pod(no, yes), "refused: GM116: Deployment/server"},
		{"the host's network", "default", enabled, host, "refused: GM117: Deployment/server"},
		{"the host's network, no mesh", "none", enabled, host, "refused: GM105: the mesh"},
	} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: tc.labels}}
		if got := outcome(DecideInjection(all[tc.mesh], ns, "Deployment/server", tc.pod, "")); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s; want %s", tc.name, got, tc.want)
		}
	}
}

// TestDecideInjectionHints: a refusal names the way on.
func TestDecideInjectionHints(t *testing.T) {
	all := meshes(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"istio.io/rev": "1-6-9"}}}
	_, err := DecideInjection(all["two revisions"], ns, "Deployment/server", corev1.PodTemplateSpec{}, "")
	for _, part := range []string{"Namespace/shop", "kubectl label namespace shop istio.io/rev-", "Live revisions: canary, stable"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v; want %q in it", err, part)
		}
	}
}

// TestDecideInjectionDoesWhatItSays, over every mesh and any labels: the label
// to set makes an injector take the pod and hides no label that was there;
// "it injects already" is true; and what injects already is never altered.
func TestDecideInjectionDoesWhatItSays(t *testing.T) {
	all := meshes(t)
	names := slices.Sorted(maps.Keys(all))
	value := rapid.SampledFrom([]string{"enabled", "disabled", "default", "canary", "stable", "old", "true", "false", "ambient"})
	nsLabels := rapid.MapOfN(rapid.SampledFrom([]string{injectionLabel, revisionLabel, dataplaneLabel, "team"}), value, 0, 3)
	podLabels := rapid.MapOfN(rapid.SampledFrom([]string{podInjectLabel, revisionLabel, "app"}), value, 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		injectors := all[rapid.SampledFrom(names).Draw(t, "mesh")]
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: nsLabels.Draw(t, "namespace")}}
		pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: podLabels.Draw(t, "pod")}}
		revision := rapid.SampledFrom([]string{"", "", "canary", "default", "nosuch"}).Draw(t, "revision")
		before := maps.Clone(ns.Labels)
		inj, err := DecideInjection(injectors, ns, "Deployment/server", pod, revision)
		if !maps.Equal(before, ns.Labels) {
			t.Fatalf("the namespace's labels were altered from %v to %v", before, ns.Labels)
		}
		if err != nil {
			return
		}
		takes := func(labels map[string]string) bool {
			return slices.ContainsFunc(injectors, func(i Injector) bool { return i.matches(labels, pod.Labels) })
		}
		if inj.Set == nil {
			if !takes(ns.Labels) {
				t.Fatalf("said to inject already by %s; no injector takes the pod", inj.Label)
			}
			return
		}
		if takes(ns.Labels) {
			t.Fatalf("%v is to be set, though an injector takes the pod already", inj.Set)
		}
		after := maps.Clone(ns.Labels)
		if after == nil {
			after = map[string]string{}
		}
		for k, v := range inj.Set {
			if _, there := after[k]; there {
				t.Fatalf("%s=%s would replace %s", k, v, after[k])
			}
			after[k] = v
		}
		if !takes(after) {
			t.Fatalf("with %v set, no injector takes the pod", inj.Set)
		}
		if revision != "" && inj.Set[revisionLabel] != revision {
			t.Fatalf("--revision %s: %v is to be set", revision, inj.Set)
		}
	})
}

func TestNamespacesThatAreNotForServices(t *testing.T) {
	all := meshes(t)
	for _, ns := range []string{"kube-system", "kube-public", "kube-node-lease", "local-path-storage"} {
		if !PassedBy(ns) {
			t.Errorf("%s: said to be injected", ns)
		}
	}
	if PassedBy("test") || PassedBy("default") || PassedBy("kube-systems") {
		t.Error("a namespace like any other: said to be passed by")
	}
	if !RunsMesh(all["default"], "istio-system") || !RunsMesh(all["canary"], "istio-system") {
		t.Error("istio-system: said to be free of the mesh, and istiod's Service is there")
	}
	if RunsMesh(all["default"], "test") || RunsMesh(all["url"], "istio-system") {
		t.Error("a namespace without istiod: said to run the mesh")
	}
}

// TestQuotaOrRole: all three are 403; only the words tell them apart.
func TestQuotaOrRole(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	quota := apierrors.NewForbidden(pods, "server-rehearsal-x", errors.New("exceeded quota: pods, requested: pods=1, used: pods=3, limited: pods=3"))
	role := apierrors.NewForbidden(pods, "", errors.New(`User "jane" cannot create resource "pods" in API group "" in the namespace "test"`))
	security := apierrors.NewForbidden(pods, "server-rehearsal-x", errors.New(`violates PodSecurity "restricted:latest"`))
	for _, tc := range []struct {
		name        string
		err         error
		quota, role bool
	}{{"quota", quota, true, false}, {"role", role, false, true}, {"Pod Security", security, false, false}, {"any other", errors.New("exceeded quota: "), false, false}} {
		if overQuota(tc.err) != tc.quota || forbiddenByRole(tc.err) != tc.role {
			t.Errorf("%s: quota %v, role %v", tc.name, overQuota(tc.err), forbiddenByRole(tc.err))
		}
	}
}

func TestInjectorsReadsOnlyInjectors(t *testing.T) {
	all := meshes(t)
	var names []string
	for _, i := range all["default"] {
		names = append(names, i.Name)
	}
	want := []string{
		"istio-revision-tag-default/rev.namespace.sidecar-injector.istio.io",
		"istio-revision-tag-default/rev.object.sidecar-injector.istio.io",
		"istio-revision-tag-default/namespace.sidecar-injector.istio.io",
		"istio-revision-tag-default/object.sidecar-injector.istio.io",
	}
	if !slices.Equal(names, want) {
		t.Errorf("injectors of the default install: %v, want %v", names, want)
	}
	rule := func(op admissionv1.OperationType, resource string) admissionv1.RuleWithOperations {
		return admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{op}, Rule: admissionv1.Rule{Resources: []string{resource}}}
	}
	about := &metav1.LabelSelector{MatchLabels: map[string]string{"istio-injection": "enabled"}}
	for _, tc := range []struct {
		name string
		hook admissionv1.MutatingWebhook
		want int
	}{
		{"pods are created", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("CREATE", "pods")}, NamespaceSelector: about}, 1},
		{"everything of everything", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("*", "*")}, NamespaceSelector: about}, 1},
		{"by the pod alone", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("CREATE", "pods")},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{podInjectLabel: "true"}}}, 1},
		{"no rules", admissionv1.MutatingWebhook{NamespaceSelector: about}, 0},
		{"pods are updated", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("UPDATE", "pods")}, NamespaceSelector: about}, 0},
		{"services", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("CREATE", "services")}, NamespaceSelector: about}, 0},
		{"about something else", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("CREATE", "pods")},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"linkerd.io/inject": "enabled"}}}, 0},
		{"selectors absent", admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{rule("CREATE", "pods")}}, 0},
	} {
		got, err := injectors([]admissionv1.MutatingWebhookConfiguration{{Webhooks: []admissionv1.MutatingWebhook{tc.hook}}})
		if err != nil || len(got) != tc.want {
			t.Errorf("%s: %d injectors, %v; want %d", tc.name, len(got), err, tc.want)
		}
	}
	bad := admissionv1.MutatingWebhook{Name: "bad", Rules: []admissionv1.RuleWithOperations{rule("CREATE", "pods")},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "istio.io/rev", Operator: "Sometimes"}}}}
	_, err := injectors([]admissionv1.MutatingWebhookConfiguration{{ObjectMeta: metav1.ObjectMeta{Name: "cfg"}, Webhooks: []admissionv1.MutatingWebhook{bad}}})
	if err == nil || !strings.Contains(err.Error(), "cfg/bad: namespaceSelector") {
		t.Errorf("a selector that can't be read: %v; want an error that names the webhook", err)
	}
}
