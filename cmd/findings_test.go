package cmd

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

func TestFindingsIn(t *testing.T) {
	t.Parallel()
	other := errors.New("the API server hung up")
	err := fmt.Errorf("test/server: %w", errors.Join(
		&k8s.NotReadyError{Code: finding.Paused, Namespace: "test", Subject: "Deployment/server", Cause: "it is paused", Hint: "Resume it."},
		other,
		fmt.Errorf("planning: %w", &plan.ConflictError{Code: finding.NotOurs, ID: manifest.ID{Kind: "Service", Namespace: "test", Name: "server"}, Reason: "it exists"}),
		noPortError{&manifest.TargetError{Code: finding.WhichPort, What: "which?", Candidates: []string{"--target-port 1", "--target-port 2"}}},
		&k8s.DeniedError{Purpose: "expose", Missing: []k8s.Permission{{Verb: "list", Resource: "pods", Namespace: "test"}}},
		&k8s.NotReadyError{Subject: "Deployment/server", Cause: "it hangs"},
	))
	found, rest := findingsIn(err)
	want := []finding.Finding{
		{Code: "GM131", Severity: finding.Error, Namespace: "test", Object: "Deployment/server", Reason: "it is paused", Next: "Resume it."},
		{Code: "GM170", Severity: finding.Error, Namespace: "test", Object: "Service/server", Reason: "it exists"},
		{Code: "GM141", Severity: finding.Error, Object: "target", Reason: "which?\n  --target-port 1\n  --target-port 2"},
		{Code: "GM101", Severity: finding.Error, Object: "this user", Reason: "it may not do what expose needs:\n  list pods in namespace test"},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(rest) != 2 || !errors.Is(rest[0], other) {
		t.Errorf("the rest: %v", rest)
	}
	if found, rest := findingsIn(nil); found != nil || rest != nil {
		t.Errorf("of nothing: %v, %v", found, rest)
	}
}

// TestFindingCodes: each code of the catalogue is found by something and tested
// by something, a Go test or a script.
func TestFindingCodes(t *testing.T) {
	t.Parallel()
	values := codeConstants(t)
	used, tested := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "lab"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(file) != ".go" && filepath.Ext(file) != ".txtar":
			return nil
		}
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return err
		}
		to := used
		if strings.HasSuffix(file, "_test.go") || filepath.Ext(file) == ".txtar" {
			to = tested
			for _, c := range finding.Codes() {
				if strings.Contains(string(text), c.Code) {
					tested[c.Code] = true
				}
			}
		}
		for name, code := range values {
			if mentions(string(text), "finding."+name) {
				to[code] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range finding.Codes() {
		listed[c.Code] = true
		if !used[c.Code] {
			t.Errorf("%s (%s): nothing finds it", c.Code, c.Meaning)
		}
		if !tested[c.Code] {
			t.Errorf("%s (%s): untested", c.Code, c.Meaning)
		}
	}
	for name, code := range values {
		if !listed[code] {
			t.Errorf("finding.%s (%s) is unlisted", name, code)
		}
	}
}

// mentions says whether the text has the word, and not only as the beginning of
// a longer one.
func mentions(text, word string) bool {
	for {
		_, rest, ok := strings.Cut(text, word)
		if !ok {
			return false
		}
		if rest == "" || !strings.ContainsAny(rest[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") {
			return true
		}
		text = rest
	}
}

// codeConstants reads the names of the codes, which are no longer there once
// they are compiled.
func codeConstants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "internal", "finding", "codes.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			lit, ok := v.Values[0].(*ast.BasicLit)
			if !ok {
				continue
			}
			code, err := strconv.Unquote(lit.Value)
			if err != nil || !strings.HasPrefix(code, "GM") {
				t.Fatalf("%s is %s", v.Names[0].Name, lit.Value)
			}
			values[v.Names[0].Name] = code
		}
	}
	return values
}
