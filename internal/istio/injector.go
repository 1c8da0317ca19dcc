package istio

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// Labels that decide on injection.
const (
	injectionLabel = "istio-injection"         // on a namespace: enabled or disabled
	revisionLabel  = "istio.io/rev"            // on a namespace or a pod: a revision or a tag; on a webhook's configuration: its revision
	tagLabel       = "istio.io/tag"            // on a webhook's configuration: the tag that it is for
	podInjectLabel = "sidecar.istio.io/inject" // on a pod: "true" or "false"
	dataplaneLabel = "istio.io/dataplane-mode" // on a namespace: ambient
	neverMatch     = "istio.io/deactivated"    // in a selector: a webhook switched off
)

// Injector is one webhook that adds sidecars to pods.
type Injector struct {
	Name      string   // "configuration/webhook"
	Revisions []string // that a namespace or a pod may ask it for by label
	Home      string   // the namespace that it runs in; empty where it is reached by URL
	standsFor []string // the revision, and the tag, that its configuration is of
	namespace labels.Selector
	pod       labels.Selector
}

func (i Injector) matches(namespace, pod map[string]string) bool {
	return i.namespace.Matches(labels.Set(namespace)) && i.pod.Matches(labels.Set(pod))
}

// Injectors lists the live injector webhooks. An empty list means that the
// cluster has no mesh that injects.
func (m *Mesh) Injectors(ctx context.Context) ([]Injector, error) {
	return k8s.Recall(m.reads, "Injector", "", func() ([]Injector, error) {
		list, err := m.core.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing MutatingWebhookConfigurations: %w", err)
		}
		return injectors(list.Items)
	})
}

func injectors(configs []admissionv1.MutatingWebhookConfiguration) ([]Injector, error) {
	var found []Injector
	for _, cfg := range configs {
		for i := range cfg.Webhooks {
			hook := &cfg.Webhooks[i]
			if !createsPods(hook.Rules) || !aboutInjection(hook.NamespaceSelector, hook.ObjectSelector) {
				continue
			}
			inj := Injector{Name: cfg.Name + "/" + hook.Name, Revisions: revisionsIn(hook.NamespaceSelector)}
			if hook.ClientConfig.Service != nil {
				inj.Home = hook.ClientConfig.Service.Namespace
			}
			for _, key := range []string{revisionLabel, tagLabel} {
				if v := cfg.Labels[key]; v != "" {
					inj.standsFor = append(inj.standsFor, v)
				}
			}
			var err error
			if inj.namespace, err = selector(hook.NamespaceSelector); err != nil {
				return nil, fmt.Errorf("webhook %s: namespaceSelector: %w", inj.Name, err)
			}
			if inj.pod, err = selector(hook.ObjectSelector); err != nil {
				return nil, fmt.Errorf("webhook %s: objectSelector: %w", inj.Name, err)
			}
			found = append(found, inj)
		}
	}
	return found, nil
}

// selector differs from the API machinery's in one point: an absent selector
// of a webhook matches everything, not nothing.
func selector(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

func createsPods(rules []admissionv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionv1.RuleWithOperations) bool {
		return (slices.Contains(r.Resources, "pods") || slices.Contains(r.Resources, "*")) &&
			(slices.Contains(r.Operations, admissionv1.Create) || slices.Contains(r.Operations, admissionv1.OperationAll))
	})
}

func aboutInjection(selectors ...*metav1.LabelSelector) bool {
	about := func(key string) bool {
		return key == injectionLabel || key == revisionLabel || key == podInjectLabel
	}
	for _, s := range selectors {
		if s == nil || s.MatchLabels[neverMatch] != "" {
			continue
		}
		for key := range s.MatchLabels {
			if about(key) {
				return true
			}
		}
		if slices.ContainsFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return about(r.Key) }) {
			return true
		}
	}
	return false
}

