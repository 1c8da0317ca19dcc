package cmd

import (
	"errors"
	"io"

	"grpcmesh/internal/report"
)

// printed writes a document as --output says: as JSON, as YAML, or else as text.
func printed(out io.Writer, format string, doc any, text func(io.Writer) error) error {
	switch format {
	case "json":
		return report.JSON(out, doc)
	case "yaml":
		return report.YAML(out, doc)
	}
	return text(out)
}

// done is what a run did for one exposure, or in one namespace: the names of the
// objects, or what text output ends with.
type done interface {
	Names(out io.Writer) error
	Tail(out io.Writer) error
}

// printedAll writes the document of a run, or what it did part by part.
func printedAll[D done](out io.Writer, format string, doc any, parts []D) error {
	return printed(out, format, doc, func(out io.Writer) error {
		var errs []error
		for _, part := range parts {
			if format == "name" {
				errs = append(errs, part.Names(out))
			} else {
				errs = append(errs, part.Tail(out))
			}
		}
		return errors.Join(errs...)
	})
}
