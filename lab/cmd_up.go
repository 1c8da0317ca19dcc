//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/home"
	"grpcmesh/lab/internal/image"
	"grpcmesh/lab/internal/kube"
	"grpcmesh/lab/internal/mesh"
	"grpcmesh/lab/internal/option"
	"grpcmesh/lab/internal/parts"
)

// steps prints what is done, each with the seconds since the beginning.
type steps struct {
	out   io.Writer
	began time.Time
}

func (s steps) say(format string, values ...any) {
	_, _ = fmt.Fprintf(s.out, "lab: %6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, values...))
}

// up brings the machine's lab to what the arguments ask, from wherever it is.
func up(ctx context.Context, h home.Home, arguments []string, out io.Writer) error {
	options, err := option.Parse(arguments, os.Getenv, out)
	if err != nil {
		return err
	}
	if err := root("up"); err != nil {
		return err
	}
	release, err := h.Acquire(out)
	if err != nil {
		return err
	}
	defer release()
	s := steps{out: out, began: time.Now()}
	if err := portsFree(ctx, h); err != nil {
		return err
	}
	made, err := makeParts(ctx, h, out)
	if err != nil {
		return err
	}
	s.say("programs and images are there")
	state, known := h.Load()
	if known && state.Alive() {
		obstacle := whyAnew(state, made.build, options)
		if obstacle == "" {
			err := settle(ctx, h, s, made, state, options)
			if err == nil || ctx.Err() != nil {
				return err
			}
			obstacle = err.Error()
		}
		s.say("a new lab is made in place of the running one: %s", obstacle)
	}
	if err := clear(ctx, h, s); err != nil {
		return err
	}
	if err := start(ctx, h, s, made, options); err != nil {
		return fmt.Errorf("%w\nThe logs are in %s; lab/down clears up", err, h.Logs())
	}
	return nil
}

// whyAnew tells what keeps a running lab from being used, in words; empty where
// nothing does.
func whyAnew(state home.State, build string, options option.Options) string {
	switch {
	case !state.Ready:
		return "its lab/up did not come to its end"
	case state.Build != build:
		return "it was made from other sources or versions"
	case !state.Options.Reaches(options):
		return fmt.Sprintf("it has %s, and what is installed is not taken out in place", state.Options)
	}
	return ""
}

// portsFree tells of a taken port before minutes go into compiling. A lab that
// is up holds the ports itself.
func portsFree(ctx context.Context, h home.Home) error {
	inits, err := h.Inits()
	if err != nil || len(inits) > 0 {
		return err
	}
	sockets, err := listen(ctx)
	closeAll(sockets)
	return err
}

// settle brings a running lab to the options without a restart.
func settle(ctx context.Context, h home.Home, s steps, made made, state home.State, options option.Options) error {
	client, err := kube.New(h.Kubeconfig())
	if err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// The gateway's pods may have been scaled by hand: then install again.
	if state.Options == options && mesh.Await(patience, client, options) == nil {
		if err := pushServer(ctx, made); err != nil {
			return err
		}
		s.say("the lab is up already, with %s", options)
		return welcome(h, s, made)
	}
	if err := client.Get(patience, "/readyz", nil); err != nil {
		return err
	}
	s.say("the lab is up with %s; bringing it to %s", state.Options, options)
	state.Ready = false
	if err := h.Save(state); err != nil {
		return err
	}
	return finish(ctx, h, s, made, state, options, client)
}

// start starts a lab from nothing running.
func start(ctx context.Context, h home.Home, s steps, made made, options option.Options) error {
	state, err := launch(ctx, h, made)
	if err != nil {
		return err
	}
	state.Options = options
	if err := h.Save(state); err != nil {
		return err
	}
	s.say("namespaces are made and the cluster's processes start")
	// The cluster can start meanwhile: it pulls nothing before the API is up.
	if err := pushAll(ctx, made); err != nil {
		return err
	}
	s.say("images are in the registry at %s", address.Registry())
	client, err := kube.New(h.Kubeconfig())
	if err != nil {
		return err
	}
	if err := awaitAPI(ctx, client, state); err != nil {
		return err
	}
	s.say("the API server is ready at %s", address.API())
	if err := applyDNS(ctx, client); err != nil {
		return err
	}
	return finish(ctx, h, s, made, state, options, client)
}

// finish installs the mesh as the options ask and records the lab as ready.
func finish(ctx context.Context, h home.Home, s steps, made made, state home.State, options option.Options, client *kube.Client) error {
	installer := mesh.Installer{
		Istioctl: filepath.Join(made.istio, "istioctl"), Kubeconfig: h.Kubeconfig(),
		Folder: h.Run("conf"), Client: client,
	}
	if err := installer.Install(ctx, options); err != nil {
		return err
	}
	s.say("Istio %s is installed", parts.IstioVersion)
	patience, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := mesh.Await(patience, client, options); err != nil {
		return err
	}
	if err := pushServer(ctx, made); err != nil {
		return err
	}
	state.Options, state.Ready = options, true
	if err := h.Save(state); err != nil {
		return err
	}
	s.say("the ingress gateway is ready: the lab is up, with %s", options)
	return welcome(h, s, made)
}

// applyDNS retries for as long as a young API server may still lack the
// namespace kube-system.
func applyDNS(ctx context.Context, client *kube.Client) error {
	patience, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return kube.Until(patience, 100*time.Millisecond, func(ctx context.Context) error { return mesh.DNS(ctx, client) })
}

// awaitAPI waits for the API server, for two minutes or until the lab's first
// process has ended.
func awaitAPI(ctx context.Context, client *kube.Client, state home.State) error {
	patience, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("it was not ready within two minutes"))
	defer cancel()
	err := kube.Until(patience, 50*time.Millisecond, func(ctx context.Context) error {
		if !state.Alive() {
			cancel()
			return errors.New("the lab's first process has ended")
		}
		return client.Get(ctx, "/readyz", nil)
	})
	if err != nil {
		return fmt.Errorf("the API server at %s: %w", address.API(), err)
	}
	return nil
}

func pushAll(ctx context.Context, made made) error {
	for name, folder := range made.images {
		if err := image.Push(ctx, address.Registry(), name, folder); err != nil {
			return err
		}
	}
	return nil
}

// pushServer brings the sample server of this checkout; a running lab may
// have that of another.
func pushServer(ctx context.Context, made made) error {
	return image.Push(ctx, address.Registry(), serverImage, made.images[serverImage])
}
