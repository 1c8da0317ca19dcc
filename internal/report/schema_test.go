package report

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"grpcmesh/internal/check"
)

const schemaFile = "../../docs/verify-report.schema.json"

// schemaOf is the JSON Schema of a type, by its tags: what is always there is
// required, and nothing else may be there. Structs are named, for others to read.
func schemaOf(t reflect.Type, defs map[string]any) map[string]any {
	switch t {
	case reflect.TypeFor[check.Verdict]():
		return map[string]any{"enum": []any{check.Pass, check.Fail, check.Inconclusive}}
	case reflect.TypeFor[check.Severity]():
		return map[string]any{"enum": []any{check.Error, check.Warning, check.Info}}
	}
	switch t.Kind() { //nolint:exhaustive // the test fails on what no report has yet
	case reflect.Pointer:
		return schemaOf(t.Elem(), defs)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), defs)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), defs)}
	case reflect.Struct:
		if defs[t.Name()] == nil {
			defs[t.Name()] = true // a type may hold itself
			properties, required := map[string]any{}, []any{}
			for f := range fields(t) {
				name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				properties[name] = schemaOf(f.Type, defs)
				if options == "" {
					required = append(required, name)
				}
			}
			defs[t.Name()] = map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	}
	panic("no schema for " + t.String())
}

// fields are a struct's own, and those of what it embeds.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("json") == "-" {
				continue
			}
			if f.Anonymous {
				for inner := range fields(f.Type) {
					if !yield(inner) {
						return
					}
				}
			} else if !yield(f) {
				return
			}
		}
	}
}

// TestSchema: the published schema is that of the types, and the reports keep
// to it. -update writes it anew.
func TestSchema(t *testing.T) {
	defs := map[string]any{}
	for _, doc := range []any{Verify{}, VerifyList{}} {
		schemaOf(reflect.TypeOf(doc), defs)
	}
	for kind, name := range map[string]string{"VerifyReport": "Verify", "VerifyReportList": "VerifyList"} {
		properties, _ := defs[name].(map[string]any)["properties"].(map[string]any)
		properties["apiVersion"], properties["kind"] = map[string]any{"const": APIVersion}, map[string]any{"const": kind}
	}
	var b bytes.Buffer
	if err := JSON(&b, map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "VerifyReport",
		"description": "What grpcmesh verify -o json writes of one service, or of several.",
		"oneOf":       []any{map[string]any{"$ref": "#/$defs/Verify"}, map[string]any{"$ref": "#/$defs/VerifyList"}}, "$defs": defs}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), b.String()); diff != "" {
		t.Errorf("the schema is not that of the types; go test ./internal/report -run TestSchema -update writes it (-published +types):\n%s", diff)
	}
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	docs := []Document{several(check.Pass, check.Fail, check.Inconclusive), named()}
	for _, v := range documents() {
		v.Control = &check.Control{Service: "a/b", Landed: v.PerEndpoint}
		docs = append(docs, v)
	}
	for _, doc := range docs {
		var written bytes.Buffer
		if err := Write(&written, doc, "json"); err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(written.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%v of\n%s", err, written.String())
		}
		v.(map[string]any)["more"] = 1
		if schema.Validate(v) == nil {
			t.Error("a field that no report has is taken")
		}
	}
}
