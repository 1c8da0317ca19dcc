package check

import (
	"bytes"
	"strings"
	"testing"

	"grpcmesh/internal/probe"
)

// A recording that was cut between two lines is not judged as if it were whole.
func TestRecordingCut(t *testing.T) {
	var b bytes.Buffer
	if err := (Recording{Evidence: Evidence{Samples: make([]probe.Sample, 3)}}).Write(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(b.String(), "\n")
	for n := 1; n <= 4; n++ {
		r, err := ReadRecording(strings.NewReader(strings.Join(lines[:n], "")))
		if whole := n == 4; whole != (err == nil) || whole && len(r.Samples) != 3 || !whole && !strings.Contains(err.Error(), "it was cut") {
			t.Errorf("%d lines: %v, %d samples", n, err, len(r.Samples))
		}
	}
	if got := are(1, "endpoint") + ", " + are(2, "endpoint"); got != "1 endpoint is, 2 endpoints are" {
		t.Error(got)
	}
}
