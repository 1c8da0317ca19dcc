package cmd

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"google.golang.org/grpc/codes"
)

// mostMemory is how much a run may take at its peak, whatever a server sends.
const mostMemory = 256 << 20

// ran is one run of the program, in a process of its own.
type ran struct {
	code           int
	stdout, stderr string
}

// verifyIn runs verify in a folder, without a cluster, and holds it to the time and
// the memory that it may take.
func verifyIn(t *testing.T, dir string, limit time.Duration, args ...string) ran {
	t.Helper()
	c := exec.CommandContext(t.Context(), "grpcmesh", append([]string{"verify"}, args...)...)
	var out, words bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = dir, &out, &words
	c.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "none"))
	began := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	peak := peakOf(c.Process.Pid)
	if err := c.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if took := time.Since(began); took > limit {
		t.Errorf("%v took %s, and may %s", args, took, limit)
	}
	took := <-peak
	if took > mostMemory {
		t.Errorf("%v took %d MiB at its peak", args, took>>20)
	}
	return ran{c.ProcessState.ExitCode(), out.String(), words.String()}
}

// Names without end are told from pods' names, whatever the user expects, and cost
// no more than so many are worth.
//
// faults: 50
func TestNamesWithoutEnd(t *testing.T) {
	t.Parallel()
	p := &podsOf{name: func(n int64) string { return fmt.Sprintf("request-%d", n) }}
	addr, stop, err := servePods(p)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, args := range [][]string{{}, {"--expect", "3"}, {"--expect", "1000"}} {
		p.calls.Store(0)
		r := verifyIn(t, t.TempDir(), time.Minute, append(args, "--addr", addr, "--call", "helloworld.Greeter/SayHello", "--backend-from", "header:x-pod")...)
		if r.code != exitNo || !strings.Contains(r.stdout, "\nGM225 error ") || !strings.Contains(r.stdout, "different names in") {
			t.Errorf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
		if n := p.calls.Load(); n > 5000 || strings.Count(r.stdout, "request-") > 10 {
			t.Errorf("%v: %d calls, and %d names in the report", args, n, strings.Count(r.stdout, "request-"))
		}
	}
	if s, ok := storyOf("GM225"); !ok || s.Mend == "" {
		t.Error("GM225 has no story")
	}
}

// hostileNames mean something to a terminal, to XML, to HTML, to Markdown, or to
// nobody.
func hostileNames() []string {
	return []string{
		"\x1b[31mred", "\x1b]52;c;cm0gLXJmIC8=\x07", "a\rb", "\u009b31m", "\u202egnp.exe", "nul\x00", "bad\xff\xfeutf8",
		"<script>alert(1)</script>", "]]>&\"'", "::error::no", "`|**[x](http://e.com)", "line\nbreak",
	}
}

// Whatever the app calls itself, and says of its errors: no reader of any report
// takes it for more than text, and each name stays one.
//
// faults: 51
func TestHostileNames(t *testing.T) {
	t.Parallel()
	names := hostileNames()
	var n atomic.Int64
	addr := h2cServer(t, func(w http.ResponseWriter, _ *http.Request) {
		name := names[n.Add(1)%int64(len(names))]
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", fmt.Sprint(int(codes.NotFound)))
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", percent(name))
		_, _ = w.Write(framed(field(1, name)))
	})
	dir := t.TempDir()
	writeProto(t, dir)
	args := []string{"--addr", addr, "--call", "a.B/C", "--proto", "b.proto", "--backend-from", "field:pod", "--samples", "run.jsonl"}
	formats := []string{"text", "json", "junit", "markdown", "html", "prometheus"}
	for _, f := range formats {
		args = append(args, "--report", f+"=out."+f)
	}
	r := verifyIn(t, dir, time.Minute, append(args, "--expect", fmt.Sprint(len(names)))...)
	if r.code != exitNo || !strings.Contains(r.stdout, "\nGM217 ") {
		t.Errorf("exit code %d\n%q\n%q", r.code, r.stdout, r.stderr)
	}
	clean(t, "stdout", r.stdout)
	clean(t, "stderr", r.stderr)
	reports := map[string]string{}
	for _, f := range formats {
		data, err := os.ReadFile(filepath.Join(dir, "out."+f))
		if err != nil {
			t.Fatal(err)
		}
		clean(t, f, string(data))
		reports[f] = string(data)
	}
	var doc struct {
		PerEndpoint []struct{ Endpoint struct{ Address string } }
	}
	if err := json.Unmarshal([]byte(reports["json"]), &doc); err != nil {
		t.Error(err)
	}
	different := map[string]bool{}
	for _, e := range doc.PerEndpoint {
		different[e.Endpoint.Address] = true
	}
	if len(different) != len(names) {
		t.Errorf("%d names became %d: %v", len(names), len(different), different)
	}
	if err := xml.Unmarshal([]byte(reports["junit"]), new(struct {
		XMLName xml.Name `xml:"testsuites"`
	})); err != nil {
		t.Error(err)
	}
	page, err := html.Parse(strings.NewReader(reports["html"]))
	if err != nil {
		t.Fatal(err)
	}
	for n := range page.Descendants() {
		if n.Type == html.ElementNode && n.Data == "script" {
			t.Error("a name became a script")
		}
	}
	again := verifyIn(t, dir, time.Minute, "--from", "run.jsonl")
	if again.stdout != r.stdout {
		t.Errorf("judged again:\n%s\nand not\n%s", again.stdout, r.stdout)
	}
}

// clean says whether text has what acts on a terminal or is no UTF-8.
func clean(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is no UTF-8", what)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("%s has %U", what, r)
		}
	}
}

