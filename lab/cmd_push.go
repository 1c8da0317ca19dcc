//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"grpcmesh/lab/internal/address"
	"grpcmesh/lab/internal/image"
	"grpcmesh/lab/internal/mesh"
)

// push makes an image of a program and brings it to the running lab.
func push(ctx context.Context, arguments []string, out io.Writer) error {
	if len(arguments) != 2 {
		return errors.New("lab/push takes an image name and a program, as in: lab/push imroc/hello:v2 ./hello")
	}
	name := arguments[0]
	program, err := filepath.Abs(arguments[1])
	if err != nil {
		return err
	}
	if info, err := os.Stat(program); err != nil {
		return err
	} else if info.Mode()&0o111 == 0 || info.IsDir() {
		return fmt.Errorf("%s is not an executable file", program)
	}
	folder, err := os.MkdirTemp("", "lab-push-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := mesh.BuildProgram(folder, program, ""); err != nil {
		return err
	}
	if err := image.Push(ctx, address.Registry(), name, folder); err != nil {
		return fmt.Errorf("%w; is the lab up?", err)
	}
	_, _ = fmt.Fprintf(out, "lab: pushed %s\n", name)
	return nil
}