func revisionsIn(s *metav1.LabelSelector) []string {
	if s == nil || s.MatchLabels[neverMatch] != "" {
		return nil
	}
	var revs []string
	if rev := s.MatchLabels[revisionLabel]; rev != "" {
		revs = append(revs, rev)
	}
	for _, r := range s.MatchExpressions {
		if r.Key == revisionLabel && r.Operator == metav1.LabelSelectorOpIn {
			revs = append(revs, r.Values...)
		}
	}
	return revs
}

// RunsMesh says whether one of the injectors runs in the namespace: a label
// there would reach the mesh's own pods.
func RunsMesh(injectors []Injector, namespace string) bool {
	return slices.ContainsFunc(injectors, func(i Injector) bool { return i.Home == namespace })
}

// Injection is how pods of a namespace get their sidecar.
type Injection struct {
	Set   map[string]string // labels to set on the namespace; nil: it injects already
	Pod   map[string]string // labels to set on the pod template instead
	Label string            // the label that does it, as key=value
}

// DecideInjection says which label the namespace needs, from the live
// injectors alone: the labels are tried against their selectors before anything
// is written. workload is what the template is of, in words; revision, where
// given, must be among the injectors'.
//
// A namespace whose labels contradict is a *plan.ConflictError: setting a
// second label would not inject and would hide the first. A revision that is
// missing or ambiguous is a *manifest.TargetError. A cluster without injectors
// and a workload that declines the sidecar are a *k8s.NotReadyError.
func DecideInjection(injectors []Injector, ns *corev1.Namespace, workload string, template corev1.PodTemplateSpec, revision string) (Injection, error) {
	if inj, settled, err := asItIs(injectors, ns, workload, template, revision); settled || err != nil {
		return inj, err
	}
	return choose(injectors, ns, template.Labels, revision)
}

// asItIs says whether the namespace injects such pods already, and what is in
// the way of any label.
func asItIs(injectors []Injector, ns *corev1.Namespace, workload string, template corev1.PodTemplateSpec, revision string) (inj Injection, settled bool, err error) {
	if len(injectors) == 0 {
		return Injection{}, false, &k8s.NotReadyError{Code: finding.NoInjector, Subject: "the mesh",
			Cause: "this cluster has no sidecar injector (no webhook for istio-injection or istio.io/rev)",
			Hint:  "Install Istio first, or choose another cluster with --context."}
	}
	if code, cause, hint := PassesBy(template); code != "" {
		return Injection{}, false, &k8s.NotReadyError{Code: code, Namespace: ns.Name, Subject: workload, Cause: cause, Hint: "Nothing was written. " + hint}
	}
	have, pod := ns.Labels, template.Labels
	id := manifest.ID{Kind: "Namespace", Name: ns.Name}
	if revs, ok := injects(injectors, have, pod); ok {
		if revision != "" && !slices.Contains(revs, revision) {
			return Injection{}, false, &plan.ConflictError{Code: finding.OtherRevision, ID: id,
				Reason: fmt.Sprintf("it is injected already, by %s, and --revision asks for %s", current(have, pod), revision),
				Hint:   "Leave --revision out, or change the label of the namespace yourself."}
		}
		return Injection{Label: current(have, pod)}, true, nil
	}
	for _, key := range []string{injectionLabel, revisionLabel, dataplaneLabel} {
		v, ok := have[key]
		if ok && key == injectionLabel && v == "disabled" {
			return Injection{}, false, &plan.ConflictError{Code: finding.OptedOut, ID: id,
				Reason: "it carries istio-injection=disabled, an opt-out: someone chose to keep its pods without sidecars, and a second label would not help",
				Hint: fmt.Sprintf("Nothing was written. If it may join the mesh, take the label away, and run the same command again: kubectl label namespace %s %s-\n"+
					"Or have it replaced, and given back by unexpose: --adopt", ns.Name, key)}
		}
		if ok {
			code := finding.Stale
			if key == dataplaneLabel {
				code = finding.Ambient
			}
			orAdopt := ""
			if code == finding.Stale {
				orAdopt = "\nOr have it replaced, and given back by unexpose: --adopt"
			}
			return Injection{}, false, &plan.ConflictError{Code: code, ID: id,
				Reason: fmt.Sprintf("it carries %s=%s, which no live injector answers to, and a second label would not help", key, v),
				Hint: fmt.Sprintf("Remove it if it is not meant: kubectl label namespace %s %s-\nLive revisions: %s",
					ns.Name, key, strings.Join(allRevisions(injectors), ", ")) + orAdopt}
		}
	}
	return Injection{}, false, nil
}

