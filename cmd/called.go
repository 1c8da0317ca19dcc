package cmd

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// called is how the user called a command: what a command that is printed for
// them to run next must repeat to reach the same cluster as the same user.
type called struct {
	program    string   // "grpcmesh", or "kubectl grpcmesh" as a plug-in
	connection []string // the connection flags that were given, ready for a shell
}

// calledAs reads it off a parsed command. --namespace is left out: each command
// means something else by it. A secret is never printed; a variable stands for
// it.
func calledAs(c *cobra.Command) called {
	as := called{program: strings.TrimSuffix(c.CommandPath(), " "+c.Name())}
	connection := c.InheritedFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case connection.Lookup(f.Name) == nil || f.Name == "namespace":
		case f.Name == "token" || f.Name == "password":
			as.connection = append(as.connection, "--"+f.Name, `"$`+strings.ToUpper(f.Name)+`"`)
		default:
			as.connection = append(as.connection, quoteAll(asGiven(f))...)
		}
	})
	return as
}

// givenFlags are a command's own flags that were given, and --namespace, as
// they would be given again.
func givenFlags(c *cobra.Command, but ...string) []string {
	var flags []string
	connection := c.InheritedFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		if (connection.Lookup(f.Name) == nil || f.Name == "namespace") && !slices.Contains(but, f.Name) {
			flags = append(flags, withoutSecrets(f, asGiven(f))...)
		}
	})
	return flags
}

// withoutSecrets leaves a placeholder of metadata that may well be a secret.
func withoutSecrets(f *pflag.Flag, words []string) []string {
	for i, word := range words {
		name, _, ok := strings.Cut(word, "=")
		if f.Name == "metadata" && ok && secretName.MatchString(name) {
			words[i] = name + "=VALUE"
		}
	}
	return words
}

// secretName are names of metadata whose value is not to be printed.
var secretName = regexp.MustCompile(`(?i)auth|cookie|token|secret|key|pass|session|-bin$`)

// asGiven is a flag with its value, as words of a command line.
func asGiven(f *pflag.Flag) []string {
	flag := "--" + f.Name
	if f.Value.Type() == "bool" {
		return []string{strings.TrimSuffix(flag+"="+f.Value.String(), "=true")}
	}
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	var words []string
	for _, v := range values {
		words = append(words, flag, v)
	}
	return words
}

// grpcmesh is the command line of another of grpcmesh's commands.
func (a called) grpcmesh(verb string, args ...string) string {
	return a.line(append([]string{a.program, verb}, quoteAll(args)...))
}

// kubectl is the command line of one of kubectl's commands, which has the same
// connection flags.
func (a called) kubectl(verb string, args ...string) string {
	return a.line(append([]string{"kubectl", verb}, quoteAll(args)...))
}

func (a called) line(words []string) string {
	return strings.Join(append(words, a.connection...), " ")
}

func quoteAll(args []string) []string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quote(arg)
	}
	return quoted
}

// quote writes a word so that a POSIX shell reads it as it is.
func quote(word string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
