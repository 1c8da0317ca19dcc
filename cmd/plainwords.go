package cmd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"grpcmesh/internal/manifest"
)

// noArgs refuses arguments. What stands behind --control is one to the parser, as
// that flag may be given alone.
func (o *verifyOptions) noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.Flags().Changed("control") && slices.Contains(controls(), args[0]) {
		return usageError{fmt.Errorf("--control takes its value behind an equals sign: --control=%s", args[0])}
	}
	return usageError{fmt.Errorf("%s takes no argument, and was given %q: what to verify is said by --addr, --all or -f", c.CommandPath(), args[0])}
}

// apart says why a flag does not go with one that asks for several services.
func apart(name, with string) string {
	if name == "all" {
		return "--all and " + with + " don't go together: --all takes what a namespace exposes, -f what the file says; give one of them"
	}
	return fmt.Sprintf("--%s and %s don't go together: --%s is for one service", name, with, name)
}

// places refuses files of which one would overwrite another, and '-': stdout has
// what --output says.
func (o *verifyOptions) places() error {
	taken := map[string]string{}
	place := func(flag, value, file string) error {
		if file == "-" {
			return &manifest.InvalidError{Field: flag, Value: value, Reason: "would be a file of the name '-'; stdout has the report that --output says: name a file, or /dev/stdout"}
		}
		where, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if strings.HasPrefix(where, "/dev/") { // nothing is overwritten there
			return nil
		}
		if other := taken[where]; other != "" {
			return usageError{fmt.Errorf("%s and %s %s are written into one file, and one would overwrite the other; give each a file of its own", other, flag, value)}
		}
		taken[where] = flag + " " + value
		return nil
	}
	if o.samples != "" {
		if err := place("--samples", o.samples, o.samples); err != nil {
			return err
		}
	}
	for _, r := range o.reports {
		_, file, _ := strings.Cut(r, "=")
		if err := place("--report", r, file); err != nil {
			return err
		}
	}
	return nil
}
