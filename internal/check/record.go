package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"grpcmesh/internal/probe"
)

// What a recording says it is.
const (
	RecordAPIVersion = "grpcmesh.dev/v1alpha1"
	RecordKind       = "VerifySamples"
)

// maxLine bounds one line of a recording, in bytes: the first holds every
// endpoint of a service.
const maxLine = 16 << 20

// Recording is what a run found out, kept to be judged again. As a file it is
// lines of JSON: all but the samples on the first, then one sample a line.
type Recording struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Address    string `json:"address"`
	Authority  string `json:"authority"`
	Target     string `json:"target"`          // what was under test, in words
	Lines      int    `json:"lines,omitempty"` // samples that follow, so that a file cut short shows
	Evidence
}

// Write writes the recording.
func (r Recording) Write(w io.Writer) error {
	samples := r.Samples
	r.APIVersion, r.Kind, r.Samples = RecordAPIVersion, RecordKind, nil
	r.Lines = len(samples)
	buffered := bufio.NewWriter(w)
	enc := json.NewEncoder(buffered)
	if err := enc.Encode(r); err != nil {
		return err
	}
	for _, s := range samples {
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// ReadRecording reads what Write wrote. A file that is something else, is cut
// off within a line or has a field that isn't known is an error that names the
// line.
func ReadRecording(from io.Reader) (Recording, error) {
	var r Recording
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	n := 0
	for ; lines.Scan(); n++ {
		if n == 0 {
			if err := strictly(lines.Bytes(), &r); err != nil {
				return r, fmt.Errorf("line 1: %w", err)
			}
			if r.APIVersion != RecordAPIVersion || r.Kind != RecordKind {
				return r, fmt.Errorf("line 1: it is %q of %q, not %s of %s", r.Kind, r.APIVersion, RecordKind, RecordAPIVersion)
			}
			continue
		}
		var s probe.Sample
		if err := strictly(lines.Bytes(), &s); err != nil {
			return r, fmt.Errorf("line %d: %w", n+1, err)
		}
		r.Samples = append(r.Samples, s)
	}
	if err := lines.Err(); err != nil {
		return r, fmt.Errorf("line %d: %w", n+1, err)
	}
	if n == 0 {
		return r, errors.New("it is empty")
	}
	if r.Lines > len(r.Samples) {
		return r, fmt.Errorf("line %d: it ends here, and %d calls of %d that were recorded are missing: it was cut", n, r.Lines-len(r.Samples), r.Lines)
	}
	r.Lines = 0
	return r, nil
}

func strictly(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}
