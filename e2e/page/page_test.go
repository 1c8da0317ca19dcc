// Package page opens the HTML report in a real browser.
package page

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grpcmesh/internal/check"
	"grpcmesh/internal/report"
	"grpcmesh/internal/spread"
)

// hostile would run, load something or act on a terminal, were it not escaped.
const hostile = `<script>document.title="run"</script><img src=x onerror="document.title='run'">{{.}}</style></svg>` + "\u202e\x1b[31m"

func document(name string, verdict check.Verdict, shares ...float64) *report.Verify {
	v := &report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Name: name, Address: "203.0.113.10:8000", Target: hostile,
		Identified: check.RungRoute, Calls: 100, Dials: 1, Result: check.Result{Verdict: verdict, Coverage: check.Coverage{Seen: 2, Of: 2, Calls: 100, Needed: 31, Alpha: .001}}}
	for i, s := range shares {
		v.PerEndpoint = append(v.PerEndpoint, check.Count{Calls: int(100 * s), Share: s,
			Endpoint: check.Endpoint{Address: fmt.Sprintf("10.0.0.%d:1", i), Pod: fmt.Sprintf("pod-%d %s", i, hostile), Share: 1 / float64(len(shares))}})
	}
	if verdict != check.Pass {
		v.Findings = []check.Finding{{Code: "GM220", Severity: check.Error, Subject: hostile, Message: hostile, Hint: hostile}}
	}
	return v
}

// faults: 56
//
// TestPage: the report of one service, and that of several, is shown whole by
// Chromium, with its bars, and nothing in it runs.
func TestPage(t *testing.T) {
	one := document("", check.Pass, .75, .25)
	several := report.NewVerifyList([]*report.Verify{document("test/one", check.Pass, .5, .5), document("test/two", check.Fail, 1, 0)}, .001)
	loaded := document("", check.Pass, .75, .25)
	loaded.Load = &report.Load{Connections: 1, InFlight: 8}
	loaded.Load.Fill(tallied(loaded.PerEndpoint), 10*time.Second, []check.Endpoint{loaded.PerEndpoint[0].Endpoint, loaded.PerEndpoint[1].Endpoint})
	for name, tc := range map[string]struct {
		doc  report.Document
		says []string
		svgs int
	}{
		"one": {one, []string{"PASS", "pod-0 &lt;script&gt;", "75.0 %"}, 2},
		// Two bars; the latency's plot and its three keys; the balance.
		"loaded":  {loaded, []string{"Under load", "99.9 %", "10 ms", `aria-label="Latency by percentile. all calls: half of them took up to `}, 7},
		"several": {several, []string{"FAIL", "1 of 2 services balanced, 1 not", "test/one", "test/two", "GM220"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "report.html")
			if err := report.WriteFile(file, tc.doc, "html"); err != nil {
				t.Fatal(err)
			}
			dom := browser(t, dir, "--dump-dom", "file://"+file)
			for _, words := range tc.says {
				if !strings.Contains(dom, words) {
					t.Errorf("%q is not on the page:\n%s", words, dom)
				}
			}
			if strings.Contains(dom, "<title>run") || strings.Contains(dom, "<script>") || strings.Contains(dom, "<img") {
				t.Errorf("something on the page ran, or could:\n%s", dom)
			}
			if n := strings.Count(dom, "<svg"); n != tc.svgs {
				t.Errorf("%d bars and curves, want %d", n, tc.svgs)
			}
			picture := filepath.Join(dir, "page.png")
			browser(t, dir, "--screenshot="+picture, "--window-size=900,1400", "file://"+file)
			if share := coloured(t, picture); share < .001 || share > .2 {
				t.Errorf("bars fill %.4f of the picture", share)
			}
		})
	}
}

// tallied are 20,000 calls of two pods, of which the second is slower and has a
// tail of its own.
func tallied(pods []check.Count) *spread.Tally {
	random, t := rand.New(rand.NewPCG(1, 2)), spread.NewTally()
	for i := range 20_000 {
		pod, took := i%4/3, math.Exp(random.NormFloat64()/3)
		if pod == 1 {
			took *= 3
			if random.IntN(50) == 0 {
				took *= 20
			}
		}
		t.Add(time.Duration(i)*time.Millisecond/2, time.Duration(took*float64(time.Millisecond)), pods[pod].Endpoint.Address, 12, false)
	}
	return t
}

// browser runs Chromium with no window, nothing of a user's and no network.
func browser(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "chromium", append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--blink-settings=preferredColorScheme=1", "--user-data-dir=" + filepath.Join(dir, "profile")}, args...)...)
	var out, words bytes.Buffer
	c.Stdout, c.Stderr = &out, &words
	if err := c.Run(); err != nil {
		t.Fatalf("chromium (make chromium installs it): %v\n%s", err, words.String())
	}
	return out.String()
}

// coloured is the share of a picture's pixels that have the bars' colour, light
// or dark (--bar of the page).
func coloured(t *testing.T, file string) float64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	b, n := picture.Bounds(), 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := picture.At(x, y).RGBA()
			if c := [3]uint32{r >> 8, g >> 8, bl >> 8}; c == [3]uint32{0x3b, 0x73, 0xc4} || c == [3]uint32{0x6e, 0xa0, 0xea} {
				n++
			}
		}
	}
	return float64(n) / float64(b.Dx()*b.Dy())
}
