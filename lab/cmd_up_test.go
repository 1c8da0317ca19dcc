//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/option"
)

func TestWhyAnew(t *testing.T) {
	state := home.State{Ready: true, Build: "b", Options: option.Options{GatewayReplicas: 1, SecondGateway: true}}
	for _, c := range []struct {
		name   string
		change func(*home.State)
		wanted option.Options
		reason string // part of it; empty: the lab is used as it is
	}{
		{"as it is", func(*home.State) {}, state.Options, ""},
		{"more pods", func(*home.State) {}, option.Options{GatewayReplicas: 2, SecondGateway: true}, ""},
		{"one gateway less", func(*home.State) {}, option.Options{GatewayReplicas: 1}, "--second-gateway"},
		{"another build", func(s *home.State) { s.Build = "other" }, state.Options, "versions"},
		{"cut short", func(s *home.State) { s.Ready = false }, state.Options, "end"},
	} {
		now := state
		c.change(&now)
		got := whyAnew(now, "b", c.wanted)
		if (got == "") != (c.reason == "") || !strings.Contains(got, c.reason) {
			t.Errorf("%s: %q, want %q", c.name, got, c.reason)
		}
	}
}

// Whatever is wrong with a call is said before anything is touched: these
// homes stay empty.
func TestRefusalsTouchNothing(t *testing.T) {
	h := home.Home{Cache: filepath.Join(t.TempDir(), "cache"), Checkout: t.TempDir()}
	var out strings.Builder
	for want, call := range map[string]func() error{
		"no verb":             func() error { return dispatch([]string{"sideways"}) },
		"which":               func() error { return dispatch(nil) },
		"1 to 10":             func() error { return up(context.Background(), h, []string{"--gateway-replicas", "99"}, &out) },
		"takes no arguments":  func() error { return down(context.Background(), h, []string{"now"}, &out) },
		"run what":            func() error { return run(h, nil) },
		"an image name and a": func() error { return push(context.Background(), []string{"x"}, &out) },
		"not an executable":   func() error { return push(context.Background(), []string{"x", os.DevNull}, &out) },
	} {
		t.Setenv("LAB_FOLDER", filepath.Join(h.Checkout, "lab"))
		t.Setenv("XDG_CACHE_HOME", filepath.Dir(h.Cache))
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := os.Stat(h.Cache); !os.IsNotExist(err) {
		t.Errorf("the cache was touched: %v", err)
	}
}
