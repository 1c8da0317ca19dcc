package cmd

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "grpcmesh"

// imports reads what each package of the module imports, by the package's
// folder. Test files don't count, nor do folders with a go.mod of their own.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file == root {
				return nil
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// own is an import's folder in this module; ok is false for everyone else's.
func own(imported string) (dir string, ok bool) {
	return strings.CutPrefix(imported, module+"/")
}

func inModule(imported, domain string) bool {
	return strings.HasPrefix(imported, domain+"/")
}

// TestLayers holds the packages to the picture in docs/architecture.md.
func TestLayers(t *testing.T) {
	t.Parallel()
	found := imports(t, "..")
	only := func(allowed ...string) func(string) bool {
		return func(imported string) bool {
			dir, ok := own(imported)
			return !ok || slices.Contains(allowed, dir)
		}
	}
	none := func(forbidden ...string) func(string) bool {
		return func(imported string) bool {
			dir, ok := own(imported)
			return !ok || !slices.Contains(forbidden, dir)
		}
	}
	rules := []struct {
		dir, rule string
		may       func(imported string) bool
	}{
		{"internal/spread", "imports nothing of this module", only()},
		{"internal/manifest", "imports nothing of this module", only()},
		{"internal/finding", "imports nothing of this module", only()},
		{"internal/probe", "imports only its engine", only("internal/probe/h2")},
		{"internal/probe", "imports no Kubernetes and no Istio", func(imported string) bool {
			return !inModule(imported, "k8s.io") && !inModule(imported, "istio.io")
		}},
		{"internal/probe/h2", "imports nothing of this module", only()},
		{"internal/message", "imports nothing of this module", only()},
		{"internal/plan", "imports only manifest and finding", only("internal/manifest", "internal/finding")},
		{"internal/typed", "imports nothing of this module", only()},
		{"internal/typed/fake", "imports only what it fakes", only("internal/typed")},
		{"internal/k8s", "does not look up", none("internal/check", "internal/report", "internal/probe", "internal/spread", "cmd")},
		{"internal/istio", "does not look up", none("internal/check", "internal/report", "internal/probe", "internal/spread", "cmd")},
		{"internal/check", "imports only probe and spread", only("internal/probe", "internal/spread")},
		{"internal/script", "imports nothing of this module", only()},
		{"internal/fieldowners", "imports only manifest and plan", only("internal/manifest", "internal/plan")},
		{"internal/report", "reaches for no cluster and no wire", none("internal/k8s", "internal/istio", "internal/probe", "cmd")},
	}
	for _, r := range rules {
		if len(found[r.dir]) == 0 {
			t.Errorf("%s: no such package, or it imports nothing at all: this rule holds nothing", r.dir)
		}
		for _, imported := range found[r.dir] {
			if !r.may(imported) {
				t.Errorf("%s %s, but it imports %s", r.dir, r.rule, imported)
			}
		}
	}
	if !slices.Contains(found["cmd/grpcmesh"], path.Join(module, "cmd")) {
		t.Error("cmd/grpcmesh does not import cmd")
	}
	for dir, list := range found {
		for _, aid := range []string{"internal/script", "internal/fieldowners", "internal/typed/fake"} {
			if slices.Contains(list, path.Join(module, aid)) {
				t.Errorf("%s imports %s; only tests may", dir, aid)
			}
		}
		if dir != "cmd/grpcmesh" && slices.Contains(list, path.Join(module, "cmd")) {
			t.Errorf("%s imports cmd; only cmd/grpcmesh may", dir)
		}
		if strings.HasPrefix(dir, "internal/") && !slices.ContainsFunc(rules, func(r struct {
			dir, rule string
			may       func(imported string) bool
		}) bool {
			return r.dir == dir
		}) {
			t.Errorf("%s has no place in the layers yet: give it a rule here", dir)
		}
	}
}
