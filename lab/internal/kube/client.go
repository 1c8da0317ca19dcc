// Package kube is the little of a Kubernetes client that the lab needs: plain
// requests with the administrator's certificate. The lab stays quick to build
// without the real one.
package kube

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Client talks to the API server of one kubeconfig.
type Client struct {
	server string
	http   *http.Client
}

// StatusError is the API server's refusal.
type StatusError struct {
	Method, Path string
	Code         int
	Body         string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.Path, e.Code, e.Body)
}

// New reads a kubeconfig as the lab writes it.
func New(path string) (*Client, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(config.Clusters) == 0 || len(config.Users) == 0 {
		return nil, fmt.Errorf("%s names no cluster or no user; run lab/down and lab/up", path)
	}
	pair, err := tls.X509KeyPair(config.Users[0].User.Certificate, config.Users[0].User.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	return &Client{
		server: config.Clusters[0].Cluster.Server,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
			ForceAttemptHTTP2: true,
		}},
	}, nil
}

func (c *Client) send(ctx context.Context, method, path, kind string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "grpcmesh-lab")
	request.Header.Set("Accept", "application/json")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
		return nil, &StatusError{Method: method, Path: path, Code: response.StatusCode, Body: string(text)}
	}
	return response, nil
}

// Get reads path into target, which may be nil where only the answer counts.
func (c *Client) Get(ctx context.Context, path string, target any) error {
	response, err := c.send(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if target == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(target)
}

// Apply applies the object at path server-side, taking its fields over from
// whoever has them.
func (c *Client) Apply(ctx context.Context, path string, object any) error {
	return c.change(ctx, path+"?fieldManager=grpcmesh-lab&force=true", "application/apply-patch+yaml", object)
}

// Merge patches the object at path.
func (c *Client) Merge(ctx context.Context, path string, patch any) error {
	return c.change(ctx, path+"?fieldManager=grpcmesh-lab", "application/merge-patch+json", patch)
}

func (c *Client) change(ctx context.Context, path, kind string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	response, err := c.send(ctx, http.MethodPatch, path, kind, body)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// Watch calls each with every object of the collection at path, first those
// that exist, then each that is added or changed. It returns when ctx ends,
// the server hangs up, or each fails.
func (c *Client) Watch(ctx context.Context, path string, each func(object []byte) error) error {
	response, err := c.send(ctx, http.MethodGet, path+"?watch=1", "", nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	events := json.NewDecoder(bufio.NewReader(response.Body))
	for {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&event); err != nil {
			return err
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
			if err := each(event.Object); err != nil {
				return err
			}
		case "ERROR":
			return fmt.Errorf("watching %s: %s", path, event.Object)
		}
	}
}

// Until asks until the answer is nil, every interval, and returns the last
// answer when ctx ends.
func Until(ctx context.Context, interval time.Duration, ask func(ctx context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ask(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
