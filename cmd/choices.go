package cmd

import (
	"slices"
	"strings"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

// outputs are the values of a verb's --output.
func outputs(verb string) []string {
	switch verb {
	case "verify":
		return report.Formats()
	case "doctor":
		return []string{"text", "json", "yaml"}
	case "status":
		return []string{"text", "wide", "json", "yaml", "name"}
	}
	return []string{"text", "json", "yaml", "name"}
}

// dryRuns are the values of a verb's --dry-run.
func dryRuns(verb string) []string {
	if verb == "unexpose" {
		return []string{"none", "server"}
	}
	return []string{"none", "client", "server"}
}

// identities are the values of --identify.
func identities() []string {
	return []string{"auto", check.RungRoute, check.RungAdmin, check.RungSidecars, check.RungApp}
}

// controls are the values of --control.
func controls() []string { return []string{controlAuto, controlAlways, controlNever} }

// chosen refuses a flag's value that is none of those there are.
func chosen(flag, value string, values []string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return &manifest.InvalidError{Field: flag, Value: value, Reason: "must be one of: " + strings.Join(values, ", ")}
}

// listed is a list in words.
func listed(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " and " + values[last]
}
