package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"grpcmesh/internal/script"
)

func TestCertificateIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	until := time.Now().Add(time.Hour)
	for _, name := range []string{"a", "b"} {
		if _, err := script.MakeCerts(dir, name, until, name+".example"); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type data = map[string][]byte
	for _, tc := range []struct {
		name string
		data data
		host string // of the certificate that is found
		why  string
	}{
		{"of type TLS", data{"tls.crt": file("a.crt"), "tls.key": file("a.key")}, "a.example", ""},
		{"generic", data{"cert": file("a.crt"), "key": file("a.key")}, "a.example", ""},
		{"both: istiod takes the generic one", data{"tls.crt": file("a.crt"), "tls.key": file("a.key"), "cert": file("b.crt"), "key": file("b.key")}, "b.example", ""},
		{"empty generic keys", data{"tls.crt": file("a.crt"), "tls.key": file("a.key"), "cert": nil, "key": nil}, "a.example", ""},
		{"no key", data{"tls.crt": file("a.crt")}, "", "neither tls.crt with tls.key nor cert with key (it is of type Opaque and has tls.crt)"},
		{"nothing", nil, "", "has no keys"},
		{"another's key", data{"tls.crt": file("a.crt"), "tls.key": file("b.key")}, "", "no certificate with its key"},
		{"no PEM", data{"cert": []byte("x"), "key": []byte("y")}, "", "its cert and key are no certificate"},
	} {
		leaf, _, why := certificateIn(&corev1.Secret{Type: corev1.SecretTypeOpaque, Data: tc.data})
		if (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) || leaf != nil && leaf.VerifyHostname(tc.host) != nil {
			t.Errorf("%s: %q, want %q", tc.name, why, tc.why)
		}
	}
	leaf, _, _ := certificateIn(&corev1.Secret{Data: data{"cert": file("a.crt"), "key": file("a.key")}})
	for _, tc := range []struct {
		host string
		at   time.Time
		want string
	}{
		{"a.example", until.Add(-time.Minute), ""},
		{"*", until.Add(-time.Minute), ""},
		{"c.example", until.Add(-time.Minute), "is not for c.example"},
		{"*.example", until.Add(-time.Minute), "is not for grpcmesh.example"},
		{"a.example", until.Add(time.Minute), "expired at "},
		{"a.example", until.Add(-72 * time.Hour), "is not valid until "},
	} {
		if got := strings.Join(oddities(leaf, tc.host, tc.at), "; "); (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.host, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name string
		data data
		why  string
	}{
		{"ca.crt", data{"ca.crt": file("a-ca.crt")}, ""},
		{"cacert", data{"cacert": file("a-ca.crt")}, ""},
		{"no PEM", data{"ca.crt": []byte("x")}, "holds no certificate in PEM"},
		{"none", data{"tls.crt": file("a.crt")}, "neither it nor a Secret named s-cacert"},
	} {
		s := &corev1.Secret{Data: tc.data}
		s.Name = "s"
		if why := lacksCA(s); (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) {
			t.Errorf("%s: %q, want %q", tc.name, why, tc.why)
		}
	}
}
