//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/mesh"
	"grpcmesh/lab/internal/node"
	"grpcmesh/lab/internal/parts"
)

// serverImage is the sample server, under the name that the procedure uses.
const serverImage = "docker.io/imroc/grpc_server:latest"

// made is where everything that a lab is made of lies.
type made struct {
	etcd, kubernetes, containerd, coredns, istio string
	images                                       map[string]string // image name to the folder of its layout
	build                                        string            // names all versions but the sample server's
}

// makeParts makes sure that everything is there, which takes minutes the
// first time and nothing afterwards.
func makeParts(ctx context.Context, h home.Home, out io.Writer) (made, error) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return made{}, fmt.Errorf("there is no Envoy for %s; the lab runs on amd64 and arm64", runtime.GOARCH)
	}
	if err := parts.Debian(ctx, out); err != nil {
		return made{}, err
	}
	store := parts.NewStore(h.Parts(), out)
	if err := store.Sweep(); err != nil {
		return made{}, err
	}
	set := parts.List(h.Checkout)
	m := made{images: map[string]string{}}
	var envoy, pause, server string
	var err error
	for _, step := range []struct {
		target *string
		get    func() (string, error)
	}{
		{&envoy, func() (string, error) { return store.Envoy(ctx, h.LabSource()) }},
		{&pause, func() (string, error) { return store.Build(ctx, set.Pause) }},
		{&m.etcd, func() (string, error) { return store.Build(ctx, set.Etcd) }},
		{&m.containerd, func() (string, error) { return store.Build(ctx, set.Containerd) }},
		{&m.kubernetes, func() (string, error) { return store.Build(ctx, set.Kubernetes) }},
		{&m.coredns, func() (string, error) { return store.Build(ctx, set.CoreDNS) }},
		{&m.istio, func() (string, error) { return store.Build(ctx, set.Istio) }},
	} {
		if *step.target, err = step.get(); err != nil {
			return made{}, err
		}
	}
	if m.images[mesh.Proxy], err = mesh.ProxyImage(store, m.istio, envoy); err != nil {
		return made{}, err
	}
	if m.images[mesh.Pilot], err = mesh.PilotImage(store, m.istio); err != nil {
		return made{}, err
	}
	if m.images[node.PauseImage], err = mesh.ProgramImage(store, "pause", filepath.Join(pause, "pause"), ""); err != nil {
		return made{}, err
	}
	// The lab program's own name tells its sources. What follows changes from
	// checkout to checkout and needs no new lab.
	m.build = store.Key() + "/" + filepath.Base(os.Args[0])
	if server, err = store.Build(ctx, set.Server); err != nil {
		return made{}, err
	}
	if m.images[serverImage], err = mesh.ProgramImage(store, "server", filepath.Join(server, "server"), ""); err != nil {
		return made{}, err
	}
	return m, store.Expire(30 * 24 * time.Hour)
}
