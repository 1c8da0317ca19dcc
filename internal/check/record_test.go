package check

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"grpcmesh/internal/probe"
)

func recording() Recording {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	sample := func(n int, backend string) probe.Sample {
		return probe.Sample{Seq: n, Start: at, Latency: 5 * time.Millisecond, Path: "/a.B/C", Code: codes.Unimplemented, Message: "unknown \x1b service", Stamped: true, Upstream: true,
			Stamp: probe.Stamp{Backend: backend, Gateway: "gw", Connection: "7", Flags: "-"}}
	}
	return Recording{APIVersion: RecordAPIVersion, Kind: RecordKind, Address: "203.0.113.10:8000", Authority: "a.com", Target: "VirtualService a/b", Evidence: Evidence{
		Rung: RungRoute, Alpha: .001, Witness: []probe.Sample{{Seq: 9, Start: at, Path: "/a.B/C", Upstream: true}},
		Expected: []Endpoint{{Address: "10.0.0.1:1", Pod: "a", Share: .5}, {Address: "10.0.0.2:1", Pod: "b", Share: .5}},
		Samples:  []probe.Sample{sample(1, "10.0.0.1:1"), sample(2, "10.0.0.2:1")}}}
}

// TestRecording: what was recorded is read back, and judged the same.
func TestRecording(t *testing.T) {
	want := recording()
	var file bytes.Buffer
	if err := want.Write(&file); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(file.String(), "\n"); n != 3 {
		t.Errorf("%d lines of 2 samples", n)
	}
	got, err := ReadRecording(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a, b := Judge(want.Evidence), Judge(got.Evidence); a.Verdict != Pass || cmp.Diff(a, b) != "" {
		t.Errorf("judged %s, then %s", a.Verdict, b.Verdict)
	}
}

func TestReadRecordingRefuses(t *testing.T) {
	var file bytes.Buffer
	if err := recording().Write(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.String()
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", "", "it is empty"},
		{"something else", "{}\n", `line 1: it is "" of ""`},
		{"another kind", strings.Replace(whole, RecordKind, "VerifyReport", 1), `line 1: it is "VerifyReport"`},
		{"no JSON", "PASS\n", "line 1: "},
		{"cut off", whole[:len(whole)-20], "line 3: "},
		{"an unknown field", strings.Replace(whole, `"seq":2`, `"seq":2,"pod":"x"`, 1), "line 3: "},
		{"two values on a line", strings.Replace(whole, "\n{\"seq\":2", "{\"seq\":2", 1), "line 2: more than one value"},
		{"a line without end", whole + strings.Repeat("x", maxLine+1), "line 4: "},
	} {
		if _, err := ReadRecording(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", tc.name, err, tc.want)
		}
	}
}

// FuzzReadRecording: whatever a file holds, reading and judging it ends, and
// what can be read can be written.
func FuzzReadRecording(f *testing.F) {
	var file bytes.Buffer
	if err := recording().Write(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadRecording(bytes.NewReader(b))
		if err != nil {
			return
		}
		Judge(r.Evidence)
		if err := r.Write(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}
