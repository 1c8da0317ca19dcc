package cmd

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"grpcmesh/internal/finding"
	"grpcmesh/internal/k8s"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/plan"
)

// repeat is how a command was given, but for its workload.
type repeat struct {
	verb  string
	flags []string
}

func (o *exposeOptions) givenAs(c *cobra.Command) repeat {
	a := repeat{verb: c.Name()}
	for _, word := range givenFlags(c, "retries") {
		a.flags = append(a.flags, strings.TrimSuffix(strings.TrimPrefix(word, "["), "]")) // as pflag prints a map
	}
	if n := o.intent.Route.Retries; n != nil { // its flag can't say what it was given
		a.flags = append(a.flags, "--retries", strconv.Itoa(*n))
	}
	return a
}

// whichWorkload gives an error of k8s.Choose the way on: the command as it was
// given, for the first candidate; of a file the field to mend.
func (x *exposer) whichWorkload(err error) error {
	var target *manifest.TargetError
	if !errors.As(err, &target) || target.Code != finding.WhichWorkload || len(target.Candidates) == 0 {
		return err
	}
	first := target.Candidates[0]
	if target.Hint = "Name one: " + x.o.called.grpcmesh(x.o.again.verb, append([]string{first}, x.o.again.flags...)...); x.fromFile() {
		target.Hint = fmt.Sprintf("Name one in the document of namespace %s whose spec.workload is %q: spec.workload: %s", x.intent.Namespace, x.intent.Workload, first)
	}
	return target
}

func (x *exposer) fromFile() bool { return len(x.o.files) > 0 }

// named is a flag, or the field by which a file says the same.
func (x *exposer) named(flag string) string {
	if x.fromFile() {
		return inFile(flag)
	}
	return flag
}

// flagInText is a flag in an advice, with a value that is plainly one: a number,
// a placeholder in capitals, or quoted.
var flagInText = regexp.MustCompile(`(--[a-z]+(?:-[a-z]+)*)(?: ([0-9A-Z][0-9A-Z=_]*\b|pkg\.Service(?:,\.\.\.)?|'[^']*'))?`)

// inFile writes the flags of an advice as the fields of a file, which takes no
// such flags beside it. Those that a file has no field for stay.
func inFile(text string) string {
	return flagInText.ReplaceAllStringFunc(text, func(found string) string {
		parts := flagInText.FindStringSubmatch(found)
		field := manifest.FieldOf(parts[1])
		switch {
		case field == "" || parts[1] == "--namespace":
			return found
		case parts[2] != "":
			return field + ": " + parts[2]
		}
		return field
	})
}

// asGiven writes the advice of an error, and of all that it joins, for what is
// exposed by a file.
func (x *exposer) asGiven(err error) error {
	if x.fromFile() {
		adviseFile(err)
	}
	return err
}

func adviseFile(err error) {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case *k8s.NotReadyError:
		e.Cause, e.Hint = inFile(e.Cause), inFile(e.Hint)
	case *plan.ConflictError:
		e.Reason, e.Hint = inFile(e.Reason), inFile(e.Hint)
	case *manifest.TargetError:
		e.What, e.Hint = inFile(e.What), strings.ReplaceAll(inFile(e.Hint), "another namespace with -n", "another in metadata.namespace")
		for i, c := range e.Candidates {
			flag, value, ok := strings.Cut(c, " ")
			if field := manifest.FieldOf(flag); field != "" && ok {
				e.Candidates[i] = field + ": " + value
			}
		}
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			adviseFile(err)
		}
	case interface{ Unwrap() error }:
		adviseFile(e.Unwrap())
	}
}
