package kube_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grpcmesh/lab/internal/kube"
	"grpcmesh/lab/internal/pki"
)

// serve starts a server that asks for certificates of a new authority, and
// returns a client with a kubeconfig of that authority.
func serve(t *testing.T, handler http.HandlerFunc) *kube.Client {
	t.Helper()
	folder := t.TempDir()
	authority, err := pki.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue(pki.Request{Name: "server", Hosts: []string{"127.0.0.1", "localhost"}}); err != nil {
		t.Fatal(err)
	}
	if err := authority.Issue(pki.Request{Name: "admin", Groups: []string{"system:masters"}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(authority.Path("server.crt"), authority.Path("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(authority.Path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	text, err := authority.Kubeconfig(server.URL, "admin")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.New(path)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestCertificatesServeBothSides(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		if err := json.NewEncoder(w).Encode(map[string]string{"user": subject.CommonName, "group": subject.Organization[0]}); err != nil {
			t.Error(err)
		}
	})
	var got struct{ User, Group string }
	if err := client.Get(t.Context(), "/whoami", &got); err != nil {
		t.Fatal(err)
	}
	if got.User != "admin" || got.Group != "system:masters" {
		t.Errorf("got %+v", got)
	}
}

func TestApplyAndMergeSayWhatTheyAre(t *testing.T) {
	var requests []string
	client := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+string(body))
	})
	if err := client.Apply(t.Context(), "/a", map[string]int{"x": 1}); err != nil {
		t.Fatal(err)
	}
	if err := client.Merge(t.Context(), "/b/status", map[string]int{"y": 2}); err != nil {
		t.Fatal(err)
	}
	want := `PATCH /a?fieldManager=grpcmesh-lab&force=true application/apply-patch+yaml {"x":1}
PATCH /b/status?fieldManager=grpcmesh-lab application/merge-patch+json {"y":2}`
	if got := strings.Join(requests, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRefusalTellsRequestAndReason(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not today", http.StatusForbidden) })
	err := client.Get(t.Context(), "/secret", nil)
	var refused *kube.StatusError
	if !errors.As(err, &refused) || refused.Code != http.StatusForbidden || !strings.Contains(err.Error(), "/secret") || !strings.Contains(err.Error(), "not today") {
		t.Errorf("got %v", err)
	}
}

func TestWatchPassesWhatIsAndWhatChanges(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, kind := range []string{"ADDED", "MODIFIED", "BOOKMARK", "DELETED", "ADDED"} {
			if _, err := fmt.Fprintf(w, `{"type":%q,"object":{"was":%q}}`+"\n", kind, kind); err != nil {
				t.Error(err)
			}
		}
	})
	var seen []string
	err := client.Watch(t.Context(), "/things", func(object []byte) error {
		seen = append(seen, string(object))
		return nil
	})
	if !errors.Is(err, io.EOF) {
		t.Errorf("ended by %v, want the server's end", err)
	}
	if got := strings.Join(seen, " "); got != `{"was":"ADDED"} {"was":"MODIFIED"} {"was":"ADDED"}` {
		t.Errorf("seen: %s", got)
	}
}

func TestUntilReturnsTheLastAnswer(t *testing.T) {
	tries := 0
	err := kube.Until(t.Context(), time.Millisecond, func(context.Context) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = kube.Until(ctx, time.Millisecond, func(context.Context) error { return errors.New("still not") })
	if err == nil || err.Error() != "still not" {
		t.Errorf("got %v", err)
	}
}
