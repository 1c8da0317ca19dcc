package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"grpcmesh/internal/plan"
)

// cmdApply is `apply FILE...`: kubectl apply of files in which $VARIABLES are
// the script's.
func cmdApply(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: apply FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		out, err := kubectlApply(text)
		ts.Logf("%s", out)
		ts.Check(err)
	}
}

func kubectlApply(text string) (string, error) {
	cmd := exec.Command(root(".lab/bin/kubectl"), "apply", "-f", "-")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+root(".lab/kubeconfig"))
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// cmdExpand is `expand FILE`: replaces the $VARIABLES in it by the script's.
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// cmdMark is `mark`: writes counts from here on.
func cmdMark(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: mark")
	}
	info, err := os.Stat(root(".lab/audit.log"))
	ts.Check(err)
	ts.Setenv("MARK", strconv.FormatInt(info.Size(), 10))
}

// cmdWrites is `writes [VERB/RESOURCE...]`: since the mark, grpcmesh has
// written exactly these in the script's namespaces, in this order, by the API
// server's own audit log. Dry runs and port-forwards are no writes.
func cmdWrites(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: writes [VERB/RESOURCE...]")
	}
	mark, err := strconv.ParseInt(ts.Getenv("MARK"), 10, 64)
	ts.Check(err)
	got, err := audited(mark, ts.Getenv("NS"), ts.Getenv("NS2"))
	ts.Check(err)
	if strings.Join(got, " ") != strings.Join(args, " ") {
		ts.Fatalf("the API server noted these writes:\n  %s\nwant\n  %s", strings.Join(got, " "), strings.Join(args, " "))
	}
}

func audited(from int64, namespaces ...string) ([]string, error) {
	f, err := os.Open(root(".lab/audit.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	var writes []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb, RequestURI, UserAgent string
			ObjectRef                   struct{ Resource, Subresource, Namespace, Name string }
			ResponseStatus              struct{ Code int }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		mine := false
		for _, ns := range namespaces {
			mine = mine || e.ObjectRef.Namespace == ns || e.ObjectRef.Resource == "namespaces" && e.ObjectRef.Name == ns
		}
		if !mine || !strings.HasPrefix(e.UserAgent, "grpcmesh/") || strings.Contains(e.RequestURI, "dryRun=All") ||
			e.ObjectRef.Subresource != "" || e.ResponseStatus.Code >= 400 {
			continue
		}
		switch e.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
			writes = append(writes, e.Verb+"/"+e.ObjectRef.Resource)
		}
	}
	return writes, lines.Err()
}

// cmdSubset is `subset WANT.json GOT.json`: every field of the first is in the
// second, with the same value; lists must be as long.
func cmdSubset(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: subset WANT.json GOT.json")
	}
	var want, got any
	ts.Check(json.Unmarshal([]byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), &want))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &got))
	path := missing("", want, got)
	if (path != "") != neg {
		ts.Fatalf("%s: differs at %q", args[1], path)
	}
}

// cmdSame is `same A.json B.json`: both are one object in one state, but for
// what the server itself counts.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same A.json B.json")
	}
	var a, b map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &a))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &b))
	if fields := plan.Diff(a, b); len(fields) > 0 {
		ts.Fatalf("%s and %s differ: %+v", args[0], args[1], fields)
	}
}

// missing is the path of the first field of want that got lacks, or "".
func missing(path string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return path + "."
		}
		for k, v := range want {
			if p := missing(path+"."+k, v, m[k]); p != "" {
				return p
			}
		}
		return ""
	case []any:
		l, ok := got.([]any)
		if !ok || len(l) != len(want) {
			return path + "[]"
		}
		for i := range want {
			if p := missing(fmt.Sprintf("%s[%d]", path, i), want[i], l[i]); p != "" {
				return p
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s (%v, want %v)", path, got, want)
	}
	return ""
}

// cmdUser is `user NAME RULE...`: from here on grpcmesh is the named user, who
// may do just what the rules say, each as VERBS:GROUP:RESOURCES with commas,
// in the whole cluster.
func cmdUser(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: user NAME VERBS:GROUP:RESOURCES...")
	}
	name := args[0] + "-" + ts.Getenv("ID")
	var rules []string
	for _, arg := range args[1:] {
		part := strings.Split(arg, ":")
		rules = append(rules, fmt.Sprintf(`{"verbs":[%s],"apiGroups":["%s"],"resources":[%s]}`, quoted(part[0]), part[1], quoted(part[2])))
	}
	become(ts, name, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q},"rules":[%s]}`, name, strings.Join(rules, ",")))
}

// cmdRole is `role NAME`: from here on grpcmesh is a user who has just the
// role of that name in docs/rbac.yaml.
func cmdRole(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: role NAME")
	}
	published, err := os.ReadFile(root("docs/rbac.yaml"))
	ts.Check(err)
	for _, role := range strings.Split(string(published), "\n---\n") {
		if name := args[0] + "-" + ts.Getenv("ID"); strings.Contains(role, "\n  name: "+args[0]+"\n") {
			role, err := yaml.YAMLToJSON([]byte(strings.Replace(role, "name: "+args[0], "name: "+name, 1)))
			ts.Check(err)
			become(ts, name, string(role))
			return
		}
	}
	ts.Fatalf("docs/rbac.yaml has no role %s", args[0])
}

// become binds the role, which has the user's name, and makes $AS that user.
func become(ts *testscript.TestScript, name, role string) {
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"List","items":[%s,
		{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},
		 "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},
		 "subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}]}`,
		role, name, name, name)
	ts.Check(os.WriteFile(ts.MkAbs("user.json"), []byte(text), 0o600))
	if out, err := kubectl("apply", "-f", ts.MkAbs("user.json")); err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
	ts.Defer(func() {
		if out, err := kubectl("delete", "clusterrole/"+name, "clusterrolebinding/"+name, "--ignore-not-found"); err != nil {
			ts.Logf("%v: %s", err, out)
		}
	})
	ts.Setenv("AS", name)
}

func quoted(list string) string {
	return `"` + strings.ReplaceAll(list, ",", `","`) + `"`
}
