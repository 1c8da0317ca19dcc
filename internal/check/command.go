package check

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// loadFlags are those that ask for a load, which the gateway's stamps alone can judge.
func loadFlags() []string {
	return []string{"--duration", "--rate", "--in-flight", "--connections", "--during-rollout", "--restart", "--max-lost"}
}

// contradicted are the flags that a verify with the flag would refuse, or that
// mean nothing beside it.
func contradicted(flag string) []string {
	name, value, _ := strings.Cut(flag, "=")
	named := []string{"--backend-from", "--expect"}
	switch {
	case name == "--identify" && value == RungRoute:
		return append(named, "--read-only")
	case name == "--identify" && (value == RungAdmin || value == RungSidecars):
		return append(named, loadFlags()...)
	case name == "--backend-from" || name == "--expect": // no cluster is asked with --expect
		return append([]string{"--identify", "--namespace", "--service", "--virtual-service"}, loadFlags()...)
	case name == "--call":
		return []string{"--path"}
	case name == "--path":
		return []string{"--call", "--data", "--proto", "--protoset"}
	}
	return nil
}

// verify is the command that runs this check with further flags, or with other
// values of those that it had. What those contradict is left out.
func (d *digest) verify(flags string) string {
	words := d.Command
	if len(words) == 0 {
		words = []string{"grpcmesh", "verify", "--addr", cmp.Or(d.Where.Address, "HOST:PORT")}
	}
	words = slices.Clone(words)
	for _, flag := range strings.Fields(flags) {
		if name, _, _ := strings.Cut(flag, "="); strings.HasPrefix(name, "--") {
			for _, drop := range append(contradicted(flag), name) {
				words = without(words, drop)
			}
		}
	}
	return strings.Join(append(words, flags), " ")
}

// without leaves a flag out of a command's words, however often it is there.
func without(words []string, name string) []string {
	var kept []string
	for i := 0; i < len(words); i++ {
		if word, _, inOne := strings.Cut(words[i], "="); word != name {
			kept = append(kept, words[i])
		} else if !inOne && i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
			i++ // its value
		}
	}
	return kept
}

// given says whether the check was made with the flag.
func (d *digest) given(flag string) bool {
	return slices.ContainsFunc(d.Command, func(word string) bool {
		name, value, _ := strings.Cut(word, "=")
		return name == flag && value != "false"
	})
}

// tool is where a hint runs one of the commands that ask a cluster, and the
// next word.
var tool = regexp.MustCompile(`\b(kubectl|istioctl|grpcmesh) ([a-z-]+)`)

// reached has a hint's commands ask the cluster that the check asked, as the
// same user. Those of verify have its flags already.
func (d *digest) reached(hint string) string {
	if len(d.Connection) == 0 {
		return hint
	}
	return tool.ReplaceAllStringFunc(hint, func(command string) string {
		name, verb, _ := strings.Cut(command, " ")
		switch {
		case name == "kubectl" && verb != "grpcmesh":
			return strings.Join(slices.Concat([]string{name}, d.Connection, []string{verb}), " ")
		case name == "istioctl":
			return strings.Join(slices.Concat([]string{name}, istioctls(d.Connection), []string{verb}), " ")
		case name == "grpcmesh" && verb == "expose":
			return strings.Join(slices.Concat([]string{name, verb}, d.Connection), " ")
		}
		return command
	})
}

// istioctls are the connection flags that istioctl has too; of the others
// kubectl alone knows.
func istioctls(connection []string) []string {
	var kept []string
	for i := 0; i < len(connection); i++ {
		flag := connection[i]
		hasValue := i+1 < len(connection) && !strings.HasPrefix(connection[i+1], "--")
		known := slices.Contains([]string{"--kubeconfig", "--context", "--as", "--as-group", "--as-uid"}, flag)
		if known {
			kept = append(kept, flag)
		}
		if hasValue {
			i++
			if known {
				kept = append(kept, connection[i])
			}
		}
	}
	return kept
}
