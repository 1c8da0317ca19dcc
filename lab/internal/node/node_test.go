//go:build linux

package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"grpcmesh/lab/internal/address"
)

func config(t *testing.T) Config {
	t.Helper()
	folder := t.TempDir()
	return Config{Run: filepath.Join(folder, "run"), Logs: filepath.Join(folder, "logs"), Etcd: "/e", Kubernetes: "/k", Containerd: "/c", CoreDNS: "/d"}
}

func TestSettingsLeaveNoPlaceholder(t *testing.T) {
	// Only its path goes in; a machine without runc shall test too.
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "runc"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools)
	c := config(t)
	if err := Settings(c); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(c.Path("conf"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range []string{"run", "logs", "runc", "registry", "pods", "dns", "domain", "node", "name", "cgroup", "pause"} {
			if strings.Contains(string(data), "{"+name+"}") {
				t.Errorf("%s still says {%s}", path, name)
			}
		}
		if strings.HasSuffix(path, ".conflist") && !json.Valid(data) {
			t.Errorf("%s is no JSON", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSettingsNameTheMissingPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := Settings(config(t)); err == nil || !strings.Contains(err.Error(), "install the package runc") {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsAreAllThatComponentsName(t *testing.T) {
	c := config(t)
	if err := os.MkdirAll(c.Path("conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Credentials(c); err != nil {
		t.Fatal(err)
	}
	for _, p := range components(c, nil) {
		for _, word := range p.command {
			_, value, _ := strings.Cut(word, "=")
			isCredential := strings.HasPrefix(value, c.Path("pki")) || strings.HasSuffix(value, ".kubeconfig")
			if _, err := os.Stat(value); isCredential && err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
	info, err := os.Stat(c.Path("kubeconfig"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the administrator's kubeconfig: %v, %v", info, err)
	}
}

func TestConfigSurvivesItsFile(t *testing.T) {
	want := config(t)
	path := filepath.Join(t.TempDir(), "node.json")
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestBalancerAddresses(t *testing.T) {
	known := newAddresses()
	give := func(namespace, name string) string {
		ip, err := known.of(namespace, name)
		if err != nil {
			t.Fatal(err)
		}
		return ip
	}
	other := give("edge", "edge-gateway")
	if other == address.GatewayBalancer {
		t.Errorf("the default gateway's address %s went to another", other)
	}
	if ip := give("istio-system", "istio-ingressgateway"); ip != address.GatewayBalancer {
		t.Errorf("the default gateway got %s", ip)
	}
	if again := give("edge", "edge-gateway"); again != other {
		t.Errorf("%s, then %s", other, again)
	}
	for n := range 300 {
		if _, err := known.of("many", strings.Repeat("x", n)); err != nil {
			return
		}
	}
	t.Error("addresses outside of the range were given")
}

func TestComponentsDoNotInheritTheMachinesCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "/elsewhere")
	t.Setenv("HTTPS_PROXY", "http://elsewhere")
	for _, word := range (component{extraPath: "/helpers"}).environment() {
		if strings.Contains(word, "elsewhere") {
			t.Errorf("inherited %s", word)
		}
		if strings.HasPrefix(word, "PATH=") && !strings.HasPrefix(word, "PATH=/helpers:") {
			t.Errorf("%s does not begin with the helpers", word)
		}
	}
}
