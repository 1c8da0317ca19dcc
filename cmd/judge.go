package cmd

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grpcmesh/internal/check"
	"grpcmesh/internal/manifest"
	"grpcmesh/internal/report"
)

// judge comes to the verdict, and to all that is told of it.
func (o *verifyOptions) judge(doc *report.Verify, e check.Evidence) error {
	doc.Result = check.Judge(e)
	doc.Reached(e)
	o.timed(doc)
	var err error
	if o.samples != "" {
		r := check.Recording{Address: doc.Address, Authority: doc.Authority, Target: doc.Target, Evidence: e}
		if err = report.File(o.samples, r.Write); err != nil {
			err = fmt.Errorf("--samples: %w", err)
		}
	}
	if finished := o.finish(doc, doc.Verdict); err == nil {
		err = finished
	}
	return err
}

// again judges a recording, with no network.
func (o *verifyOptions) again(c *cobra.Command) error {
	given := ""
	c.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"from", "alpha", "output", "report"}, f.Name) {
			given = f.Name
		}
	})
	if given != "" {
		return usageError{fmt.Errorf("--%s and --from don't go together: a recording is judged as it is", given)}
	}
	if err := o.validOutput(); err != nil {
		return err
	}
	r, err := recorded(o.from)
	if err != nil {
		return errors.Join(err, o.untold(err))
	}
	if c.Flags().Changed("alpha") {
		r.Alpha = o.alpha
	}
	o.say("testing    %s, as recorded", r.Target)
	doc := &report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Address: r.Address, Authority: r.Authority, Target: r.Target}
	if len(r.Samples) > 0 {
		doc.Identified = r.Rung
	}
	return o.judge(doc, r.Evidence)
}

func recorded(file string) (check.Recording, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return check.Recording{}, err
	}
	defer func() { _ = f.Close() }()
	r, err := check.ReadRecording(f)
	if err != nil {
		return r, &manifest.FileError{File: file, Err: err}
	}
	return r, nil
}

// validOutput checks the flags that a recording is judged by, too.
func (o *verifyOptions) validOutput() error {
	invalid := func(field, value, reason string) error {
		return &manifest.InvalidError{Field: field, Value: value, Reason: reason}
	}
	if err := chosen("--output", o.output, outputs("verify")); err != nil {
		return err
	}
	for _, r := range o.reports {
		format, file, ok := strings.Cut(r, "=")
		if !ok || file == "" {
			return invalid("--report", r, "is not FORMAT=FILE")
		}
		if !slices.Contains(report.Formats(), format) {
			return invalid("--report", r, "its format is none of "+listed(report.Formats()))
		}
	}
	if err := o.places(); err != nil {
		return err
	}
	if !(o.alpha > 0 && o.alpha < 1) {
		return invalid("--alpha", strconv.FormatFloat(o.alpha, 'g', -1, 64), "must be above 0 and below 1")
	}
	return nil
}

// finish prints the document and writes the reports. The verdict stands by
// then; where a report can't be written the run ends in that error.
func (o *verifyOptions) finish(doc report.Document, verdict check.Verdict) error {
	o.told = true
	if err := o.write(o.Out, doc); err != nil {
		return err
	}
	switch verdict {
	case check.Pass:
		return nil
	case check.Fail:
		return verdictError{exitNo}
	case check.Inconclusive:
	}
	return verdictError{exitInconclusive}
}

// write writes the document, and the reports that were asked for beside it.
func (o *verifyOptions) write(out io.Writer, doc report.Document) error {
	errs := []error{report.Write(out, doc, o.output)}
	for _, r := range o.reports {
		format, file, _ := strings.Cut(r, "=")
		errs = append(errs, report.WriteFile(file, doc, format))
	}
	return errors.Join(errs...)
}

// untold reports an error that leaves nothing to judge: whoever reads the document
// that was asked for finds it there. On a terminal it stands already.
func (o *verifyOptions) untold(why error) error {
	v := unjudged(o.addr, o.dialAuthority(), why)
	o.timed(v)
	var doc report.Document = v
	if o.several() {
		v.Authority = "" // it is about none in particular
		doc = report.NewVerifyList([]*report.Verify{v}, o.alpha)
	}
	out := o.Out
	if o.output == "text" {
		out = io.Discard
	}
	return o.write(out, doc)
}

// timed says in a report how long the check took; one of a recording took none.
func (o *verifyOptions) timed(v *report.Verify) {
	if !o.begun.IsZero() {
		v.Took = time.Since(o.begun)
	}
}

// unjudged is the report of an error.
func unjudged(address, authority string, why error) *report.Verify {
	return &report.Verify{APIVersion: report.APIVersion, Kind: "VerifyReport", Address: address, Authority: authority,
		Result: check.Result{Verdict: check.Inconclusive, PerEndpoint: []check.Count{}, Findings: []check.Finding{}}, Error: why.Error()}
}

// writable says early, before anything is dialled or written, which of the
// files asked for can't be written: a verdict must not be lost for that.
func (o *verifyOptions) writable() error {
	files := map[string]string{}
	if o.samples != "" {
		files["--samples"] = o.samples
	}
	for _, r := range o.reports {
		_, file, _ := strings.Cut(r, "=")
		files["--report "+r] = file
	}
	for _, flag := range slices.Sorted(maps.Keys(files)) {
		if err := canWrite(files[flag]); err != nil {
			return fmt.Errorf("%s: the file can't be written: %w\nNothing was called. Name a file in a folder that is there and that you may write to", flag, err)
		}
	}
	return nil
}

// canWrite tries what report.File will do: a file beside the one named. What
// is no plain file is left for then; a pipe's reader would see it opened twice.
func canWrite(file string) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return fmt.Errorf("%s is a folder", file)
		}
		return nil
	}
	folder := filepath.Dir(file)
	tmp, err := os.CreateTemp(folder, ".grpcmesh-*")
	var cause *os.PathError
	if errors.As(err, &cause) {
		return fmt.Errorf("folder %s: %w", folder, cause.Err) // the trial's own name says nothing
	}
	if err != nil {
		return err
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}
