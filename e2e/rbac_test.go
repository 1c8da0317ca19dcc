package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// less is a role that lacks one thing of a published one.
type less struct {
	role                  string // the published one
	group, resource, verb string
	rules                 []rbacv1.PolicyRule
}

// lacks takes away each verb on each resource of a role, one at a time.
func lacks(role rbacv1.ClusterRole) []less {
	var all []less
	for i, rule := range role.Rules {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				without := func(all []string, one string) []string {
					return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
				}
				rest := []rbacv1.PolicyRule{rule, rule}
				rest[0].Resources = without(rule.Resources, resource)
				rest[1].Resources, rest[1].Verbs = []string{resource}, without(rule.Verbs, verb)
				rest = slices.DeleteFunc(rest, func(r rbacv1.PolicyRule) bool { return len(r.Resources) == 0 || len(r.Verbs) == 0 })
				all = append(all, less{role.Name, rule.APIGroups[0], resource, verb, slices.Concat(role.Rules[:i], rest, role.Rules[i+1:])})
			}
		}
	}
	return all
}

func published(t *testing.T) []rbacv1.ClusterRole {
	t.Helper()
	text, err := os.ReadFile(root("docs/rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var roles []rbacv1.ClusterRole
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict([]byte(doc), &role); err != nil {
			t.Fatal(err)
		}
		if role.Kind == "ClusterRole" {
			roles = append(roles, role)
		}
	}
	return roles
}

// faults: 57, 6
//
// Whatever one takes away of a published role, some command that needs it says
// what it is, and writes nothing; and none of it is about secrets, but for what
// is said to be optional.
func TestEveryRuleIsNeeded(t *testing.T) {
	t.Parallel()
	bare, place := newPlace(t), newPlace(t)
	place.deploy("app", "", 2) // pods that run
	grpcmesh(t, root(".lab/kubeconfig"), nil, place.expose("--wait=true", "--lb", "RANDOM")...).wants(t, 0)
	gateway, err := place.core.CoreV1().Services("istio-system").Get(t.Context(), "istio-ingressgateway", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	verify := []string{"verify", "--addr", "127.0.0.1:8000", "--authority", place.host, "-n", place.ns, "--read-only"}
	onNode := []string{"verify", "--addr", fmt.Sprintf("127.0.0.1:%d", gateway.Spec.Ports[0].NodePort), "--authority", place.host, "-n", place.ns}
	commands := map[string][][]string{
		"grpcmesh-expose": {bare.expose("--dry-run=server"), bare.expose("--lb", "RANDOM", "--dry-run=server"), place.unexpose("--dry-run=server"), verify},
		"grpcmesh-look":   {{"status", "-n", place.ns}, onNode, verify, {"doctor", "-n", bare.ns}, {"doctor", "-A"}},
	}
	var all []less
	for _, role := range published(t) {
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "secrets") && role.Name != "grpcmesh-secrets" {
				t.Errorf("%s has a rule about secrets", role.Name)
			}
		}
		if commands[role.Name] != nil {
			all = append(all, lacks(role)...)
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d things to take away", len(all))
	}
	users := make([]string, len(all))
	for i, l := range all {
		users[i] = bind(t, place.core, place.ns+"-"+fmt.Sprint(i), l.rules)
	}
	place.until("the last role", func(ctx context.Context) bool { return may(ctx, place, users[len(users)-1]) })
	for i, l := range all {
		t.Run(fmt.Sprintf("%s without %s %s", l.role, l.verb, l.resource), func(t *testing.T) {
			t.Parallel()
			before := place.state()
			told := ""
			for _, args := range commands[l.role] {
				r := grpcmesh(t, root(".lab/kubeconfig"), nil, append(args, "--as", users[i])...)
				if l.named(r.stdout + r.stderr) {
					if place.state() != before {
						t.Errorf("something was written")
					}
					return
				}
				told += strings.Join(args, " ") + ": " + r.String() + "\n"
			}
			t.Errorf("nothing says so:\n%s", told)
		})
	}
}

// named says whether the words say what is missing: as the preflight does, or as
// the API server's refusal.
func (l less) named(words string) bool {
	resource, sub, _ := strings.Cut(l.resource, "/")
	name := resource
	if l.group != "" {
		name += "." + l.group
	}
	if sub != "" {
		name += "/" + sub
	}
	return strings.Contains(words, l.verb+" "+name+" ") || strings.Contains(words, l.verb+" "+name+",") || strings.Contains(words, fmt.Sprintf("cannot %s resource %q", l.verb, l.resource))
}

// bind makes a user who may do what the rules say, and nothing else.
func bind(t *testing.T, core kubernetes.Interface, name string, rules []rbacv1.PolicyRule) string {
	t.Helper()
	meta := metav1.ObjectMeta{Name: name}
	roles, bindings := core.RbacV1().ClusterRoles(), core.RbacV1().ClusterRoleBindings()
	if _, err := roles.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = roles.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	_, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	return name
}

// may says whether the API server knows of a user's rules by now.
func may(ctx context.Context, p *place, user string) bool {
	review := &authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{User: user,
		ResourceAttributes: &authv1.ResourceAttributes{Verb: "list", Group: "apps", Resource: "deployments", Namespace: p.ns}}}
	answer, err := p.core.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	return err == nil && answer.Status.Allowed
}
