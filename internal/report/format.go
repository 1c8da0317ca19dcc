package report

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Document is what verify reports: on one service, or on several.
type Document interface {
	// Text writes it for a person.
	Text(w io.Writer) error
	// Reports are the reports in it.
	Reports() []*Verify
}

// Format writes a report of verify. What servers said is untrusted: each
// escapes for its own reader.
type Format func(io.Writer, Document) error

// formats are the formats of a report of verify, by name.
func formats() map[string]Format {
	return map[string]Format{
		"text":       func(w io.Writer, d Document) error { return d.Text(w) },
		"json":       func(w io.Writer, d Document) error { return JSON(w, d) },
		"junit":      junitXML,
		"markdown":   markdown,
		"html":       htmlPage,
		"prometheus": prometheus,
	}
}

// Formats are the names of the formats of a verify report, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats())) }

// Write writes a report in the format of that name.
func Write(w io.Writer, d Document, format string) error {
	f, ok := formats()[format]
	if !ok {
		return fmt.Errorf("no report format is called %q", format)
	}
	return f(w, d)
}

// WriteFile writes a report into a file, as File does.
func WriteFile(file string, d Document, format string) error {
	err := File(file, func(w io.Writer) error { return Write(w, d, format) })
	if err != nil {
		return fmt.Errorf("report %s: %w", format, err)
	}
	return nil
}

// File writes a file: all of it, or nothing. What stands there is replaced by
// one rename; what is no plain file (a pipe, a device) is written into. An error
// names the file.
func File(file string, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", file, err)
		}
	}()
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(filepath.Clean(file), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if err := write(f); err != nil {
			_ = f.Close()
			return err
		}
		return f.Close()
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".grpcmesh-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil { // it is for others to read
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
