package istio

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// cell is a decision with its code and what it writes: "has LABEL" and "GM…"
// write nothing, "sets LABEL" the label.
func cell(inj Injection, err error) string {
	var (
		conflict *plan.ConflictError
		target   *manifest.TargetError
		not      *k8s.NotReadyError
	)
	switch {
	case errors.As(err, &conflict):
		return conflict.Code
	case errors.As(err, &target):
		return target.Code
	case errors.As(err, &not):
		return not.Code
	case err != nil:
		return err.Error()
	case inj.Set == nil:
		return "has " + inj.Label
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(inj.Set)) {
		all = append(all, k+"="+inj.Set[k])
	}
	return "sets " + strings.Join(all, ",")
}

// TestLabelsTable: {unset, enabled, disabled} × {no revision, live, stale, tag}
// × {ambient or not}, on a mesh with istio-injection, a revision and a tag, and
// on one with revisions alone.
func TestLabelsTable(t *testing.T) {
	t.Parallel()
	tag := recorded(t, revisioned, `"canary"`, `"prod"`, "istio-sidecar-injector-canary", "istio-revision-tag-prod")
	full, err := injectors(slices.Concat(recorded(t, defaultInstall), recorded(t, revisioned), tag))
	if err != nil {
		t.Fatal(err)
	}
	revisions, err := injectors(slices.Concat(recorded(t, revisioned), tag))
	if err != nil {
		t.Fatal(err)
	}
	// By injection, then revision, then ambient: no, yes.
	want := map[string]map[string][]string{
		"full": {
			"unset":           {"sets istio-injection=enabled", "GM115"},
			"unset, live":     {"has istio.io/rev=canary", "has istio.io/rev=canary"},
			"unset, stale":    {"GM111", "GM111"},
			"unset, tag":      {"has istio.io/rev=prod", "has istio.io/rev=prod"},
			"enabled":         {"has istio-injection=enabled", "has istio-injection=enabled"},
			"enabled, live":   {"has istio-injection=enabled", "has istio-injection=enabled"},
			"enabled, stale":  {"has istio-injection=enabled", "has istio-injection=enabled"},
			"enabled, tag":    {"has istio-injection=enabled", "has istio-injection=enabled"},
			"disabled":        {"GM110", "GM110"},
			"disabled, live":  {"GM110", "GM110"},
			"disabled, stale": {"GM110", "GM110"},
			"disabled, tag":   {"GM110", "GM110"},
		},
		"revisions": {
			"unset":           {"GM113", "GM115"}, // the revision and its tag are two names
			"unset, live":     {"has istio.io/rev=canary", "has istio.io/rev=canary"},
			"unset, stale":    {"GM111", "GM111"},
			"unset, tag":      {"has istio.io/rev=prod", "has istio.io/rev=prod"},
			"enabled":         {"GM111", "GM111"}, // as on Tencent's TCM from 1.6 on
			"enabled, live":   {"GM111", "GM111"},
			"enabled, stale":  {"GM111", "GM111"},
			"enabled, tag":    {"GM111", "GM111"},
			"disabled":        {"GM110", "GM110"},
			"disabled, live":  {"GM110", "GM110"},
			"disabled, stale": {"GM110", "GM110"},
			"disabled, tag":   {"GM110", "GM110"},
		},
	}
	for mesh, injectors := range map[string][]Injector{"full": full, "revisions": revisions} {
		for _, injection := range []string{"", "enabled", "disabled"} {
			for _, rev := range []struct{ name, value string }{{"", ""}, {", live", "canary"}, {", stale", "gone"}, {", tag", "prod"}} {
				for i, ambient := range []bool{false, true} {
					labels := map[string]string{"kubernetes.io/metadata.name": "test"}
					name := "unset" + rev.name
					if injection != "" {
						labels[injectionLabel], name = injection, injection+rev.name
					}
					if rev.value != "" {
						labels[revisionLabel] = rev.value
					}
					if ambient {
						labels[dataplaneLabel] = "ambient"
					}
					ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: labels}}
					before := fmt.Sprint(labels)
					got := cell(DecideInjection(injectors, ns, "Deployment/server", corev1.PodTemplateSpec{}, ""))
					if got != want[mesh][name][i] {
						t.Errorf("%s: %s, ambient %v: %q, want %q", mesh, name, ambient, got, want[mesh][name][i])
					}
					if fmt.Sprint(labels) != before {
						t.Errorf("%s: %s: the decision itself changed the labels: %v", mesh, name, labels)
					}
				}
			}
		}
	}
}

// TestPodLabelsTable: where the pod template's own labels have a say.
func TestPodLabelsTable(t *testing.T) {
	t.Parallel()
	full, err := injectors(slices.Concat(recorded(t, defaultInstall), recorded(t, revisioned)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		namespace, pod map[string]string
		want           string
	}{
		{nil, map[string]string{podInjectLabel: "true"}, "has the pod's own label sidecar.istio.io/inject=true"},
		{nil, map[string]string{podInjectLabel: "false"}, "GM116"},
		{nil, map[string]string{revisionLabel: "canary"}, "has the pod's own label istio.io/rev=canary"},
		{nil, map[string]string{revisionLabel: "gone"}, "sets istio-injection=enabled"},
		{map[string]string{injectionLabel: "enabled"}, map[string]string{podInjectLabel: "false"}, "GM116"},
		{map[string]string{injectionLabel: "enabled"}, map[string]string{revisionLabel: "canary"}, "has istio-injection=enabled"},
		{map[string]string{injectionLabel: "disabled"}, map[string]string{podInjectLabel: "true"}, "GM110"},
		{map[string]string{injectionLabel: "disabled"}, map[string]string{revisionLabel: "canary"}, "GM110"},
		{map[string]string{revisionLabel: "gone"}, map[string]string{podInjectLabel: "true"}, "GM111"},
		{map[string]string{revisionLabel: "gone"}, map[string]string{revisionLabel: "canary"}, "GM111"},
		{map[string]string{revisionLabel: "canary"}, map[string]string{podInjectLabel: "false"}, "GM116"},
		{map[string]string{dataplaneLabel: "ambient"}, map[string]string{podInjectLabel: "true"}, "has the pod's own label sidecar.istio.io/inject=true"},
	} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "test", Labels: tc.namespace}}
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: tc.pod}}
		if got := cell(DecideInjection(full, ns, "Deployment/server", template, "")); got != tc.want {
			t.Errorf("namespace %v, pod %v: %q, want %q", tc.namespace, tc.pod, got, tc.want)
		}
	}
}
