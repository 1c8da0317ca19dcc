// Package option holds what a user may ask of lab/up, validated once.
package option

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// Options is a validated request to lab/up.
type Options struct {
	GatewayReplicas int    `json:"gatewayReplicas"` // pods of the default ingress gateway, 1 to 10
	SecondGateway   bool   `json:"secondGateway"`   // another gateway: own namespace, own selector, odd ports
	Revision        string `json:"revision"`        // name of a revisioned control plane, or empty
	OnlyRevision    bool   `json:"onlyRevision"`    // no default control plane beside it: istio-injection means nothing
}

// Parse reads flags, whose defaults come from LAB_GATEWAY_REPLICAS,
// LAB_SECOND_GATEWAY, LAB_REVISION and LAB_ONLY_REVISION. Help and complaints
// about flags go to out.
func Parse(args []string, getenv func(string) string, out io.Writer) (Options, error) {
	defaults, err := fromEnvironment(getenv)
	if err != nil {
		return Options{}, err
	}
	var o Options
	flags := flag.NewFlagSet("lab/up", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&o.GatewayReplicas, "gateway-replicas", defaults.GatewayReplicas, "pods of the ingress gateway (LAB_GATEWAY_REPLICAS)")
	flags.BoolVar(&o.SecondGateway, "second-gateway", defaults.SecondGateway, "add the gateway edge-gateway in namespace edge, ports 9443, 18000 and 31400 (LAB_SECOND_GATEWAY)")
	flags.StringVar(&o.Revision, "revision", defaults.Revision, "add a control plane of this revision (LAB_REVISION)")
	flags.BoolVar(&o.OnlyRevision, "only-revision", defaults.OnlyRevision, "with --revision: no default control plane beside it (LAB_ONLY_REVISION)")
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	if flags.NArg() > 0 {
		return Options{}, fmt.Errorf("lab/up takes flags only, not %q; see lab/up -h", flags.Arg(0))
	}
	return o, o.validate()
}

func fromEnvironment(getenv func(string) string) (Options, error) {
	o := Options{GatewayReplicas: 1, Revision: getenv("LAB_REVISION")}
	if text := getenv("LAB_GATEWAY_REPLICAS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return Options{}, fmt.Errorf("LAB_GATEWAY_REPLICAS=%q is not a number; give one from 1 to 10", text)
		}
		o.GatewayReplicas = n
	}
	for name, target := range map[string]*bool{"LAB_SECOND_GATEWAY": &o.SecondGateway, "LAB_ONLY_REVISION": &o.OnlyRevision} {
		if text := getenv(name); text != "" {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return Options{}, fmt.Errorf("%s=%q is neither true nor false", name, text)
			}
			*target = b
		}
	}
	return o, nil
}

func (o Options) validate() error {
	if o.GatewayReplicas < 1 || o.GatewayReplicas > 10 {
		return fmt.Errorf("--gateway-replicas %d: the one node holds 1 to 10", o.GatewayReplicas)
	}
	// A revision becomes part of object names and a label's value.
	if o.Revision != "" && !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(o.Revision) {
		return fmt.Errorf("--revision %q: use small letters, digits and inner dashes, at most 32, such as 1-31-0", o.Revision)
	}
	if o.Revision == "default" {
		return errors.New("--revision default: that is the control plane the lab has anyway; give another name")
	}
	if o.OnlyRevision && o.Revision == "" {
		return errors.New("--only-revision needs --revision NAME")
	}
	return nil
}

// Reaches tells whether a lab running with o can be turned into one with
// wanted in place: things can be added and the gateway scaled, but what
// istioctl has installed is not taken out again.
func (o Options) Reaches(wanted Options) bool {
	return o.OnlyRevision == wanted.OnlyRevision &&
		(!o.SecondGateway || wanted.SecondGateway) &&
		(o.Revision == wanted.Revision || (o.Revision == "" && !wanted.OnlyRevision))
}

// String is the flags that ask for o.
func (o Options) String() string {
	text := "--gateway-replicas " + strconv.Itoa(o.GatewayReplicas)
	if o.SecondGateway {
		text += " --second-gateway"
	}
	if o.Revision != "" {
		text += " --revision " + o.Revision
	}
	if o.OnlyRevision {
		text += " --only-revision"
	}
	return text
}
