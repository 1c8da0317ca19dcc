package report

import (
	"encoding/json"
	"io"

	"sigs.k8s.io/yaml"
)

// JSON writes a document as indented JSON, with a newline at its end.
func JSON(w io.Writer, doc any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

// YAML writes a document as YAML, by way of its JSON form.
func YAML(w io.Writer, doc any) error {
	b, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// YAMLStream writes documents one after another, as kubectl reads them.
func YAMLStream(w io.Writer, docs []any) error {
	for i, doc := range docs {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if err := YAML(w, doc); err != nil {
			return err
		}
	}
	return nil
}
