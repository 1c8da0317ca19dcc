package finding

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCodes: each code once, sorted, of the right form, with a meaning.
func TestCodes(t *testing.T) {
	t.Parallel()
	last := ""
	for _, c := range Codes() {
		if c.Code <= last {
			t.Errorf("%s after %s: double, or out of order", c.Code, last)
		}
		if len(c.Code) != 5 || !strings.HasPrefix(c.Code, "GM1") {
			t.Errorf("%s is no GM1xx", c.Code)
		}
		if c.Severity != Error && c.Severity != Warning || c.Meaning == "" {
			t.Errorf("%s: severity %q, meaning %q", c.Code, c.Severity, c.Meaning)
		}
		if c.Istio != "" && (len(c.Istio) != 7 || !strings.HasPrefix(c.Istio, "IST0")) {
			t.Errorf("%s: %s is no code of Istio's", c.Code, c.Istio)
		}
		last = c.Code
	}
}

func TestSort(t *testing.T) {
	t.Parallel()
	w := New(TwoPorts, "test", "Service/b", "why", "")
	a, b := New(Paused, "test", "Deployment/a", "why", ""), New(Paused, "test", "Deployment/b", "why", "")
	got := Sort([]Finding{w, b, a, b})
	if diff := cmp.Diff([]Finding{a, b, w}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(got, func(x, y Finding) int { return strings.Compare(string(x.Severity), string(y.Severity)) }) {
		t.Error("a warning before an error")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	f := New(PortClosed, "", "gateway istio-system/ingress", "its Service does not open port 1", "Open it:\nkubectl edit")
	want := "GM153 error    gateway istio-system/ingress  [IST0162]\n    its Service does not open port 1\n    Open it:\n    kubectl edit"
	if diff := cmp.Diff(want, f.Text()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f := New("GM199", "", "x", "y", ""); f.Severity != Error {
		t.Error("an unlisted code passes for harmless")
	}
}
