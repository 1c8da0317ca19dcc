package report

import (
	"cmp"
	"io"
	"strconv"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"grpcmesh/internal/check"
)

// junitXML writes each report as a suite of one JUnit test.
func junitXML(w io.Writer, d Document) error {
	var all junit.Testsuites
	for _, v := range d.Reports() {
		suite, err := junitSuite(v)
		if err != nil {
			return err
		}
		all.AddSuite(suite)
	}
	if _, err := io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"); err != nil {
		return err
	}
	return all.WriteXML(w)
}

// junitSuite is one report: FAIL is its test's failure, INCONCLUSIVE its error.
// The whole text report is its output.
func junitSuite(v *Verify) (junit.Testsuite, error) {
	took := strconv.FormatFloat(v.Took.Seconds(), 'f', 3, 64)
	suite := junit.Testsuite{Name: Clean(strings.TrimSpace("grpcmesh verify " + cmp.Or(v.Name, v.route()))), Time: took}
	var text strings.Builder
	if err := v.Text(&text); err != nil {
		return suite, err
	}
	test := junit.Testcase{Name: Clean(v.units() + " to " + v.place() + " are balanced over the pods"), Classname: "grpcmesh.verify", Time: took,
		SystemOut: &junit.Output{Data: cdata(text.String())}}
	why := &junit.Result{Message: Clean(v.sentence())}
	if len(v.Findings) > 0 {
		f := v.Findings[0]
		why = &junit.Result{Type: f.Code, Message: Clean(f.Subject + ": " + f.Message), Data: cdata(Clean("next: " + f.Hint))}
	}
	switch v.Verdict {
	case check.Fail:
		test.Failure = why
	case check.Inconclusive:
		test.Error = why
	case check.Pass:
	}
	suite.AddProperty("address", Clean(v.Address))
	suite.AddProperty("authority", Clean(v.Authority))
	suite.AddProperty("target", Clean(v.Target))
	if v.VirtualService != "" {
		suite.AddProperty("virtual_service", Clean(v.route()))
	}
	suite.AddProperty("verdict", string(v.Verdict))
	suite.AddTestcase(test)
	return suite, nil
}

// route is the namespace and name of the VirtualService, where that is known.
func (v *Verify) route() string {
	if v.VirtualService == "" {
		return v.Name
	}
	return v.Namespace + "/" + v.VirtualService
}

// place tells one check from another: what is called, where, and the route.
func (v *Verify) place() string {
	words := cmp.Or(v.Authority, v.Address)
	if v.Authority != "" && v.Authority != v.Address && v.Address != "" {
		words += " at " + v.Address
	}
	if of := v.route(); of != "" {
		words += " (" + of + ")"
	}
	return words
}

// cdata keeps text from ending the CDATA section that it stands in; of several
// lines each is cleaned, as XML takes few control characters.
func cdata(s string) string { return strings.ReplaceAll(CleanLines(s), "]]>", "]] >") }