// fitting are the Injections by one label more, beside those that there are, with
// which an injector takes the pods: the plain label alone, where no revision is
// asked for and it does; else those of the revisions.
func fitting(injectors []Injector, have map[string]string, plain, on, revision string,
	taken func(with map[string]string) bool, made func(key, value string) Injection) []Injection {
	fits := func(key, value string) bool {
		with := map[string]string{}
		maps.Copy(with, have)
		with[key] = value
		return taken(with)
	}
	if revision == "" && fits(plain, on) {
		return []Injection{made(plain, on)}
	}
	var fit []Injection
	for _, rev := range allRevisions(injectors) {
		if (revision == "" || rev == revision) && fits(revisionLabel, rev) {
			fit = append(fit, made(revisionLabel, rev))
		}
	}
	return fit
}

func choose(injectors []Injector, ns *corev1.Namespace, pod map[string]string, revision string) (Injection, error) {
	fit := fitting(injectors, ns.Labels, injectionLabel, "enabled", revision,
		func(with map[string]string) bool { _, ok := injects(injectors, with, pod); return ok },
		func(key, value string) Injection {
			return Injection{Set: map[string]string{key: value}, Label: key + "=" + value}
		})
	if len(fit) == 1 {
		return fit[0], nil
	}
	if len(fit) == 0 && (revision == "" || slices.Contains(allRevisions(injectors), revision)) {
		return Injection{}, notTaken(injectors, ns.Name)
	}
	e := &manifest.TargetError{Code: finding.WhichRevision, What: "the mesh has several revisions; which one is namespace " + ns.Name + " to follow?"}
	if revision != "" {
		e.Code = finding.NoRevision
		e.What = "no live injector has the revision " + revision + "; there are"
	}
	for _, rev := range allRevisions(injectors) {
		e.Candidates = append(e.Candidates, "--revision "+rev)
	}
	return Injection{}, e
}

// injects says whether some injector takes such a pod in such a namespace, and
// which revisions those injectors stand for. The webhook for istio-injection
// names none in its selectors: only its configuration's labels tell, by which a
// tag is also known for the revision that it leads to.
func injects(injectors []Injector, namespace, pod map[string]string) (revisions []string, ok bool) {
	for _, inj := range injectors {
		if inj.matches(namespace, pod) {
			ok = true
			revisions = append(append(revisions, inj.Revisions...), inj.standsFor...)
		}
	}
	// Beside istio-injection the revision's label has no say (istio#43621).
	if _, both := namespace[injectionLabel]; !both && namespace[revisionLabel] != "" {
		revisions = append(revisions, namespace[revisionLabel])
	}
	return revisions, ok
}

func current(namespace, pod map[string]string) string {
	for _, key := range []string{injectionLabel, revisionLabel} {
		if v, ok := namespace[key]; ok {
			return key + "=" + v
		}
	}
	for _, key := range []string{podInjectLabel, revisionLabel} {
		if v, ok := pod[key]; ok {
			return "the pod's own label " + key + "=" + v
		}
	}
	return "an injector for every namespace"
}

func allRevisions(injectors []Injector) []string {
	var revs []string
	for _, inj := range injectors {
		revs = append(revs, inj.Revisions...)
	}
	slices.Sort(revs)
	return slices.Compact(revs)
}
