package istio

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func TestDecidePodInjection(t *testing.T) {
	all := meshes(t)
	for _, tc := range []struct {
		mesh, namespace, pod, revision string
		want                           string
	}{
		{"default", "", "", "", "pod sidecar.istio.io/inject=true"},
		{"canary", "", "", "", "pod istio.io/rev=canary"},
		{"tcm", "", "", "", "pod istio.io/rev=1-8-1"},
		{"two revisions", "", "", "", "which: GM113: --revision canary, --revision stable"},
		{"two revisions", "", "", "stable", "pod istio.io/rev=stable"},
		{"default+canary", "", "", "", "pod sidecar.istio.io/inject=true"},
		{"default+canary", "", "", "canary", "pod istio.io/rev=canary"},
		{"canary", "", "", "nosuch", "which: GM114: --revision canary"},
		{"default", "istio-injection=enabled", "", "", "has istio-injection=enabled"},
		{"default", "", "sidecar.istio.io/inject=true", "", "has the pod's own label sidecar.istio.io/inject=true"},
		{"default", "", "sidecar.istio.io/inject=false", "", "refused: GM116: Deployment/server"},
		{"default", "istio-injection=disabled", "", "", "conflict: GM110: it carries istio-injection=disabled"},
		{"canary", "istio.io/rev=old", "", "", "conflict: GM111: it carries istio.io/rev=old"},
		{"canary", "", "istio.io/rev=old", "", "conflict: GM111: the pod template of Deployment/server carries istio.io/rev=old"},
		{"default", "istio.io/dataplane-mode=ambient", "", "", "conflict: GM115: it carries istio.io/dataplane-mode=ambient"},
		{"everywhere", "", "", "", "has an injector for every namespace"},
		{"none", "", "", "", "refused: GM105: the mesh"},
	} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: labelled(tc.namespace)}}
		inj, err := DecidePodInjection(all[tc.mesh], ns, "Deployment/server", corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelled(tc.pod)}}, tc.revision)
		got := outcome(inj, err)
		if err == nil && inj.Pod != nil {
			got = "pod " + FormatSelector(inj.Pod)
		}
		if !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s, namespace %q, pod %q, revision %q: %s; want %s", tc.mesh, tc.namespace, tc.pod, tc.revision, got, tc.want)
		}
	}
}

func labelled(label string) map[string]string {
	if label == "" {
		return nil
	}
	key, value, _ := strings.Cut(label, "=")
	return map[string]string{key: value}
}

// TestDecidePodInjectionDoesWhatItSays, over every mesh and any labels: with the
// label an injector takes the pod, without it none does, and the namespace's
// labels are not to change.
func TestDecidePodInjectionDoesWhatItSays(t *testing.T) {
	all := meshes(t)
	names := slices.Sorted(maps.Keys(all))
	value := rapid.SampledFrom([]string{"enabled", "disabled", "default", "canary", "stable", "old", "true", "false", "ambient"})
	nsLabels := rapid.MapOfN(rapid.SampledFrom([]string{injectionLabel, revisionLabel, dataplaneLabel, "team"}), value, 0, 3)
	podLabels := rapid.MapOfN(rapid.SampledFrom([]string{podInjectLabel, revisionLabel, "app"}), value, 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		injectors := all[rapid.SampledFrom(names).Draw(t, "mesh")]
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: nsLabels.Draw(t, "namespace")}}
		pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: podLabels.Draw(t, "pod")}}
		inj, err := DecidePodInjection(injectors, ns, "Deployment/server", pod, rapid.SampledFrom([]string{"", "", "canary", "nosuch"}).Draw(t, "revision"))
		if err != nil {
			return
		}
		takes := func(labels map[string]string) bool {
			return slices.ContainsFunc(injectors, func(i Injector) bool { return i.matches(ns.Labels, labels) })
		}
		if inj.Set != nil {
			t.Fatalf("the namespace is to be labelled %v", inj.Set)
		}
		if takes(pod.Labels) != (inj.Pod == nil) {
			t.Fatalf("the pod is to be labelled %v, and an injector takes it as it is: %v", inj.Pod, takes(pod.Labels))
		}
		with := maps.Clone(pod.Labels)
		maps.Copy(with, inj.Pod)
		if !takes(with) {
			t.Fatalf("no injector takes a pod with the labels %v", with)
		}
	})
}