// Answers that are too much, in any way: each run ends in its time and memory, and
// says why.
//
// faults: 52
func TestTooMuch(t *testing.T) {
	t.Parallel()
	begin := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("X-Pod", "pod-1")
		_ = http.NewResponseController(w).Flush()
	}
	zeros := make([]byte, 1<<20)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range 300 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	bomb := framed(b.Bytes())
	bomb[0] = 1 // compressed
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		from   string
		method string
		code   int
		want   string
	}{
		"a reply over 4 MiB": {func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			_, _ = w.Write([]byte{0, 0, 0x80, 0, 0})
			for range 8 {
				_, _ = w.Write(zeros)
			}
		}, "field:pod", "C", exitInconclusive, "GM231 .*larger than max"},
		"a reply over 4 MiB, from who is known": {func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			_, _ = w.Write([]byte{0, 0, 0x80, 0, 0})
			for range 8 {
				_, _ = w.Write(zeros)
			}
		}, "header:x-pod", "C", exitNo, "GM217 .*larger than max"},
		"huge trailers": {func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			for i := range 64 {
				w.Header().Set(fmt.Sprintf("%sX-%d", http.TrailerPrefix, i), strings.Repeat("x", 64<<10))
			}
		}, "trailer:x-pod", "C", exitNo, "GM20[16] "},
		"a slow drip": {func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			_, _ = w.Write([]byte{0, 0, 0, 1, 0})
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{0})
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		}, "field:pod", "C", exitInconclusive, "GM246 .*--timeout 4s ran out"},
		"a reply without end": {func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			for r.Context().Err() == nil {
				_, _ = w.Write(framed(zeros))
			}
		}, "header:x-pod", "C", exitNo, "GM"},
		"a stream without end": {func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			for r.Context().Err() == nil {
				_, _ = w.Write(framed(zeros))
			}
		}, "header:x-pod", "Watch", exitInconclusive, "GM230 .*pod-1"},
		"a bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grpc-Encoding", "gzip")
			begin(w)
			_, _ = w.Write(bomb)
		}, "field:pod", "C", exitNo, "GM206 .*Decompressor is not installed.*gzip"},
		"a message of a million messages": {func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			_, _ = w.Write(framed(bytes.Repeat([]byte{0x12, 0}, 1<<20)))
		}, "field:in.pod", "C", exitInconclusive, "GM231 "},
	} {
		t.Run(name, func(t *testing.T) {
			addr := h2cServer(t, tc.answer)
			dir := t.TempDir()
			writeProto(t, dir)
			r := verifyIn(t, dir, 30*time.Second, "--addr", addr, "--call", "a.B/"+tc.method, "--proto", "b.proto", "--backend-from", tc.from, "--expect", "3", "--timeout", "4s")
			if r.code != tc.code || !matches(r.stdout, tc.want) {
				t.Errorf("exit code %d, want %d, and %s in\n%s%s", r.code, tc.code, tc.want, r.stdout, r.stderr)
			}
		})
	}
}

// h2cServer answers over plaintext HTTP/2, as no gRPC library would.
func h2cServer(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
